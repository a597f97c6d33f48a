// What carries bytes over the emulated link: a few threads a direction, each for some connections.
//
// A thread looks at its sockets in turn and never sleeps while one of them has been busy lately, for to be woken takes
// as long as the delays that are emulated. What it finds has come since it looked before; it goes on when the link's
// bandwidth and delay say so. nm_sockets tells whether a round trip between two ends that spin takes so much longer
// than without the link as it promises. Between ends that sleep it takes longer: after so long a sleep their cores do.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace nm::link {

// With cores for everybody. With few, a thread that spins keeps those waiting that it spins for, and when it looked
// last says little.
inline bool is_roomy() {
  static const bool is = std::thread::hardware_concurrency() >= 8;
  return is;
}
// How much of the delay may be taken as having passed before a byte was seen.
inline int64_t most_allowed_ns() { return is_roomy() ? 20'000 : 0; }

inline int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

// One direction of the link, for all connections: the time at which everything so far has been put on its way.
class Wire {
 public:
  Wire(int64_t one_way_ns, double ns_per_byte) : one_way_ns_(one_way_ns), ns_per_byte_(ns_per_byte) {}
  // When bytes that came at `came` arrive at the other end.
  int64_t carry(size_t bytes, int64_t came) {
    const auto takes = static_cast<int64_t>(ns_per_byte_ * static_cast<double>(bytes));
    int64_t before = free_.load(), after;
    do after = std::max(before, came) + takes;
    while (!free_.compare_exchange_weak(before, after));
    return after + one_way_ns_;
  }

 private:
  const int64_t one_way_ns_;
  const double ns_per_byte_;
  std::atomic<int64_t> free_{0};
};

struct Connection {
  Fd client, server;
};

// One direction of one connection. Bytes wait in a pipe, by reference.
class Flow {
 public:
  Flow(std::shared_ptr<Connection> connection, int from, int to, Wire& wire)
      : connection_(std::move(connection)), from_(from), to_(to), wire_(wire), looked_(now_ns()) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) return;
    in_.reset(ends[1]);
    out_.reset(ends[0]);
    fcntl(ends[1], F_SETPIPE_SZ, kPipe);
  }

  int from() const { return from_; }
  bool is_empty() const { return under_way_.empty(); }
  bool over() const { return over_; }
  // True if anything moved.
  bool step() {
    const bool took = take(), gave = give();
    if (ended_ && under_way_.empty() && !over_) {
      shutdown(to_, SHUT_WR);
      over_ = true;
    }
    return took || gave;
  }

 private:
  static constexpr int kPipe = 1 << 20;
  static constexpr size_t kPiece = 128 << 10;
  // To look takes the socket's lock, which the other direction needs to send.
  static constexpr int64_t kBetweenLooks = 1'000;
  struct Piece {
    int64_t due;
    size_t bytes;
  };

  bool take() {
    if (ended_) return false;
    const int64_t now = now_ns();
    if (now < look_again_) return false;
    const ssize_t n = splice(from_, nullptr, in_.get(), nullptr, kPiece, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    // Some time since the look before this one.
    const int64_t came = now - std::min((now - std::exchange(looked_, now)) / 2, most_allowed_ns());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      look_again_ = now + kBetweenLooks;
      return false;
    }
    if (n <= 0) {
      ended_ = true;
      return true;
    }
    under_way_.push_back({wire_.carry(static_cast<size_t>(n), came), static_cast<size_t>(n)});
    return true;
  }

  bool give() {
    if (under_way_.empty()) return false;
    Piece& piece = under_way_.front();
    if (now_ns() < piece.due) return false;
    const ssize_t n = splice(out_.get(), nullptr, to_, nullptr, piece.bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) {  // the receiver is gone
      shutdown(from_, SHUT_RD);
      over_ = ended_ = true;
      return true;
    }
    if ((piece.bytes -= static_cast<size_t>(n)) == 0) under_way_.pop_front();
    return true;
  }

  std::shared_ptr<Connection> connection_;
  const int from_, to_;
  Wire& wire_;
  Fd in_, out_;
  bool ended_ = false, over_ = false;
  int64_t looked_, look_again_ = 0;
  std::deque<Piece> under_way_;
};

// A thread and its flows.
class Carrier {
 public:
  Carrier() : bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    std::thread([this] { run(); }).detach();  // until the process ends
  }
  void add(std::unique_ptr<Flow> flow) {
    std::lock_guard lock(mutex_);
    new_.push_back(std::move(flow));
    any_new_ = true;
    eventfd_write(bell_.get(), 1);
  }

 private:
  void run() {
    const int64_t patience = is_roomy() ? 1'000'000'000 : 200'000;
    std::vector<std::unique_ptr<Flow>> flows;
    int64_t busy = now_ns();
    for (;;) {
      if (any_new_.exchange(false)) {
        std::lock_guard lock(mutex_);
        for (auto& flow : new_) flows.push_back(std::move(flow));
        new_.clear();
      }
      bool moved = false, empty = true;
      for (auto& flow : flows) {
        moved |= flow->step();
        empty &= flow->is_empty();
      }
      if (moved) {
        busy = now_ns();
        std::erase_if(flows, [](auto& flow) { return flow->over(); });
      } else if (empty && now_ns() - busy > patience) {
        sleep(flows);
        busy = now_ns();
      }
    }
  }

  void sleep(const std::vector<std::unique_ptr<Flow>>& flows) {
    std::vector<pollfd> fds{{bell_.get(), POLLIN, 0}};
    for (auto& flow : flows) fds.push_back({flow->from(), POLLIN, 0});
    poll(fds.data(), fds.size(), -1);
    eventfd_t count;
    eventfd_read(bell_.get(), &count);
  }

  Fd bell_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Flow>> new_;
  std::atomic<bool> any_new_{false};
};

}  // namespace nm::link
