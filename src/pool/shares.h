// Whose turn it is between projects. A project's standing is what it has now and what it has had of late, over its
// weight; the lowest goes first. What it has had is an average that forgets: after one half-life without a GPU, half of
// it is left. It counts in GPUs, so that it can be added to what the project has now; that part makes the rule react at
// once.
#pragma once

#include <map>
#include <string>

#include "pool/policy.h"

namespace nm::pool {

struct Use {
  int64_t held = 0;    // thousandths of a GPU, all leases
  int64_t kept = 0;    // of that, what is not borrowed: within the quota
  double average = 0;  // of `held`, as of `at`
  Time at{};

  double average_at(Time now, Duration half_life) const;
  void change(int64_t held_by, int64_t kept_by, Time now, Duration half_life);
  bool operator==(const Use&) const = default;
};

// `more`: what is about to be added.
double standing(const Use& use, int64_t more, int weight, Duration half_life, Time now);

}  // namespace nm::pool
