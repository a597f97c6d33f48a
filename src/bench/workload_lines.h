// Reads what a benchmark program prints (src/workload/output.md) into a run. The program may have come through any
// target, so nothing of it is believed: not its exit status when a check failed, not a check's `ok` when its error is
// beyond its bound, not a line because the one before was good. What was measured before the trouble is kept.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/process.h"
#include "bench/results.h"

namespace nm::bench {

class WorkloadReader {
 public:
  // `run` has program, api and size as they were asked for.
  explicit WorkloadReader(Run& run) : run_(run) {}

  // Any piece of its output. False: it is no use to read on.
  bool feed(std::string_view bytes);
  // The output is over, the process has ended, and these were the last words on its standard error. Sets the status.
  void finish(const ExitStatus& ended, const std::string& last_words);

 private:
  void take_line(std::string_view line);
  void begin(const Json& line);
  void sample(const Json& line);
  void check(const Json& line);
  void rubbish(const std::string& sentence);
  void set(Status status, const std::string& sentence);

  Run& run_;
  std::string partial_;
  size_t bytes_ = 0, lines_ = 0;
  bool begun_ = false, ended_ = false, end_ok_ = false;
  std::string rubbish_;         // the first trouble, a sentence
  std::string error_;           // of a line `error`
  std::set<std::string> seen_;  // metrics
};

}  // namespace nm::bench
