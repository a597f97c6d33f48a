// One arm against another: the metrics, one by one, and their levels.
#pragma once

#include <map>

#include "bench/bootstrap.h"
#include "bench/compare.h"

namespace nm::bench {

// Draws of every length that is asked for, made once.
class DrawsOf {
 public:
  DrawsOf(size_t resamples, uint64_t seed) : resamples_(resamples), seed_(seed) {}
  // `side`: 0, or 1 for a second, independent set.
  const Draws& operator()(size_t count, uint64_t side = 0) {
    return made_.try_emplace({count, side}, count, resamples_, seed_ + 2 * count + side).first->second;
  }

 private:
  size_t resamples_;
  uint64_t seed_;
  std::map<std::pair<size_t, uint64_t>, Draws> made_;
};

// What both need.
struct Contrast {
  const Units& reference;
  const Units& target;
  bool paired;
  double log_margin;
  double confidence;
  DrawsOf& draws;
};

// Performance per unit on the log scale: runs, or boots where an arm has more than one.
std::vector<double> performance(const Column& column, size_t boots);

std::vector<MetricComparison> compare_metrics(const Contrast& contrast, std::vector<std::string>& notes);
std::vector<Summary> summarise(const Contrast& contrast, const std::vector<MetricComparison>& metrics,
                               std::vector<std::string>& notes);

// EQUIVALENT if the interval lies within the margins, else by `significant` and the estimate's sign.
Verdict verdict_of(double p_equivalence, bool significant, double log_ratio);

}  // namespace nm::bench
