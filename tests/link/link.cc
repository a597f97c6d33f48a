// A network link between a client and a server, in user space, so that what is measured over it can be measured again:
//
//   nm_link --listen tcp:127.0.0.1:PORT --to ADDRESS [--round-trip-us N] [--gbit N]
//
// Every byte arrives half a round trip after it was sent, and all connections together carry no more than N gigabits a
// second each way (0: as many as the machine can). Bytes pass through a pipe by reference, not by copy. A direction
// that carries something has a thread that spins: give each connection two cores. Prints "ready" when it listens.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <string>
#include <thread>

#include "base/fd.h"
#include "wire/address.h"

namespace {

int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

// One direction of the link: the time at which everything so far has been put on its way.
class Wire {
 public:
  void set(int64_t one_way_ns, double ns_per_byte) { one_way_ns_ = one_way_ns, ns_per_byte_ = ns_per_byte; }
  // When these bytes, which are there now, arrive.
  int64_t carry(size_t bytes) {
    const auto takes = static_cast<int64_t>(ns_per_byte_ * static_cast<double>(bytes));
    int64_t before = free_.load(), after;
    do after = std::max(before, now_ns()) + takes;
    while (!free_.compare_exchange_weak(before, after));
    return after + one_way_ns_;
  }

 private:
  int64_t one_way_ns_ = 0;
  double ns_per_byte_ = 0;
  std::atomic<int64_t> free_{0};
};

Wire g_up, g_down;

// One direction of one connection.
class Direction {
 public:
  Direction(int from, int to, Wire& wire) : from_(from), to_(to), wire_(wire) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
      in_.reset(ends[1]);
      out_.reset(ends[0]);
      fcntl(ends[1], F_SETPIPE_SZ, kPipe);
    }
  }

  // Until the sender has ended and all has arrived, or the receiver is gone.
  void run() {
    int64_t busy = now_ns();
    while (!(ended_ && under_way_.empty())) {
      bool worked = take();
      if (!give(&worked)) {
        shutdown(from_, SHUT_RD);
        return;
      }
      if (worked)
        busy = now_ns();
      else if (under_way_.empty() && now_ns() - busy > kSpinNs) {
        pollfd p{from_, POLLIN, 0};
        poll(&p, 1, -1);
        busy = now_ns();
      }
    }
    shutdown(to_, SHUT_WR);
  }

 private:
  static constexpr int kPipe = 1 << 20;
  static constexpr size_t kPiece = 256 << 10;
  static constexpr int64_t kSpinNs = 2'000'000;
  struct Piece {
    int64_t due;
    size_t bytes;
  };

  bool take() {
    if (ended_) return false;
    const ssize_t n = splice(from_, nullptr, in_.get(), nullptr, kPiece, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) {
      ended_ = true;
      return true;
    }
    under_way_.push_back({wire_.carry(static_cast<size_t>(n)), static_cast<size_t>(n)});
    return true;
  }

  bool give(bool* worked) {
    if (under_way_.empty() || now_ns() < under_way_.front().due) return true;
    Piece& piece = under_way_.front();
    const ssize_t n = splice(out_.get(), nullptr, to_, nullptr, piece.bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n <= 0) return false;
    *worked = true;
    if ((piece.bytes -= static_cast<size_t>(n)) == 0) under_way_.pop_front();
    return true;
  }

  const int from_, to_;
  Wire& wire_;
  nm::Fd in_, out_;
  bool ended_ = false;
  std::deque<Piece> under_way_;
};

void make_ready(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void serve(nm::Fd client, const nm::wire::Address& to) {
  auto server = nm::wire::dial(to, nm::Millis(5000));
  if (!server) {
    fprintf(stderr, "nm_link: %s\n", server.error().message.c_str());
    return;
  }
  make_ready(client.get());
  make_ready(server->get());
  Direction up(client.get(), server->get(), g_up), down(server->get(), client.get(), g_down);
  std::thread back([&] { down.run(); });
  up.run();
  back.join();
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
          "nm_link: %s\nusage: nm_link --listen tcp:127.0.0.1:PORT --to ADDRESS [--round-trip-us N] [--gbit N]\n",
          why.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  std::string listen, to;
  int64_t one_way_ns = 0;
  double ns_per_byte = 0;
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
    else
      return usage("cannot make sense of " + name + " " + value);
  }
  g_up.set(one_way_ns, ns_per_byte);
  g_down.set(one_way_ns, ns_per_byte);
  auto here = nm::wire::parse_address(listen), there = nm::wire::parse_address(to);
  if (!here) return usage(here.error().message);
  if (!there) return usage(there.error().message);
  if (here->kind != nm::wire::Address::Kind::tcp || here->host != "127.0.0.1")
    return usage("--listen takes tcp:127.0.0.1:PORT");
  nm::Fd listener = listen_on(*here);
  if (!listener) return usage("cannot listen on " + listen + ": " + strerror(errno));
  puts("ready");
  fflush(stdout);
  for (;;) {
    nm::Fd client(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) std::thread(serve, std::move(client), *there).detach();
  }
}
