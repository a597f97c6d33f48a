#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <deque>

#include "wire/record.h"
#include "wire/stream.h"

namespace nm::wire {
namespace {

class SocketStream : public Stream {
 public:
  SocketStream(Fd socket, bool passes_fds) : socket_(std::move(socket)), passes_fds_(passes_fds) {}

  ssize_t write(std::span<const iovec> parts, int fd) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (fd >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof fd);
      memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return outcome([&] { return sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
  }

  ssize_t read(void* to, size_t capacity) override {
    iovec iov{to, capacity};
    msghdr message{};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
    ssize_t n = outcome([&] {
      message = {};
      message.msg_iov = &iov;
      message.msg_iovlen = 1;
      if (passes_fds_) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
      }
      ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (got == 0) {
        errno = 0;
        return ssize_t{-1};
      }
      return got;
    });
    if (n <= 0) return n;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        fds_.emplace_back(fd);
      }
    }
    return n;
  }

  Fd take_fd() override {
    if (fds_.empty()) return {};
    Fd fd = std::move(fds_.front());
    fds_.pop_front();
    return fd;
  }

  void wait(unsigned what, int64_t microseconds) override {
    pollfd p{socket_.get(), static_cast<short>((what & kReadable ? POLLIN : 0) | (what & kWritable ? POLLOUT : 0)), 0};
    timespec t{microseconds / 1'000'000, microseconds % 1'000'000 * 1000};
    ppoll(&p, 1, microseconds < 0 ? nullptr : &t, nullptr);
  }

  void shut() override { shutdown(socket_.get(), SHUT_RDWR); }
  bool writes_directly() const override { return false; }
  bool passes_fds() const override { return passes_fds_; }

 private:
  template <typename F>
  static ssize_t outcome(F&& transfer) {
    ssize_t n;
    do n = transfer();
    while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
  }

  Fd socket_;
  bool passes_fds_;
  std::deque<Fd> fds_;
};

}  // namespace

std::unique_ptr<Stream> socket_stream(Fd socket, bool passes_fds) {
  return std::make_unique<SocketStream>(std::move(socket), passes_fds);
}

}  // namespace nm::wire
