// What the daemon answers to a Hello with purpose status (wire/status.h), and what it knows of its peers.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/clock.h"
#include "wire/address.h"
#include "wire/status.h"

namespace nm::server {

struct Peer {
  std::string text;  // "pid 17, uid 1000 over unix:/run/nearmetal.sock"
  std::string from;  // "unix:/run/nearmetal.sock", or "tcp:127.0.0.1:51000", the peer's own address
  bool local = false;
  uint64_t pid = 0, uid = 0;  // where local, as the kernel tells
  std::string member;         // "user alice", where a certificate says so; such a connection came through the gate
};
Peer peer_of(int fd, const wire::Address& listener);

// An answer on its way to a socket that may not take it all at once.
class StatusAnswer {
 public:
  StatusAnswer() = default;
  explicit StatusAnswer(const wire::ServerStatus& status);

  enum class State { under_way, sent, failed };
  // Sends what a non-blocking socket takes.
  State send_some(int fd);
  bool under_way() const { return at_ < bytes_.size(); }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

// What a process has used of the processors; 0 if it is gone.
uint64_t cpu_time_us(pid_t pid);

// Where there are more sessions than an answer has room for: those that called last.
void keep_busiest(wire::ServerStatus& status);

inline uint64_t in_us(Clock::duration time) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

}  // namespace nm::server
