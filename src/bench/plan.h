// In which order what is run. Randomised ABBA blocks: a block runs every target once in a random order and then once
// more in the reverse, so a machine that gets slower all the time slows all targets by the same. Blocks go over all
// programs before the next one begins: who stops early has fewer pairs of everything, not everything of little.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/scenario.h"
#include "bench/targets.h"

namespace nm::bench {

// What is run: one program of the suite by one API, or a scenario.
struct Program {
  std::string name, suite, api, size;
  std::optional<int64_t> level;
  std::optional<Scenario> scenario;
};

// Through what: a target, or the first one again (A/A).
struct Way {
  Target target;
  bool self = false;
};

struct Step {
  size_t program = 0, way = 0;
  int64_t pair = 0;
  bool warm_up = false;
};

// `warm_up`: first of all, each program once through each way; those runs are kept and count nowhere. They load what
// the system caches, and show what does not work before anything is spent on it.
std::vector<Step> plan(size_t programs, size_t ways, int64_t pairs, bool warm_up, uint64_t seed);

}  // namespace nm::bench
