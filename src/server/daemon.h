// The daemon: accepts connections, reads their Hello, gives each session a worker process and hands the connection
// over. It never sees a CUDA call: what a hostile client sends after its Hello reaches that client's worker alone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "server/daemon_gate.h"
#include "server/worker_pool.h"
#include "wire/address.h"

namespace nm::server {

struct DaemonOptions {
  std::vector<wire::Address> listen;
  std::string group;        // Unix sockets: empty for 0600, else this group and 0660
  size_t max_sessions = 0;  // 0: no limit
  Millis drain{10'000};     // how long a stop waits for sessions
  Millis hello_timeout{5'000};
  PoolOptions pool;
  GateCommands gate;  // without a command, no encrypted address is listened on
  // Whether a member of the pool ("user alice"), calling from there, may have a session of this program. The error is
  // the sentence that it is told. Not asked about local connections and plain loopback.
  std::function<Result<void>(const std::string& member, const std::string& from, const std::string& program)> admit;
};

// Serves until SIGTERM or SIGINT and leaves nothing behind: no socket, no process. A second signal ends the wait for
// sessions. The error is a sentence: it could not start.
Result<void> serve(const DaemonOptions& options);

}  // namespace nm::server
