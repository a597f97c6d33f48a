#include "server/host_functions.h"

#include <errno.h>
#include <sys/socket.h>

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

void* HostFunctions::make(uint64_t token) {
  std::lock_guard lock(made_mutex_);
  made_.push_back(std::make_unique<Function>(this, token));
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
  wire::EventRequest request{token, status, 0};
  wire::EventDone done;
  int fd = fd_.get();
  bool ok = all([&](char* p, size_t n) { return send(fd, p, n, MSG_NOSIGNAL); }, reinterpret_cast<char*>(&request), sizeof request) &&
            all([&](char* p, size_t n) { return recv(fd, p, n, 0); }, reinterpret_cast<char*>(&done), sizeof done);
  if (!ok) fd_.reset();
}

}  // namespace nm::server
