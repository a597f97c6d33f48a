#include "client/nvml/session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <atomic>
#include <mutex>

#include "client/nvml/call.h"
#include "nvml_remote.h"

namespace nm::client::nvml {
namespace {

struct State {
  std::mutex mutex;  // held while connecting: whoever else wants the session waits for it
  std::atomic<int> references{0};
  unsigned flags = 0;
  std::shared_ptr<Channel> channel;
};

// Never destroyed: other threads may ask while the process exits.
std::atomic<State*> g_state{nullptr};
std::atomic<bool> g_explained{false};

State& state() {
  State* s = g_state.load(std::memory_order_acquire);
  if (s) return *s;
  auto* fresh = new State;
  if (g_state.compare_exchange_strong(s, fresh)) return *fresh;
  delete fresh;
  return *s;
}

// The child has one thread, which is here; what others held of the old state, a mutex for one, is of no use to it.
void forked_child() {
  State* parents = g_state.load();
  if (!parents) return;
  auto* fresh = new State;
  fresh->references = parents->references.load();
  fresh->flags = parents->flags;
  if (parents->channel) parents->channel->abandon();
  g_state.store(fresh);
}

Result<wire::Address> server_address() {
  const char* text = getenv("NEARMETAL_SERVER");
  if (!text || !*text) return wire::default_address();
  return wire::parse_address(text);
}

// Tools ask again and again; one sentence is enough.
nvmlReturn_t not_there(const std::string& why) {
  if (!g_explained.exchange(true)) fprintf(stderr, "nearmetal: %s\n", why.c_str());
  return NVML_ERROR_DRIVER_NOT_LOADED;
}

bool refuse_push(wire::PushKind, std::span<const uint8_t>, uint64_t, const std::function<bool(void*, uint64_t)>&) {
  return false;
}

nvmlReturn_t connect(State& s, unsigned flags) {
  auto address = server_address();
  if (!address) return not_there(address.error().message);
  auto channel = Channel::connect(*address, wire::Purpose::nvml, {}, refuse_push);
  if (!channel) return not_there(channel.error().message);
  std::shared_ptr<Channel> shared = std::move(*channel);
  Call call(op::nm_nvml_init, "(the server's nvmlInit)", shared);
  call.args().u64(flags);
  nvmlReturn_t result = call.wait();
  if (result != NVML_SUCCESS) return result;
  s.channel = std::move(shared);
  s.flags = flags;
  return NVML_SUCCESS;
}

}  // namespace

nvmlReturn_t open_session(unsigned flags) {
  State& s = state();
  std::lock_guard lock(s.mutex);
  static std::atomic<bool> watches_fork{false};
  if (!watches_fork.exchange(true)) pthread_atfork(nullptr, nullptr, forked_child);
  if (s.channel && s.channel->lost()) s.channel.reset();
  if (!s.channel) {
    nvmlReturn_t result = connect(s, flags);
    if (result != NVML_SUCCESS) return result;
  }
  s.references++;
  return NVML_SUCCESS;
}

nvmlReturn_t close_session() {
  State& s = state();
  std::shared_ptr<Channel> last;  // ends after the lock is released
  std::lock_guard lock(s.mutex);
  if (s.references == 0) return NVML_ERROR_UNINITIALIZED;
  if (--s.references == 0) last.swap(s.channel);
  return NVML_SUCCESS;
}

bool is_open() {
  State* s = g_state.load(std::memory_order_acquire);
  return s && s->references > 0;
}

nvmlReturn_t channel_of_session(std::shared_ptr<Channel>* out) {
  State& s = state();
  std::lock_guard lock(s.mutex);
  if (s.references == 0) return NVML_ERROR_UNINITIALIZED;
  if (!s.channel) {
    nvmlReturn_t result = connect(s, s.flags);
    if (result != NVML_SUCCESS) return result;
  }
  if (s.channel->lost()) return NVML_ERROR_UNKNOWN;
  *out = s.channel;
  return NVML_SUCCESS;
}

}  // namespace nm::client::nvml
