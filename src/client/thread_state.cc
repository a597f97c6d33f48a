#include "client/thread_state.h"

#include <pthread.h>

#include <atomic>

namespace nm::client {
namespace {

std::atomic<void (*)(const std::map<uint64_t, uint64_t>&)> g_leave{nullptr};

void destroy(void* state) {
  auto* s = static_cast<ThreadState*>(state);
  if (auto leave = g_leave.load()) leave(s->default_streams);
  if (t_thread_state == s) t_thread_state = nullptr;
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

constinit thread_local ThreadState* t_thread_state = nullptr;

ThreadState& make_thread_state() {
  t_thread_state = new ThreadState;
  pthread_setspecific(key(), t_thread_state);
  return *t_thread_state;
}

void on_thread_end(void (*leave)(const std::map<uint64_t, uint64_t>&)) { g_leave = leave; }

}  // namespace nm::client
