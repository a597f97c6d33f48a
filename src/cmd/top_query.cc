#include "cmd/top_query.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/version.h"
#include "wire/hello.h"

namespace nm::cmd {
namespace {

// False: the connection ended, or the time is over.
bool receive(int fd, void* to, size_t size, TimePoint deadline) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    pollfd poll = {.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(time_left(deadline).count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t got = ::recv(fd, at, size, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

Result<ServerAnswer> ask_status(const wire::Address& server, Millis timeout) {
  auto fd = wire::dial(server, timeout);
  if (!fd) return fd.error();
  const TimePoint deadline = Clock::now() + timeout;
  const Error silent = {fmt::format("The server at {} does not tell its status. Look at its log.", server.text())};

  wire::Hello hello;
  hello.purpose = wire::Purpose::status;
  kVersion.copy(hello.version, sizeof hello.version - 1);
  hello.pid = static_cast<uint32_t>(::getpid());
  // Some hundred bytes fit into the buffer of a new socket.
  if (::send(fd->get(), &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello) return silent;

  wire::Welcome welcome;
  if (!receive(fd->get(), &welcome, sizeof welcome, deadline)) return silent;
  if (welcome.magic != wire::kMagic) {
    return Error{fmt::format("What listens at {} is not a nearmetal server.", server.text())};
  }
  std::string message(std::min(welcome.message_size, wire::kMaxMessage), '\0');
  if (!receive(fd->get(), message.data(), message.size(), deadline)) message.clear();
  if (welcome.status != wire::Status::ok) {
    return Error{message.empty() ? fmt::format("The server at {} refused.", server.text()) : message};
  }
  uint64_t size = 0;
  if (!receive(fd->get(), &size, sizeof size, deadline)) return silent;
  ServerAnswer answer;
  answer.release = wire::plain_text({welcome.version, ::strnlen(welcome.version, sizeof welcome.version)});
  std::vector<uint8_t> bytes(size <= wire::kMaxStatus ? size : 0);
  wire::Reader in(bytes);
  if (size > wire::kMaxStatus || !receive(fd->get(), bytes.data(), bytes.size(), deadline) ||
      !wire::read_status(in, &answer.status)) {
    return Error{fmt::format("The server at {} answered something that is no status.", server.text())};
  }
  return answer;
}

}  // namespace nm::cmd
