#include "server/daemon_status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "server/daemon_hello.h"

namespace nm::server {
namespace {

std::string peer_address(int fd) {
  sockaddr_storage there = {};
  socklen_t size = sizeof there;
  char text[INET6_ADDRSTRLEN] = "";
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&there), &size) != 0) return "tcp";
  if (there.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(there);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return fmt::format("tcp:[{}]:{}", text, ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(there);
  ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  return fmt::format("tcp:{}:{}", text, ntohs(v4.sin_port));
}

}  // namespace

Peer peer_of(int fd, const wire::Address& listener) {
  ucred who = {};
  socklen_t size = sizeof who;
  if (listener.kind == wire::Address::Kind::tcp) return {.text = "over " + listener.text(), .from = peer_address(fd)};
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) {
    return {.text = "over " + listener.text(), .from = listener.text()};
  }
  return {.text = fmt::format("pid {}, uid {} over {}", who.pid, who.uid, listener.text()),
          .from = listener.text(),
          .local = true,
          .pid = static_cast<uint64_t>(who.pid),
          .uid = who.uid};
}

StatusAnswer::StatusAnswer(const wire::ServerStatus& status) : bytes_(encode_welcome(wire::Status::ok, {}, "")) {
  std::vector<uint8_t> body;
  wire::Writer out(body);
  wire::write_status(status, out);
  const uint64_t size = body.size();
  bytes_.append(reinterpret_cast<const char*>(&size), sizeof size);
  bytes_.append(body.begin(), body.end());
}

StatusAnswer::State StatusAnswer::send_some(int fd) {
  while (under_way()) {
    const ssize_t sent = ::send(fd, bytes_.data() + at_, bytes_.size() - at_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) at_ += static_cast<size_t>(sent);
    if (sent < 0 && errno == EAGAIN) return State::under_way;
    if (sent < 0 && errno != EINTR) return State::failed;
  }
  return State::sent;
}

uint64_t cpu_time_us(pid_t pid) {
  clockid_t clock;
  timespec used;
  if (pid <= 0 || ::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000 + static_cast<uint64_t>(used.tv_nsec) / 1000;
}

void keep_busiest(wire::ServerStatus& status) {
  if (status.sessions.size() <= wire::kMaxStatusSessions) return;
  std::nth_element(status.sessions.begin(), status.sessions.begin() + wire::kMaxStatusSessions, status.sessions.end(),
                   [](const auto& a, const auto& b) { return a.idle_us < b.idle_us; });
  status.sessions.resize(wire::kMaxStatusSessions);
}

}  // namespace nm::server
