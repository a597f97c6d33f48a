#include "client/quiet_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

#include "client/own_threads.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;

// The entries of a folder of /proc that are numbers. Without opendir, which allocates.
template <typename F>
bool for_each_number(const char* folder, const F& visit) {
  struct Entry {
    uint64_t inode, next;
    uint16_t length;
    uint8_t type;
    char name[1];
  };
  const Fd fd(::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return false;
  alignas(uint64_t) char entries[4096];
  for (;;) {
    const long n = syscall(SYS_getdents64, fd.get(), entries, sizeof entries);
    if (n < 0) return false;
    if (n == 0) return true;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const Entry*>(entries + at);
      at += entry->length;
      if (entry->name[0] < '0' || entry->name[0] > '9') continue;
      const int number = atoi(entry->name);
      if (number != fd.get() && !visit(number)) return true;
    }
  }
}

bool is_only_thread() {
  int threads = 0;
  return for_each_number("/proc/self/task", [&](int) { return ++threads, true; }) &&
         threads - g_own_threads.load(std::memory_order_acquire) <= 1;
}

Fd open_userfaultfd() {
  Fd fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
  if (!fd) {
    const Fd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
    if (device) fd = Fd(ioctl(device.get(), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK));
  }
  if (!fd) return {};
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP;
  return ioctl(fd.get(), UFFDIO_API, &api) == 0 ? std::move(fd) : Fd{};
}

bool pins_pages(int fd) {
  char path[32], target[64];
  char* end = path + sizeof path;
  *--end = 0;
  do *--end = static_cast<char>('0' + fd % 10);
  while (fd /= 10);
  constexpr std::string_view kFolder = "/proc/self/fd/";
  end -= kFolder.size();
  memcpy(end, kFolder.data(), kFolder.size());
  const ssize_t n = readlink(end, target, sizeof target);
  if (n <= 0) return false;  // closed in the meantime
  const std::string_view name(target, static_cast<size_t>(n));
  for (std::string_view known : {"anon_inode:[io_uring]", "/dev/infiniband/", "/dev/vfio/", "/dev/iommu"}) {
    if (name.starts_with(known)) return true;
  }
  return false;
}

bool reads_past_the_cache(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  struct stat st;
  return flags >= 0 && (flags & O_DIRECT) && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

bool is_xdp(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_XDP;
}

}  // namespace

QuietPages::QuietPages(uint64_t first, uint64_t size, bool promised) : first_(first), size_(size) {
  sigset_t every;
  sigfillset(&every);
  // A handler that ran on this thread might write to the pages, and wait for this thread.
  pthread_sigmask(SIG_SETMASK, &every, &signals_);
  alone_ = promised || is_only_thread();
  if (alone_) return;
  fd_ = open_userfaultfd();
  uffdio_register range{{first, size}, UFFDIO_REGISTER_MODE_WP, 0};
  if (fd_ && ioctl(fd_.get(), UFFDIO_REGISTER, &range) != 0) fd_.reset();
}

QuietPages::~QuietPages() {
  if (fd_) {
    if (held_) {
      uffdio_writeprotect free{{first_, size_}, UFFDIO_WRITEPROTECT_MODE_DONTWAKE};
      ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &free);  // refused where other pages lie now, and then there is no need
    }
    fd_.reset();  // wakes them
  }
  pthread_sigmask(SIG_SETMASK, &signals_, nullptr);
}

bool QuietPages::hold() {
  if (alone_) return true;
  if (!fd_) return false;
  uffdio_writeprotect protect{{first_, size_}, UFFDIO_WRITEPROTECT_MODE_WP};
  held_ = ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &protect) == 0;
  return held_;
}

bool written_from_behind() {
  bool found = false;
  const bool looked = for_each_number("/proc/self/fd", [&](int fd) {
    found = pins_pages(fd) || reads_past_the_cache(fd) || is_xdp(fd);
    return !found;
  });
  return found || !looked;
}

bool populate(uint64_t first, uint64_t size) {
  for (;;) {
    if (madvise(reinterpret_cast<void*>(first), size, MADV_POPULATE_WRITE) == 0) return true;
    if (errno == EINVAL) break;  // a kernel before 5.14
    if (errno != EINTR && errno != EAGAIN) return false;
  }
  for (uint64_t page = first; page < first + size; page += kPage) {
    __atomic_fetch_or(reinterpret_cast<uint8_t*>(page), 0, __ATOMIC_SEQ_CST);  // a write that changes nothing
  }
  return true;
}

}  // namespace nm::client
