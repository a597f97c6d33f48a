// Child processes with nothing inherited by accident: file descriptors, signal mask, signal actions and environment
// are what the caller says and nothing else. A process is watched through its pidfd, which becomes readable at its end.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace nm {

struct SpawnOptions {
  std::vector<std::string> argv;  // argv[0] as the child sees it
  std::string program;            // path to execute; empty: argv[0]. Not searched in PATH.
  std::vector<std::string> env;   // "NAME=VALUE", the whole environment
  // (descriptor here, number there). stdout and stderr are inherited unless named; stdin is /dev/null unless named.
  // Everything else is closed in the child.
  std::vector<std::pair<int, int>> fds;
  bool die_with_parent = false;  // SIGKILL when the thread that spawned it ends, however it ends
  bool own_group = false;        // a terminal's Ctrl-C does not reach it
  // The kernel places what the child maps from a third of the address space upwards, far from where other programs have
  // their libraries and heaps: addresses that the child hands out are then free there. (It does so for a process whose
  // stack is unlimited; the child should limit it again.)
  bool map_low = false;
};

struct ExitStatus {
  bool signaled = false;
  int code = 0;  // exit status, or the signal's number
  bool clean() const { return !signaled && code == 0; }
  // "exited with status 3", "was ended by signal 11 (Segmentation fault)"
  std::string describe() const;
};

class Process {
 public:
  Process() = default;
  Process(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  // Through the pidfd: never reaches a process that took over the number.
  void signal(int number) const;
  // Blocks until the process has ended, and reaps it. Call once.
  ExitStatus wait();

 private:
  pid_t pid_ = -1;
  Fd pidfd_;
};

// An exec that fails is reported here, as a sentence, not as an exit status of 127.
Result<Process> spawn(const SpawnOptions& options);

// The caller's environment as a list of "NAME=VALUE".
std::vector<std::string> current_environment();
// Sets or replaces NAME in `env`.
void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value);
void unset_env(std::vector<std::string>& env, const std::string& name);

}  // namespace nm
