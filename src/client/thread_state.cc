#include "client/thread_state.h"

#include <pthread.h>

#include <atomic>

namespace nm::client {
namespace {

thread_local ThreadState* t_state = nullptr;
std::atomic<void (*)(const std::map<uint64_t, uint64_t>&)> g_leave{nullptr};

void destroy(void* state) {
  auto* s = static_cast<ThreadState*>(state);
  if (auto leave = g_leave.load()) leave(s->default_streams);
  if (t_state == s) t_state = nullptr;
  delete s;
}

pthread_key_t key() {
  static pthread_key_t k = [] {
    pthread_key_t made;
    pthread_key_create(&made, destroy);
    return made;
  }();
  return k;
}

}  // namespace

ThreadState& thread_state() {
  if (!t_state) [[unlikely]] {
    t_state = new ThreadState;
    pthread_setspecific(key(), t_state);
  }
  return *t_state;
}

void on_thread_end(void (*leave)(const std::map<uint64_t, uint64_t>&)) { g_leave = leave; }

}  // namespace nm::client
