#include "bench/statistics.h"

#include <algorithm>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "bench/results.h"

namespace nm::bench {
namespace {

namespace math = boost::math;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kMostPairs = 10'000;

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// With n - 1 below: of a sample.
double variance_of(std::span<const double> values, double mean) {
  if (values.size() < 2) return kInfinity;
  double sum = 0;
  for (double value : values) sum += (value - mean) * (value - mean);
  return sum / static_cast<double>(values.size() - 1);
}

bool enough(const Estimate& estimate) { return estimate.count >= kFewest && std::isfinite(estimate.error); }

// P(T > t) for the estimate's degrees of freedom.
double upper_tail(const Estimate& estimate, double t) {
  if (std::isinf(t)) return t > 0 ? 0 : 1;
  return math::cdf(math::complement(math::students_t(estimate.freedom), t));
}

// (mean - null) in standard errors. Without any spread every distance is an infinite one.
double distance(const Estimate& estimate, double null) {
  const double difference = estimate.mean - null;
  if (estimate.error > 0) return difference / estimate.error;
  return difference == 0 ? 0 : std::copysign(kInfinity, difference);
}

// By how many standard errors must the truth lie away, for a one-sided test at 5 % to find it with `power`? Student's t
// is then the non-central one. It takes long to find and depends on the degrees of freedom alone, which are the same
// for all metrics of a comparison: kept.
double errors_to_detect(double freedom, double power) {
  thread_local std::map<std::pair<double, double>, double> known;
  const auto [at, fresh] = known.try_emplace({freedom, power}, 0.0);
  if (!fresh) return at->second;
  if (known.size() > 1'000) known = {{{freedom, power}, 0.0}};  // Welch's are all different
  const double t = math::quantile(math::students_t(freedom), 0.95);
  double low = 0, high = t + 40;
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    const double found = math::cdf(math::complement(math::non_central_t(freedom, middle), t));
    (found >= power ? high : low) = middle;
  }
  return known[{freedom, power}] = high;
}

}  // namespace

Estimate paired(std::span<const double> d) {
  Estimate out;
  out.count = d.size();
  if (d.empty()) return {.mean = 0, .sd = kInfinity, .error = kInfinity, .freedom = 1, .count = 0};
  out.mean = mean_of(d);
  out.sd = std::sqrt(variance_of(d, out.mean));
  out.freedom = std::max(1.0, static_cast<double>(d.size()) - 1);
  out.error = d.size() < kFewest ? kInfinity : out.sd / std::sqrt(static_cast<double>(d.size()));
  return out;
}

Estimate welch(std::span<const double> reference, std::span<const double> target) {
  Estimate out;
  out.count = std::min(reference.size(), target.size());
  if (out.count == 0) return {.mean = 0, .sd = kInfinity, .error = kInfinity, .freedom = 1, .count = 0};
  const double r = mean_of(reference), t = mean_of(target);
  const double nr = static_cast<double>(reference.size()), nt = static_cast<double>(target.size());
  const double vr = variance_of(reference, r), vt = variance_of(target, t);
  out.mean = t - r;
  out.sd = std::sqrt(vr + vt);
  if (out.count < kFewest) {
    out.error = kInfinity;
    return out;
  }
  const double sr = vr / nr, st = vt / nt;
  out.error = std::sqrt(sr + st);
  // Welch and Satterthwaite's.
  const double below = sr * sr / (nr - 1) + st * st / (nt - 1);
  out.freedom = below > 0 ? (sr + st) * (sr + st) / below : nr + nt - 2;
  return out;
}

LogInterval t_interval(const Estimate& estimate, double confidence) {
  if (!enough(estimate)) return {-kInfinity, kInfinity};
  const double t = math::quantile(math::students_t(estimate.freedom), 0.5 + confidence / 2);
  return {estimate.mean - t * estimate.error, estimate.mean + t * estimate.error};
}

double p_difference(const Estimate& estimate) {
  if (!enough(estimate)) return 1;
  return std::min(1.0, 2 * upper_tail(estimate, std::abs(distance(estimate, 0))));
}

double p_equivalence(const Estimate& estimate, double log_margin) {
  if (!enough(estimate)) return 1;
  const double above_low = upper_tail(estimate, distance(estimate, -log_margin));
  const double below_high = upper_tail(estimate, -distance(estimate, log_margin));
  return std::max(above_low, below_high);
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> out(p.size());
  double highest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    highest = std::max(highest, std::min(1.0, p[order[i]] * static_cast<double>(p.size() - i)));
    out[order[i]] = highest;
  }
  return out;
}

// With the sample's deviation in place of the true one, what is left of the margin after the interval's half has a
// Student's distribution, near enough: coverage_test.cc holds it against simulation.
double equivalence_power(size_t pairs, double sd, double log_margin) {
  if (pairs < kFewest || !std::isfinite(sd)) return 0;
  if (sd == 0) return 1;
  const math::students_t student(static_cast<double>(pairs) - 1);
  const double room = log_margin / (sd / std::sqrt(static_cast<double>(pairs))) - math::quantile(student, 0.95);
  return room > 0 ? 2 * math::cdf(student, room) - 1 : 0;
}

std::optional<int64_t> pairs_needed(double sd, double log_margin, double power) {
  if (!std::isfinite(sd) || !(log_margin > 0)) return std::nullopt;
  const auto suffices = [&](int64_t pairs) {
    return equivalence_power(static_cast<size_t>(pairs), sd, log_margin) >= power;
  };
  // By the normal distribution first; Student's is a few pairs away.
  const double root = 3.29 * sd / log_margin;
  int64_t pairs = static_cast<int64_t>(std::clamp(root * root, static_cast<double>(kFewest), kMostPairs + 1.0));
  while (pairs > static_cast<int64_t>(kFewest) && suffices(pairs - 1)) --pairs;
  while (pairs <= kMostPairs && !suffices(pairs)) ++pairs;
  if (pairs > kMostPairs) return std::nullopt;
  return pairs;
}

double detectable_difference(const Estimate& estimate, double power) {
  if (!enough(estimate)) return kInfinity;
  if (estimate.error == 0) return 0;
  return errors_to_detect(estimate.freedom, power) * estimate.error;
}

std::vector<size_t> outliers(std::span<const double> values) {
  constexpr double kFar = 3.5, kNormal = 1.4826;  // Iglewicz and Hoaglin; MAD to deviation for a normal distribution
  if (values.size() < 5) return {};
  const double middle = median({values.begin(), values.end()});
  std::vector<double> away;
  for (double value : values) away.push_back(std::abs(value - middle));
  const double deviation = kNormal * median(away);
  std::vector<size_t> out;
  for (size_t i = 0; deviation > 0 && i < values.size(); ++i) {
    if (std::abs(values[i] - middle) > kFar * deviation) out.push_back(i);
  }
  return out;
}

}  // namespace nm::bench
