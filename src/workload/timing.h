// Timing by the host's clock, for programs that time the driver's own calls.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

namespace nm::workload {

template <typename F>
double seconds_of(const F& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// A value a pass, after a first pass that is not kept: of `measure(pass)`.
template <typename F>
std::vector<double> each_pass(int passes, const F& measure) {
  measure();
  std::vector<double> values;
  for (int pass = 0; pass < passes; ++pass) values.push_back(measure());
  return values;
}

// Never the same twice on a machine, whatever --seed says: for what drivers keep from one process to the next.
inline uint64_t fresh_salt() {
  std::random_device source;
  return ((uint64_t{source()} << 32) | source()) >> 1;
}

}  // namespace nm::workload
