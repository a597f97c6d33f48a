#include "base/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace nm {
namespace {

// A signal undoes the step that it interrupts: small enough to be through before the next tick of a profiler's clock.
constexpr uint64_t kStep = 2 << 20;
constexpr uint64_t kWorthAsking = 16 << 20;

// Holds back the signal that a file beyond the limit costs this thread, and takes it away again.
class NoSizeSignal {
 public:
  NoSizeSignal() {
    sigset_t pending;
    sigemptyset(&only_);
    sigaddset(&only_, SIGXFSZ);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGXFSZ) == 1;
    pthread_sigmask(SIG_BLOCK, &only_, &before_);
  }
  NoSizeSignal(const NoSizeSignal&) = delete;
  ~NoSizeSignal() {
    const int error = errno;
    const timespec now{0, 0};
    while (!was_pending_ && sigtimedwait(&only_, nullptr, &now) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }

 private:
  sigset_t only_, before_;
  bool was_pending_;
};

// Bytes that the machine could give at most, by its own estimate. Asking for more would end somebody's process.
uint64_t memory_left() {
  Fd file(::open("/proc/meminfo", O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = file ? ::read(file.get(), text, sizeof text - 1) : 0;
  if (n <= 0) return UINT64_MAX;
  text[n] = 0;
  const auto kib = [&text](const char* name) -> uint64_t {
    const char* at = strstr(text, name);
    return at ? strtoull(at + strlen(name), nullptr, 10) : 0;
  };
  const uint64_t available = kib("\nMemAvailable:");
  return available ? (available + kib("\nSwapFree:")) << 10 : UINT64_MAX;
}

}  // namespace

bool fill_memory_file(int file, uint64_t offset, uint64_t size) {
  if (size >= kWorthAsking && size > memory_left()) {
    errno = ENOMEM;
    return false;
  }
  const NoSizeSignal quiet;
  for (uint64_t at = offset, end = offset + size; at < end;) {
    const uint64_t n = std::min(kStep, end - at);
    if (::fallocate(file, 0, static_cast<off_t>(at), static_cast<off_t>(n)) == 0) {
      at += n;
    } else if (errno != EINTR) {
      const int error = errno;
      if (at > offset) empty_memory_file(file, offset, at - offset);
      errno = error;
      return false;
    }
  }
  return true;
}

bool empty_memory_file(int file, uint64_t offset, uint64_t size) {
  return ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(size)) == 0;
}

Fd make_sparse_memory_file(const char* name, uint64_t size, unsigned flags) {
  if (size == 0 || size > INT64_MAX) {
    errno = EINVAL;
    return {};
  }
  Fd file(::memfd_create(name, MFD_CLOEXEC | flags));
  const NoSizeSignal quiet;
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return {};
  return file;
}

Fd make_memory_file(const char* name, uint64_t size, unsigned flags) {
  Fd file = make_sparse_memory_file(name, size, flags);
  if (file && !fill_memory_file(file.get(), 0, size)) {
    const int error = errno;
    file.reset();
    errno = error;
  }
  return file;
}

}  // namespace nm
