#include "server/host_functions.h"

#include <errno.h>
#include <sys/socket.h>

#include "server/graph_slots.h"
#include "wire/events.h"

namespace nm::server {
namespace {

template <typename F>
bool all(F&& transfer, char* p, size_t size) {
  while (size) {
    ssize_t n = transfer(p, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

void HostFunctions::connect(Fd fd) {
  std::lock_guard lock(mutex_);
  fd_ = std::move(fd);
}

void HostFunctions::share_slots(std::weak_ptr<GraphSlots> slots) {
  std::lock_guard lock(mutex_);
  slots_ = std::move(slots);
}

void* HostFunctions::make(uint64_t token) {
  std::lock_guard lock(made_mutex_);
  made_.push_back(std::unique_ptr<Function>(new Function{this, token}));
  return made_.back().get();
}

uint64_t HostFunctions::token_of(void* user_data) { return static_cast<Function*>(user_data)->token; }

void HostFunctions::run(void* user_data) {
  auto* f = static_cast<Function*>(user_data);
  f->owner->ask(f->token, CUDA_SUCCESS);
}

void HostFunctions::run_callback(CUstream, CUresult status, void* user_data) {
  auto* f = static_cast<Function*>(user_data);
  f->owner->ask(f->token, status);
}

void HostFunctions::ask(uint64_t token, CUresult status) {
  std::lock_guard lock(mutex_);
  if (!fd_) return;  // the client is gone: its functions are, too
  if (!exchange(token, status)) fd_.reset();
}

bool HostFunctions::exchange(uint64_t token, CUresult status) {
  int fd = fd_.get();
  auto put = [&](const void* p, size_t n) {
    return all([&](char* q, size_t m) { return send(fd, q, m, MSG_NOSIGNAL); }, static_cast<char*>(const_cast<void*>(p)), n);
  };
  auto get = [&](void* p, size_t n) {
    return all([&](char* q, size_t m) { return recv(fd, q, m, 0); }, static_cast<char*>(p), n);
  };
  auto slots = slots_.lock();
  std::vector<GraphSlots::Update> updates;
  if (slots) updates = slots->take_written();
  wire::EventRequest request{token, status, static_cast<uint32_t>(updates.size())};
  if (!put(&request, sizeof request)) return false;
  for (auto& u : updates) {
    wire::EventUpdate header{u.slot, u.version, u.bytes.size()};
    if (!put(&header, sizeof header) || !put(u.bytes.data(), u.bytes.size())) return false;
  }
  wire::EventDone done;
  if (!get(&done, sizeof done) || done.updates > wire::kMaxEventUpdates) return false;
  if (!updates.empty()) slots->function_returned();
  for (uint32_t i = 0; i < done.updates; i++) {
    wire::EventUpdate header;
    if (!get(&header, sizeof header)) return false;
    if (!slots || header.size > slots->largest()) return false;
    GraphSlots::Update u{header.slot, header.version, std::vector<uint8_t>(header.size)};
    if (!get(u.bytes.data(), u.bytes.size())) return false;
    slots->apply({&u, 1});  // one that went in the meantime, or another size, changes nothing
  }
  return true;
}

}  // namespace nm::server
