#include "wire/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "wire/handover.h"

namespace nm::wire {
namespace {

// Beyond the caller's own patience, so that the courier's sentence about who did not answer comes first.
constexpr Millis kCourierPatience{10'000};
constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;

Error invalid(std::string_view text, const std::string& why) {
  return Error{
      "\"" + std::string(text) + "\" is not a server address: " + why +
      ". Write unix:/PATH, tcp:HOST:PORT, tls:HOST:PORT or tcp:[IPV6]:PORT, for example unix:/run/nearmetal.sock."};
}

Result<Address> parse_unix(std::string_view text, std::string_view path) {
  if (path.empty() || path[0] != '/') return invalid(text, "the path of a Unix socket must be absolute");
  if (path.find('\0') != path.npos) return invalid(text, "the path holds a NUL byte");
  if (path.size() > kMaxPath) {
    return invalid(text, "the path of a Unix socket may have at most " + std::to_string(kMaxPath) + " bytes");
  }
  return Address{.kind = Address::Kind::unix_socket, .path = std::string(path)};
}

Result<Address> parse_tcp(std::string_view text, std::string_view rest, bool tls) {
  const auto colon = rest.rfind(':');
  if (colon == rest.npos) return invalid(text, "the port is missing");
  std::string_view host = rest.substr(0, colon), digits = rest.substr(colon + 1);

  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0 || port > 65535) {
    return invalid(text, "the port must be a number from 1 to 65535");
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    in6_addr ignored;
    if (::inet_pton(AF_INET6, std::string(host).c_str(), &ignored) != 1) {
      return invalid(text, "what stands in brackets is not an IPv6 address");
    }
  } else if (host.find(':') != host.npos) {
    return invalid(text, "an IPv6 address must stand in brackets");
  }
  if (host.empty()) return invalid(text, "the host is missing");
  if (host.find_first_of(std::string_view("[]/ \0", 5)) != host.npos) {
    return invalid(text, "the host holds a character that no host name has");
  }
  Address address = {
      .kind = Address::Kind::tcp, .host = std::string(host), .port = static_cast<uint16_t>(port), .tls = tls};
  address.tls = tls || !is_loopback(address);
  return address;
}

Error cannot_reach(const Address& address, const std::string& why) {
  return Error{"Cannot reach the nearmetal server at " + address.text() + ": " + why};
}

std::string reason(const Address& address, int error) {
  const bool is_unix = address.kind == Address::Kind::unix_socket;
  switch (error) {
    case ENOENT:
      return "there is no such socket. Start one with `nearmetal serve --listen " + address.text() + "`.";
    case ECONNREFUSED:
      if (address.tls) {
        return "nothing listens there. Start a server on that host with `nearmetal serve --listen tls:0.0.0.0:" +
               std::to_string(address.port) + "`; a server without that option listens on no network.";
      }
      return "nothing listens there. Start one with `nearmetal serve --listen " + address.text() + "`.";
    case EACCES:
      return "the socket does not admit this user. Run as its owner, or let the server start with --group NAME.";
    case EAGAIN:
    case EINPROGRESS:
    case ETIMEDOUT:
      return std::string("it did not answer in time. ") +
             (is_unix ? "Look at the server's log." : "Check the host, the port and the way between.");
    default:
      return std::string(strerror(error)) + ". Check the address and the server's log.";
  }
}

// A signal handler of the host program may interrupt connect(); a TCP connect then goes on by itself.
int finish_interrupted_connect(int fd, Millis timeout) {
  pollfd poll = {.fd = fd, .events = POLLOUT, .revents = 0};
  const TimePoint deadline = Clock::now() + timeout;
  for (;;) {
    const int ready = ::poll(&poll, 1, static_cast<int>(time_left(deadline).count()));
    if (ready == 0) return ETIMEDOUT;
    if (ready > 0) break;
    if (errno != EINTR) return errno;
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

// 0 or an errno.
int connect_within(int fd, const sockaddr* to, socklen_t size, Millis timeout) {
  const auto set_timeout = [fd](Millis value) {
    const timeval limit = {.tv_sec = value.count() / 1000, .tv_usec = value.count() % 1000 * 1000};
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  };
  set_timeout(std::max(timeout, Millis(1)));
  int error = 0;
  while (::connect(fd, to, size) != 0) {
    error = errno;
    if (error != EINTR) break;
    if (to->sa_family != AF_UNIX) {
      error = finish_interrupted_connect(fd, timeout);
      break;
    }
    error = 0;
  }
  set_timeout(Millis(0));
  return error;
}

Result<Fd> dial_unix(const Address& address, Millis timeout) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return cannot_reach(address, reason(address, errno));
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  memcpy(to.sun_path, address.path.data(), std::min(address.path.size(), kMaxPath));
  const int error = connect_within(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to, timeout);
  if (error != 0) return cannot_reach(address, reason(address, error));
  return fd;
}

// What this program's courier brings: a connected socket, or a sentence that says why there is none.
Result<Fd> dial_by_courier(const Address& address, Millis timeout) {
  const char* path = ::getenv("NEARMETAL_COURIER");
  if (!path || path[0] != '/') {
    return cannot_reach(address,
                        "connections off this host are encrypted, and this program has no courier that makes "
                        "them. Start it with `nearmetal run --server " +
                            address.text() + " -- CMD`.");
  }
  const Address courier = {.kind = Address::Kind::unix_socket, .path = path};
  auto asked = dial_unix(courier, timeout);
  if (!asked) {
    return cannot_reach(address, "the courier that `nearmetal run` started for this program does not answer at " +
                                     courier.path + ". Start the program again.");
  }
  Handover handover;
  Fd brought;
  if (!receive_handover(asked->get(), timeout + kCourierPatience, &handover, &brought)) {
    return cannot_reach(address, "the courier that `nearmetal run` started for this program said nothing.");
  }
  if (!brought) return Error{std::string(text_in(handover.sentence))};
  return brought;
}

}  // namespace

std::string Address::text() const {
  if (kind == Kind::unix_socket) return "unix:" + path;
  const bool v6 = host.find(':') != std::string::npos;
  return std::string(tls ? "tls:" : "tcp:") + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parse_address(std::string_view text) {
  constexpr std::string_view unix_prefix = "unix:", tcp_prefix = "tcp:", tls_prefix = "tls:";
  if (text.starts_with(unix_prefix)) return parse_unix(text, text.substr(unix_prefix.size()));
  if (text.starts_with(tcp_prefix)) return parse_tcp(text, text.substr(tcp_prefix.size()), false);
  if (text.starts_with(tls_prefix)) return parse_tcp(text, text.substr(tls_prefix.size()), true);
  return invalid(text, "it starts with none of unix:, tcp: and tls:");
}

bool is_loopback(const Address& address) {
  if (address.kind == Address::Kind::unix_socket) return true;
  if (address.host == "localhost") return true;
  in_addr v4;
  if (::inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (::inet_pton(AF_INET6, address.host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return false;
}

Address default_address() {
  Address address;
  const uid_t uid = ::geteuid();
  const char* runtime = ::getenv("XDG_RUNTIME_DIR");
  if (uid == 0) {
    address.path = "/run/nearmetal/nearmetal.sock";
  } else if (runtime && runtime[0] == '/') {
    address.path = std::string(runtime) + "/nearmetal.sock";
  } else {
    address.path = "/tmp/nearmetal-" + std::to_string(uid) + "/nearmetal.sock";
  }
  return address;
}

Result<Fd> dial_tcp(const Address& address, Millis timeout) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (failed != 0) {
    return cannot_reach(address, std::string("the host name was not found (") + gai_strerror(failed) + ").");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, ::freeaddrinfo);
  const TimePoint deadline = Clock::now() + timeout;
  int error = ENOENT;
  for (const addrinfo* one = found; one; one = one->ai_next) {
    Fd fd(::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol));
    if (!fd) {
      error = errno;
      continue;
    }
    error = connect_within(fd.get(), one->ai_addr, one->ai_addrlen, time_left(deadline));
    if (error != 0) continue;
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }
  return cannot_reach(address, reason(address, error));
}

Result<Fd> dial(const Address& address, Millis timeout) {
  if (address.tls) return dial_by_courier(address, timeout);
  return address.kind == Address::Kind::unix_socket ? dial_unix(address, timeout) : dial_tcp(address, timeout);
}

}  // namespace nm::wire
