// The daemon's end of the gate (identity/gate.h), a process that shakes hands with who comes from the network: starts
// it, hears of each connection that it lets in, starts it again should it end. And two helpers that live shortly: one
// answers who wants a certificate, one keeps this host's own fresh. The daemon knows their command lines and nothing of
// keys.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/process.h"
#include "base/result.h"
#include "server/daemon_loop.h"
#include "wire/handover.h"

namespace nm::server {

struct GateCommands {
  std::string program;               // what is executed
  std::vector<std::string> gate;     // argv; " --control-fd 3 --listen-fd 4 --listen-fd 5 ..." is added
  std::vector<std::string> enrol;    // argv; " --fd 3 --peer PEER --from ADDRESS" is added
  std::vector<std::string> refresh;  // argv
  std::vector<std::string> env;
  Millis refresh_every{300'000};
  Millis first_back_off{1'000};
  size_t enrolments = 8;  // at the same time; and of one address kEnrolmentsPerPeer
};

class GateKeeper {
 public:
  using LetIn = std::function<void(const wire::Handover&, Fd)>;

  GateKeeper(Loop& loop, GateCommands commands, LetIn let_in);
  ~GateKeeper();
  GateKeeper(const GateKeeper&) = delete;

  // `listeners` stay the caller's. The error: it could not be started at all.
  Result<void> start(std::vector<int> listeners);
  // While paused what the gate lets in waits with it.
  void pause(bool paused);
  // Nobody new. Connections that are there go on for as long as this process lives.
  void close();
  bool runs() const { return gate_.pidfd() >= 0; }

 private:
  Result<void> start_gate();
  void on_control();
  void on_gate_end();
  void enrol(const wire::Handover& handover, Fd fd);
  void refresh();
  // Calls `ended` when it has, and has been reaped.
  Result<void> run_helper(std::vector<std::string> argv, std::vector<std::pair<int, int>> fds,
                          std::function<void(const ExitStatus&)> ended);

  Loop& loop_;
  const GateCommands commands_;
  const LetIn let_in_;
  std::vector<int> listeners_;
  Process gate_;
  Fd control_;
  bool closed_ = false, paused_ = false;
  Millis back_off_;
  std::map<int, Process> helpers_;            // by pidfd
  std::map<std::string, size_t> enrolments_;  // under way, by host
  size_t enrolments_in_all_ = 0;
};

}  // namespace nm::server
