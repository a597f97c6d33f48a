// A network link between a client and a server, in user space, so that what is measured over it can be measured again:
//
//   nm_link --listen tcp:127.0.0.1:PORT --to ADDRESS [--round-trip-us N] [--gbit N] [--threads N]
//
// A round trip takes so much longer than without the link, and all connections together carry no more than N gigabits a
// second each way (0: as many as the machine can). Each direction has so many threads, which spin while anything has
// come lately (carrier.h). Prints "ready" when it listens. nm_sockets tells whether it keeps what it promises.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "carrier.h"
#include "wire/address.h"

namespace {

void make_ready(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// Both directions of the link, and who carries them.
struct Link {
  Link(int64_t one_way_ns, double ns_per_byte, unsigned threads)
      : up(one_way_ns, ns_per_byte), down(one_way_ns, ns_per_byte), up_threads(threads), down_threads(threads) {}
  nm::link::Wire up, down;
  std::vector<nm::link::Carrier> up_threads, down_threads;
  std::atomic<unsigned> connections{0};
};

void serve(nm::Fd client, const nm::wire::Address& to, Link& link) {
  auto server = nm::wire::dial(to, nm::Millis(5000));
  if (!server) {
    fprintf(stderr, "nm_link: %s\n", server.error().message.c_str());
    return;
  }
  make_ready(client.get());
  make_ready(server->get());
  auto both = std::make_shared<nm::link::Connection>();
  both->client = std::move(client);
  both->server = std::move(*server);
  const int near = both->client.get(), far = both->server.get();
  const unsigned n = link.connections++;
  link.up_threads[n % link.up_threads.size()].add(std::make_unique<nm::link::Flow>(both, near, far, link.up));
  link.down_threads[n % link.down_threads.size()].add(std::make_unique<nm::link::Flow>(both, far, near, link.down));
}

nm::Fd listen_on(const nm::wire::Address& address) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(address.port);
  inet_pton(AF_INET, address.host.c_str(), &at.sin_addr);
  nm::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) || listen(fd.get(), 64)) return {};
  return fd;
}

int usage(const std::string& why) {
  fprintf(stderr,
          "nm_link: %s\nusage: nm_link --listen tcp:127.0.0.1:PORT --to ADDRESS [--round-trip-us N] [--gbit N] "
          "[--threads N]\n",
          why.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  std::string listen, to;
  int64_t one_way_ns = 0;
  double ns_per_byte = 0;
  unsigned threads = std::thread::hardware_concurrency() >= 8 ? 2 : 1;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    if (i + 1 == argc) return usage(name + " needs a value");
    const char* value = argv[++i];
    char* end = nullptr;
    const double number = strtod(value, &end);
    const bool is_number = end != value && !*end && number >= 0 && number < 1e9;
    if (name == "--listen")
      listen = value;
    else if (name == "--to")
      to = value;
    else if (name == "--round-trip-us" && is_number)
      one_way_ns = static_cast<int64_t>(number * 500);
    else if (name == "--gbit" && is_number)
      ns_per_byte = number > 0 ? 8 / number : 0;
    else if (name == "--threads" && is_number && number >= 1 && number <= 64)
      threads = static_cast<unsigned>(number);
    else
      return usage("cannot make sense of " + name + " " + value);
  }
  auto here = nm::wire::parse_address(listen), there = nm::wire::parse_address(to);
  if (!here) return usage(here.error().message);
  if (!there) return usage(there.error().message);
  if (here->kind != nm::wire::Address::Kind::tcp || here->host != "127.0.0.1")
    return usage("--listen takes tcp:127.0.0.1:PORT");
  nm::Fd listener = listen_on(*here);
  if (!listener) return usage("cannot listen on " + listen + ": " + strerror(errno));
  Link link(one_way_ns, ns_per_byte, threads);
  puts("ready");
  fflush(stdout);
  for (;;) {
    nm::Fd client(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client)
      std::thread([&, client = std::move(client)]() mutable { serve(std::move(client), *there, link); }).detach();
  }
}
