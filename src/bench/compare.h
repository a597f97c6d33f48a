// From measurements to a comparison. Pure: no process, no file, no clock.
#pragma once

#include <vector>

#include "base/result.h"
#include "bench/comparison.h"
#include "bench/units.h"

namespace nm::bench {

struct CompareOptions {
  double margin = 0.01;
  uint64_t seed = 1;            // of the bootstrap
  bool different_gpus = false;  // compare them all the same
  size_t resamples = 10'000;
};

// The first arm is the reference. Arms of one session are paired; an arm of another file is not, which costs precision,
// and the target's notes say so. The error is a sentence: two versions of the suite, two models of GPU, nothing in
// common.
Result<Comparison> compare(const std::vector<Arm>& arms, const CompareOptions& options);

}  // namespace nm::bench
