// Runs a command to its end, within limits: of time, of patience with a Ctrl-C, and of what it may print.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/process.h"
#include "base/result.h"

namespace nm::bench {

struct ExecuteOptions {
  std::vector<std::string> argv;  // argv[0] is searched in PATH if it has no slash
  std::vector<std::string> env;
  Millis time_limit{600'000};
  Millis grace{5'000};    // between TERM and KILL
  int interrupt_fd = -1;  // readable: end it and stop
  // Its standard output as it comes; false: enough, end it.
  std::function<bool(std::string_view)> output;
  std::function<void()> tick;  // about every second; may be empty
};

struct Execution {
  ExitStatus status;
  bool hung = false, interrupted = false, cut = false;  // ended by us, and why
  std::string last_words;                               // the last line of its standard error
  double seconds = 0;
};

// The command gets a process group of its own, so that what it starts ends with it. The error: it could not be started.
Result<Execution> execute(const ExecuteOptions& options);

// Where a program is, as execvp() would find it. Empty: nowhere.
std::string find_program(const std::string& name);

}  // namespace nm::bench
