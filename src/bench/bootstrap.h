// The bootstrap: what else could these pairs have said? Pairs are drawn anew, with replacement, many times over. All
// metrics share the draws: a pair that was slow as a whole is drawn for all of them or for none, so what metrics have
// in common stays in common.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bench/statistics.h"

namespace nm::bench {

inline constexpr size_t kResamples = 10'000;

// `resamples` draws of `count` out of `count`. The same seed gives the same draws on every machine.
class Draws {
 public:
  Draws(size_t count, size_t resamples, uint64_t seed);
  size_t count() const { return count_; }
  size_t resamples() const { return resamples_; }
  std::span<const uint32_t> operator[](size_t resample) const {
    return std::span(indices_).subspan(resample * count_, count_);
  }

 private:
  size_t count_, resamples_;
  std::vector<uint32_t> indices_;
};

// BCa (Efron's, bias-corrected and accelerated) for the mean. The quantiles are those that make up for the narrowness
// of a bootstrap of few values (Hesterberg's): at 20 pairs a plain one covers 87 % where it says 90.
LogInterval bca(std::span<const double> values, const Draws& draws, double confidence);
// For the mean of `target` less that of `reference`, each drawn by itself.
LogInterval bca(std::span<const double> reference, std::span<const double> target, const Draws& reference_draws,
                const Draws& target_draws, double confidence);

// How many standard errors around each of several means hold for all of them at once: the `confidence` quantile of the
// largest |t| over the draws. `columns[m]` are metric m's values, one a pair. Never more than Bonferroni's.
double simultaneous_t(const std::vector<std::vector<double>>& columns, const Draws& draws, double confidence);
// The same without pairs.
double bonferroni_t(double freedom, size_t columns, double confidence);

}  // namespace nm::bench
