// Measures: goes through a plan step by step, a fresh process each, one at a time, and keeps every run.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/plan.h"
#include "bench/results.h"

namespace nm::bench {

struct Session {
  std::vector<Program> programs;
  std::vector<Way> ways;
  int64_t pairs = 1;
  bool warm_up = false;
  uint64_t order_seed = 1;
  bool different_gpus = false;  // the ways may lead to different ones
};

struct Progress {
  size_t done = 0, all = 0;  // steps
  double seconds_left = -1;  // negative: not known yet
  const Program* program = nullptr;
  const Way* way = nullptr;
  const Run* last = nullptr;  // the run that has just ended; null: one begins
};

// What the sampler needs of the world.
class Bench {
 public:
  virtual ~Bench() = default;
  // Runs the process and fills `run`, which has its place and names already. The status is set.
  virtual void measure(const Program& program, const Way& way, Run& run) = 0;
  // Nothing is kept by the caller that is not kept here. An error ends the session.
  virtual Result<void> keep(const Run& run) = 0;
  virtual void show(const Progress& progress) = 0;
};

struct Outcome {
  std::vector<Run> runs;
  bool complete = false;  // every step was done
  bool interrupted = false;
  std::string stopped;  // the sentence why it was stopped early; empty: it was not, or by Ctrl-C
};

Outcome sample(const Session& session, Bench& bench);

}  // namespace nm::bench
