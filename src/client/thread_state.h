// What each thread of the program keeps here.
//
// Programs call us from thread-local and static destructors, in any order: an object of ours with a destructor might be
// gone by then. So there is one plain pointer per thread; what it points to goes with the last of the thread's keys,
// and a call that comes even later simply starts anew.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace nm::client {

struct ContextState;

struct ThreadState {
  std::vector<ContextState*> contexts;            // the stack of current contexts, the top last
  std::map<uint64_t, uint64_t> default_streams;   // the thread's own default stream by context
  std::vector<uint8_t> scratch;                   // of calls being built
  std::vector<uint8_t> parameters;                // of the launch being packed
  uint64_t answered = 0;                          // place of the last call that was answered (client/channel.h)
};

extern constinit thread_local ThreadState* t_thread_state;
ThreadState& make_thread_state();
inline ThreadState& thread_state() { return t_thread_state ? *t_thread_state : make_thread_state(); }

// Called with a thread's default streams when it ends. Set once.
void on_thread_end(void (*leave)(const std::map<uint64_t, uint64_t>& default_streams));

}  // namespace nm::client
