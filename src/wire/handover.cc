#include "wire/handover.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

namespace nm::wire {

bool send_handover(int socket, const Handover& handover, int fd) {
  iovec iov{const_cast<Handover*>(&handover), sizeof handover};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  ssize_t n;
  do n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n == sizeof handover;
}

bool receive_handover(int socket, Millis timeout, Handover* out, Fd* fd) {
  fd->reset();
  const TimePoint deadline = Clock::now() + timeout;
  auto* to = reinterpret_cast<char*>(out);
  // One message on a SOCK_SEQPACKET; on a stream, as many pieces as it likes.
  for (size_t at = 0; at < sizeof *out;) {
    pollfd p{socket, POLLIN, 0};
    const int ready = ::poll(&p, 1, static_cast<int>(time_left(deadline).count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    iovec iov{to + at, sizeof *out - at};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    const ssize_t n = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); n > 0 && c; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      int came;
      memcpy(&came, CMSG_DATA(c), sizeof came);
      fd->reset(came);
    }
    if (n <= 0) return false;
    at += static_cast<size_t>(n);
  }
  return out->magic == Handover{}.magic && (out->kind != Handover::none) == bool(*fd);
}

}  // namespace nm::wire
