// Pairs of connected TCP sockets, near and far, straight or through a link: what nm_sockets and nm_device_sockets
// measure with.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/fd.h"
#include "wire/address.h"

namespace nm::link {

using Clock = std::chrono::steady_clock;

struct Pair {
  Fd near, far;
};

inline bool pass(bool out, int fd, char* data, size_t size) {
  while (size) {
    const ssize_t n = out ? send(fd, data, size, MSG_NOSIGNAL) : recv(fd, data, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

// Without sleeping.
inline bool spin_for_byte(int fd, char* byte) {
  ssize_t n;
  while ((n = recv(fd, byte, 1, MSG_DONTWAIT)) < 0 && (errno == EAGAIN || errno == EINTR)) {
  }
  return n == 1;
}

struct Options {
  std::string listen_at, through;
  unsigned connections = 4, rounds = 3;
  bool quick = false;
};

[[noreturn]] inline void usage(const char* program, const std::string& why) {
  fprintf(stderr,
          "%s: %s\nusage: %s --listen tcp:127.0.0.1:PORT [--through ADDRESS] [--connections N] [--rounds N] "
          "[--quick]\n",
          program, why.c_str(), program);
  exit(2);
}

inline Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    if (name == "--quick") {
      o.quick = true;
      continue;
    }
    if (i + 1 == argc) usage(argv[0], name + " needs a value");
    const std::string value = argv[++i];
    if (name == "--listen")
      o.listen_at = value;
    else if (name == "--through")
      o.through = value;
    else if (name == "--connections")
      o.connections = static_cast<unsigned>(atoi(value.c_str()));
    else if (name == "--rounds")
      o.rounds = static_cast<unsigned>(atoi(value.c_str()));
    else
      usage(argv[0], "cannot make sense of " + name);
  }
  if (!o.connections || o.connections > 64 || !o.rounds)
    usage(argv[0], "--connections takes 1 to 64, --rounds 1 or more");
  return o;
}

inline std::vector<Pair> connect(const Options& o) {
  auto fail = [](const std::string& why) {
    fprintf(stderr, "%s\n", why.c_str());
    exit(2);
  };
  auto here = wire::parse_address(o.listen_at);
  if (!here || here->kind != wire::Address::Kind::tcp || here->host != "127.0.0.1")
    fail("--listen takes tcp:127.0.0.1:PORT");
  auto there = wire::parse_address(o.through.empty() ? o.listen_at : o.through);
  if (!there) fail(there.error().message);
  Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(here->port);
  inet_pton(AF_INET, here->host.c_str(), &at.sin_addr);
  int on = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) || listen(listener.get(), 64))
    fail("cannot listen on " + o.listen_at + ": " + strerror(errno));
  std::vector<Pair> pairs;
  for (unsigned i = 0; i < o.connections; i++) {
    auto near = wire::dial(*there, Millis(5000));
    if (!near) fail(near.error().message);
    Fd far(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    for (int fd : {near->get(), far.get()}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pairs.push_back({std::move(*near), std::move(far)});
  }
  return pairs;
}

inline void report(const std::string& name, const char* unit, const std::vector<double>& samples) {
  printf("{\"case\": \"%s\", \"unit\": \"%s\", \"samples\": [", name.c_str(), unit);
  for (size_t i = 0; i < samples.size(); i++) printf("%s%.4f", i ? ", " : "", samples[i]);
  puts("]}");
  fflush(stdout);
}

}  // namespace nm::link
