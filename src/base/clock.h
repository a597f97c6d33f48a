// Monotonic time: the only clock that deadlines and durations are taken from.
#pragma once

#include <chrono>

namespace nm {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Millis = std::chrono::milliseconds;

// What is left until `deadline`, never negative, rounded up so that a poll() of this length does not end early.
inline Millis time_left(TimePoint deadline) {
  const auto left = std::chrono::ceil<Millis>(deadline - Clock::now());
  return left < Millis::zero() ? Millis::zero() : left;
}

}  // namespace nm
