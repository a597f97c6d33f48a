#include "pool/shares.h"

#include <algorithm>
#include <cmath>

namespace nm::pool {

double Use::average_at(Time now, Duration half_life) const {
  const double passed = static_cast<double>(std::max<int64_t>(0, (now - at).count()));
  const double left = std::exp2(-passed / static_cast<double>(std::max<int64_t>(1, half_life.count())));
  return static_cast<double>(held) + (average - static_cast<double>(held)) * left;
}

void Use::change(int64_t held_by, int64_t kept_by, Time now, Duration half_life) {
  average = average_at(now, half_life);
  at = std::max(at, now);
  held += held_by;
  kept += kept_by;
}

double standing(const Use& use, int64_t more, int weight, Duration half_life, Time now) {
  return (static_cast<double>(use.held + more) + use.average_at(now, half_life)) / std::max(1, weight);
}

}  // namespace nm::pool
