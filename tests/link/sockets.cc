// What plain sockets carry from one end of a way to the other, to hold copies against:
//
//   nm_sockets --listen tcp:127.0.0.1:PORT [--through ADDRESS] [--connections 4] [--rounds N] [--quick]
//
// Sends from one thread a connection to another one, from buffers of the sizes that nm_paths copies, and back.
// --through: connect there instead, to what forwards to --listen (nm_link). One line of JSON a size and direction, as
// nm_paths prints; and the round trip of one byte.
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
#include <thread>
#include <vector>

#include "base/fd.h"
#include "wire/address.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Pair {
  nm::Fd near, far;
};

bool pass(bool out, int fd, char* data, size_t size) {
  while (size) {
    const ssize_t n = out ? send(fd, data, size, MSG_NOSIGNAL) : recv(fd, data, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

void one(bool out, int fd, char* data, size_t size, int times) {
  for (int i = 0; i < times; i++) {
    if (!pass(out, fd, data, size)) {
      fprintf(stderr, "nm_sockets: a connection ended: %s\n", strerror(errno));
      exit(1);
    }
  }
}

// `times` buffers of `size` bytes, each cut evenly over the connections. GB/s.
double carry(std::vector<Pair>& pairs, std::vector<char>& from, std::vector<char>& to, size_t size, int times,
             bool forth) {
  const size_t share = size / pairs.size();
  std::vector<std::thread> threads;
  const auto start = Clock::now();
  for (size_t i = 0; i < pairs.size(); i++) {
    threads.emplace_back(one, true, (forth ? pairs[i].near : pairs[i].far).get(), from.data() + i * share, share,
                         times);
    threads.emplace_back(one, false, (forth ? pairs[i].far : pairs[i].near).get(), to.data() + i * share, share, times);
  }
  for (auto& t : threads) t.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return static_cast<double>(share * pairs.size()) * times / seconds / 1e9;
}

double round_trip_us(Pair& pair, int times) {
  char byte = 0;
  std::thread echo([&] {
    char b;
    for (int i = 0; i < times; i++) pass(false, pair.far.get(), &b, 1) && pass(true, pair.far.get(), &b, 1);
  });
  const auto start = Clock::now();
  for (int i = 0; i < times; i++) pass(true, pair.near.get(), &byte, 1) && pass(false, pair.near.get(), &byte, 1);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  echo.join();
  return seconds / times * 1e6;
}

void report(const std::string& name, const char* unit, const std::vector<double>& samples) {
  printf("{\"case\": \"%s\", \"unit\": \"%s\", \"samples\": [", name.c_str(), unit);
  for (size_t i = 0; i < samples.size(); i++) printf("%s%.4f", i ? ", " : "", samples[i]);
  puts("]}");
  fflush(stdout);
}

[[noreturn]] void usage(const std::string& why) {
  fprintf(stderr,
          "nm_sockets: %s\nusage: nm_sockets --listen tcp:127.0.0.1:PORT [--through ADDRESS] [--connections N] "
          "[--rounds N] "
          "[--quick]\n",
          why.c_str());
  exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  std::string listen_at, through;
  unsigned connections = 4, rounds = 3;
  bool quick = false;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    if (name == "--quick") {
      quick = true;
      continue;
    }
    if (i + 1 == argc) usage(name + " needs a value");
    const std::string value = argv[++i];
    if (name == "--listen")
      listen_at = value;
    else if (name == "--through")
      through = value;
    else if (name == "--connections")
      connections = static_cast<unsigned>(atoi(value.c_str()));
    else if (name == "--rounds")
      rounds = static_cast<unsigned>(atoi(value.c_str()));
    else
      usage("cannot make sense of " + name);
  }
  if (!connections || connections > 64 || !rounds) usage("--connections takes 1 to 64, --rounds 1 or more");
  auto here = nm::wire::parse_address(listen_at);
  if (!here || here->kind != nm::wire::Address::Kind::tcp || here->host != "127.0.0.1")
    usage("--listen takes tcp:127.0.0.1:PORT");
  auto there = nm::wire::parse_address(through.empty() ? listen_at : through);
  if (!there) usage(there.error().message);
  nm::Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(here->port);
  inet_pton(AF_INET, here->host.c_str(), &at.sin_addr);
  int on = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) || listen(listener.get(), 64))
    usage("cannot listen on " + listen_at + ": " + strerror(errno));

  std::vector<Pair> pairs;
  for (unsigned i = 0; i < connections; i++) {
    auto near = nm::wire::dial(*there, nm::Millis(5000));
    if (!near) usage(near.error().message);
    nm::Fd far(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    for (int fd : {near->get(), far.get()}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pairs.push_back({std::move(*near), std::move(far)});
  }
  constexpr size_t kLargest = 256 << 20;
  std::vector<char> from(kLargest, 1), to(kLargest, 2);
  const std::string of = "_" + std::to_string(connections);
  std::vector<double> samples;
  for (unsigned r = 0; r < rounds; r++) samples.push_back(round_trip_us(pairs[0], quick ? 100 : 1000));
  report("round_trip", "us", samples);
  struct {
    const char* name;
    size_t bytes;
    int times;
  } sizes[] = {{"1M", 1 << 20, 256}, {"16M", 16 << 20, 32}, {"256M", 256 << 20, 4}};
  for (auto& size : sizes) {
    for (bool forth : {true, false}) {
      samples.clear();
      const int times = quick ? 1 : size.times;
      for (unsigned r = 0; r < rounds; r++) samples.push_back(carry(pairs, from, to, size.bytes, times, forth));
      report(std::string(forth ? "forth_" : "back_") + size.name + of, "GB/s", samples);
    }
  }
}
