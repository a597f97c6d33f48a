// The gate: a process of the daemon's that shakes hands with who comes from the network, so that the daemon does not
// wait for anybody and reads nothing of a stranger. It has this host's key, no GPU and no session; what it hands to the
// daemon is a local socket and the name that the other end has proved (wire/handover.h).
//
// A handshake has some seconds, there are only so many at once from one address and in all, and where there are too
// many the oldest makes room: a real one takes milliseconds, so a crowd of half-open ones cannot keep others out.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/pool_dir.h"

namespace nm::identity {

struct GateLimits {
  Millis handshake{10'000};
  size_t half_open = 512;
  size_t half_open_per_peer = 32;
  size_t connections = 8192;
  Millis log_every{60'000};
};

struct GateOptions {
  PoolDir dir;
  int control_fd = -1;         // SOCK_SEQPACKET to the daemon; when the daemon closes its end, nobody new is let in
  std::vector<int> listeners;  // listening and not blocking
  GateLimits limits;
  std::function<void(const std::string&)> warn;  // once per peer and minute
};

// Returns when the daemon has closed the control socket and the last connection is over. The error: this host's
// certificate or key cannot be used.
Result<void> run_gate(const GateOptions& options);

}  // namespace nm::identity
