#include "bench/bootstrap.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace nm::bench {
namespace {

namespace math = boost::math;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// The means of all draws.
std::vector<double> means(std::span<const double> values, const Draws& draws) {
  std::vector<double> out(draws.resamples());
  for (size_t i = 0; i < out.size(); ++i) {
    double sum = 0;
    for (uint32_t index : draws[i]) sum += values[index];
    out[i] = sum / static_cast<double>(values.size());
  }
  return out;
}

// The sums of squares and cubes of what each value pulls the mean by.
struct Influence {
  double squares = 0, cubes = 0;
};
Influence influence(std::span<const double> values, double sign) {
  const double mean = mean_of(values), count = static_cast<double>(values.size());
  Influence out;
  for (double value : values) {
    const double pull = sign * (value - mean) / count;
    out.squares += pull * pull;
    out.cubes += pull * pull * pull;
  }
  return out;
}

double quantile_of(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size()) - 0.5;
  if (at <= 0) return sorted.front();
  const auto below = static_cast<size_t>(at);
  if (below + 1 >= sorted.size()) return sorted.back();
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

LogInterval bca_of(std::vector<double> resampled, double estimate, const Influence& pull, double count, double freedom,
                   double confidence) {
  std::sort(resampled.begin(), resampled.end());
  if (resampled.front() == resampled.back()) return {estimate, estimate};
  const auto [first, last] = std::equal_range(resampled.begin(), resampled.end(), estimate);
  const double all = static_cast<double>(resampled.size());
  const double below = (static_cast<double>(first - resampled.begin()) + static_cast<double>(last - first) / 2) / all;
  const math::normal normal;
  const double bias = math::quantile(normal, std::clamp(below, 0.5 / all, 1 - 0.5 / all));
  const double acceleration = pull.squares > 0 ? pull.cubes / (6 * std::pow(pull.squares, 1.5)) : 0;
  const double wide = std::sqrt(count / (count - 1)) *
                      math::quantile(math::students_t(freedom), 0.5 + confidence / 2);  // in place of z: Hesterberg
  const auto level = [&](double z) {
    const double moved = bias + z;
    const double below_line = 1 - acceleration * moved;
    return below_line > 0 ? math::cdf(normal, bias + moved / below_line) : (moved > 0 ? 1.0 : 0.0);
  };
  return {quantile_of(resampled, level(-wide)), quantile_of(resampled, level(wide))};
}

}  // namespace

Draws::Draws(size_t count, size_t resamples, uint64_t seed) : count_(count), resamples_(resamples) {
  std::mt19937_64 random(seed);
  indices_.resize(count * resamples);
  for (uint32_t& index : indices_) {
    // The upper 32 bits, scaled: not std::uniform_int_distribution, which is another one in every standard library.
    index = static_cast<uint32_t>(((random() >> 32) * count) >> 32);
  }
}

LogInterval bca(std::span<const double> values, const Draws& draws, double confidence) {
  if (values.size() < kFewest) return {-kInfinity, kInfinity};
  const double count = static_cast<double>(values.size());
  return bca_of(means(values, draws), mean_of(values), influence(values, 1), count, count - 1, confidence);
}

LogInterval bca(std::span<const double> reference, std::span<const double> target, const Draws& reference_draws,
                const Draws& target_draws, double confidence) {
  if (std::min(reference.size(), target.size()) < kFewest) return {-kInfinity, kInfinity};
  auto resampled = means(target, target_draws);
  const auto other = means(reference, reference_draws);
  for (size_t i = 0; i < resampled.size(); ++i) resampled[i] -= other[i];
  Influence pull = influence(target, 1);
  const Influence more = influence(reference, -1);
  pull.squares += more.squares;
  pull.cubes += more.cubes;
  const double fewer = static_cast<double>(std::min(reference.size(), target.size()));
  return bca_of(std::move(resampled), mean_of(target) - mean_of(reference), pull, fewer,
                std::max(1.0, welch(reference, target).freedom), confidence);
}

double bonferroni_t(double freedom, size_t columns, double confidence) {
  return math::quantile(math::complement(math::students_t(freedom),
                                         (1 - confidence) / 2 / static_cast<double>(std::max<size_t>(columns, 1))));
}

double simultaneous_t(const std::vector<std::vector<double>>& columns, const Draws& draws, double confidence) {
  const double count = static_cast<double>(draws.count());
  const double most = bonferroni_t(count - 1, columns.size(), confidence);
  std::vector<double> largest(draws.resamples(), 0.0);
  for (const auto& column : columns) {
    const double mean = mean_of(column);
    // A metric without any spread cannot be off, and a draw of one pair only, over and over, has none to divide by.
    const double tiny = 1e-12 * std::max(1.0, std::abs(mean));
    for (size_t i = 0; i < largest.size(); ++i) {
      double sum = 0, squares = 0;
      for (uint32_t index : draws[i]) {
        const double away = column[index] - mean;
        sum += away;
        squares += away * away;
      }
      const double off = sum / count;
      const double error = std::sqrt(std::max(0.0, squares / count - off * off) / (count - 1));
      if (std::abs(off) <= tiny) continue;
      largest[i] = std::max(largest[i], error > 0 ? std::abs(off) / error : kInfinity);
    }
  }
  std::sort(largest.begin(), largest.end());
  return std::min(most, quantile_of(largest, confidence));
}

}  // namespace nm::bench
