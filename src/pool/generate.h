// Traces out of nothing, the same from the same seed on every machine: a cluster of three models, ten projects of
// unlike size, claims as clusters for learning see them. Most are for one GPU or a part of one, most GPU time goes to
// the few that are for many; what they run is skewed over four orders of magnitude.
#pragma once

#include "pool/trace.h"

namespace nm::pool {

struct Generate {
  int64_t gpus = 10'000;
  int per_host = 8;
  int64_t claims = 100'000;
  uint64_t seed = 1;
  double load = 0.95;  // GPU time claimed, over what there is while they come
  std::string model;   // of all hosts; empty: three models
};

Trace generate(const Generate& wish);

// Only the hosts.
std::vector<Host> generate_hosts(const Generate& wish);

// splitmix64: small, and the same everywhere, which the standard library's distributions are not.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  double unit();                 // [0, 1)
  int64_t below(int64_t bound);  // 0 if the bound is not positive
  double normal();
  double exponential(double mean);

 private:
  uint64_t state_;
};

}  // namespace nm::pool
