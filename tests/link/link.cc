// A network link between a client and a server, in user space, so that what is measured over it can be measured again:
//
//   nm_link --listen tcp:127.0.0.1:PORT --to ADDRESS [--round-trip-us N] [--gbit N]
//
// Every byte arrives half a round trip after it has been sent, and no direction of a connection carries more than N
// gigabits a second (0: as many as the machine can). Each direction has two threads, of which one spins until the next
// bytes are due: give it cores of its own. Prints "ready" when it listens.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "wire/address.h"

namespace {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::nanoseconds;

struct Link {
  Nanoseconds one_way{0};
  double ns_per_byte = 0;
};

// One direction of one connection.
class Direction {
 public:
  Direction(int from, int to, Link link) : from_(from), to_(to), link_(link) {}

  void run() {
    std::thread deliver([this] { this->deliver(); });
    take();
    deliver.join();
  }

 private:
  static constexpr size_t kPiece = 64 << 10;
  // What may be under way: far more than any link's delay times its bandwidth.
  static constexpr size_t kMost = 256 << 20;

  struct Piece {
    Clock::time_point due;
    std::vector<char> bytes;  // none: the sender has ended
  };

  void take() {
    Clock::time_point free = Clock::now();  // when the link has put everything so far on its way
    for (;;) {
      Piece piece;
      piece.bytes.resize(kPiece);
      ssize_t n;
      do n = recv(from_, piece.bytes.data(), kPiece, 0);
      while (n < 0 && errno == EINTR);
      piece.bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
      const Clock::time_point now = Clock::now();
      free = std::max(free, now) +
             Nanoseconds(static_cast<int64_t>(link_.ns_per_byte * static_cast<double>(piece.bytes.size())));
      piece.due = free + link_.one_way;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return under_way_ < kMost || broken_; });
      if (broken_) return;
      under_way_ += piece.bytes.size();
      pieces_.push_back(std::move(piece));
      changed_.notify_all();
      if (n <= 0) return;
    }
  }

  void deliver() {
    for (;;) {
      Piece piece;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !pieces_.empty(); });
        piece = std::move(pieces_.front());
        pieces_.pop_front();
        under_way_ -= piece.bytes.size();
        changed_.notify_all();
      }
      while (Clock::now() < piece.due) {
        if (piece.due - Clock::now() > std::chrono::microseconds(200))
          std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
      if (piece.bytes.empty()) {
        shutdown(to_, SHUT_WR);
        return;
      }
      for (size_t at = 0; at < piece.bytes.size();) {
        ssize_t n = send(to_, piece.bytes.data() + at, piece.bytes.size() - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
          shutdown(from_, SHUT_RD);
          std::lock_guard lock(mutex_);
          broken_ = true;
          changed_.notify_all();
          return;
        }
        at += static_cast<size_t>(n);
      }
    }
  }

  int from_, to_;
  Link link_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;
  size_t under_way_ = 0;
  bool broken_ = false;
};

void serve(nm::Fd client, const nm::wire::Address& to, Link link) {
  auto server = nm::wire::dial(to, nm::Millis(5000));
  if (!server) {
    fprintf(stderr, "nm_link: %s\n", server.error().message.c_str());
    return;
  }
  int on = 1;
  setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Direction up(client.get(), server->get(), link), down(server->get(), client.get(), link);
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
  Link link;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    if (i + 1 == argc) return usage(name + " needs a value");
    const char* value = argv[++i];
    char* end = nullptr;
    const double number = strtod(value, &end);
    const bool is_number = end != value && !*end && number >= 0;
    if (name == "--listen")
      listen = value;
    else if (name == "--to")
      to = value;
    else if (name == "--round-trip-us" && is_number)
      link.one_way = Nanoseconds(static_cast<int64_t>(number * 500));
    else if (name == "--gbit" && is_number)
      link.ns_per_byte = number > 0 ? 8 / number : 0;
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
  puts("ready");
  fflush(stdout);
  for (;;) {
    nm::Fd client(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) std::thread(serve, std::move(client), *there, link).detach();
  }
}
