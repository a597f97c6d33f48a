// The environment of a worker: the daemon's own, without our client library, plus what the session's client may set.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/paths.h"

namespace nm::server {

class WorkerEnv {
 public:
  // `own`: the daemon's environment. A daemon started under `nearmetal run` must not serve through itself, so what
  // points at our client library is taken out.
  WorkerEnv(std::vector<std::string> own, const Tree& tree);

  // What remains of a client's entries when those that change nothing are dropped, sorted. Empty for most programs
  // (PyTorch, for one, only spells out the default): they get a warm worker.
  std::vector<std::string> significant(const std::vector<std::string>& client) const;

  const std::vector<std::string>& own() const { return own_; }

 private:
  const std::string* own_value(std::string_view name) const;

  std::vector<std::string> own_;
  std::vector<std::pair<std::string, std::string>> values_;  // of own_, for the names a client may set
};

// CUDA_VISIBLE_DEVICES of the client, which counts within what the server's own setting leaves it:
// server "2,3" and client "1" give "3". An entry that names nothing there ends the list, as it does natively.
std::string visible_devices_within(std::string_view server, std::string_view client);

}  // namespace nm::server
