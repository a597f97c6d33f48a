// A trace, replayed through the pool: what the policy makes of the hosts and of people's time, and what a decision
// costs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pool/policy.h"
#include "pool/trace.h"

namespace nm::pool {

struct Quantiles {
  double p50 = 0, p99 = 0, max = 0, mean = 0;
};
Quantiles quantiles(std::vector<double> values);  // of none: zeros

struct Outcome {
  std::string name;
  size_t claims = 0, served = 0, refused = 0, never = 0;  // never: still waiting when nothing happens any more
  size_t borrowed = 0, taken_back = 0, overran = 0;
  double utilisation = 0;       // compute granted over compute there, while claims come
  double fragmentation = 0;     // of what was idle then, the part that was not on wholly idle hosts
  double lost_gpu_hours = 0;    // of leases that were taken back
  Duration span{}, makespan{};  // until the last claim came, and until the last lease ended
  Quantiles wait, big_wait;     // seconds from a claim's coming to its first lease; of claims for kBig or more GPUs
  Quantiles decision;           // microseconds
  Quantiles examined;           // hosts looked at in a decision
  size_t decisions = 0, longest_queue = 0;
};
inline constexpr int kBig = 8;

struct Contender {
  std::string name;
  Policy policy;
};
// "pack" and "spread" with the trace's projects; "first-fit" and "best-fit" are the textbook's: in order of arrival,
// whoever fits, no quotas and nobody kept waiting for another.
Result<Contender> contender(const std::string& name, const Trace& trace);

struct Watch {
  std::function<int64_t()> nanoseconds;                   // a clock for what decisions cost
  std::function<bool(size_t done, size_t all)> progress;  // after some events; false: stop here
};
// The error: stopped, or the trace cannot be.
Result<Outcome> simulate(const Trace& trace, const Contender& contender, const Watch& watch);

}  // namespace nm::pool
