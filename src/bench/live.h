// The sampler's world as it is: processes, a result file, a clock, Ctrl-C.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/paths.h"
#include "bench/results_io.h"
#include "bench/sampler.h"

namespace nm::bench {

// Ctrl-C, SIGTERM and a terminal's end become a descriptor that is readable, so that a run can be ended in order and
// what was measured is shown. With the object's end they do what they always did.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  int fd() const { return fd_.get(); }
  bool came() const;

 private:
  Fd fd_;
};

struct LiveOptions {
  std::string workload_here;         // path of nearmetal-workload, for targets that run here
  std::string workload_there;        // for the others; empty: the same
  int64_t passes = 0;                // 0: the program's own choice
  uint64_t seed = 1;                 // of the programs' data
  std::optional<Millis> time_limit;  // else by size, or the scenario's
  Millis grace{5'000};
};

// What is executed for a program through a way.
std::vector<std::string> command_of(const Program& program, const Way& way, const LiveOptions& options);

class LiveBench : public Bench {
 public:
  LiveBench(LiveOptions options, const Interrupt& interrupt, ResultWriter* writer,
            std::function<void(const Progress&)> show)
      : options_(std::move(options)), interrupt_(interrupt), writer_(writer), show_(std::move(show)) {}

  void measure(const Program& program, const Way& way, Run& run) override;
  Result<void> keep(const Run& run) override;
  void show(const Progress& progress) override {
    last_ = progress;
    show_(progress);
  }

 private:
  Millis limit_of(const Program& program) const;

  LiveOptions options_;
  const Interrupt& interrupt_;
  ResultWriter* writer_;  // null: nothing is saved
  std::function<void(const Progress&)> show_;
  Progress last_;
};

std::string now_text();     // UTC, with milliseconds
std::string random_name();  // 16 hex digits

}  // namespace nm::bench
