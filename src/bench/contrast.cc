#include "bench/contrast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace nm::bench {
namespace {

constexpr double kOneSided = 0.05;  // of each test; two of them make an interval of 90 %

Interval ratios(LogInterval log) { return {std::exp(log.low), std::exp(log.high)}; }

// Both arms' units of one metric, pair by pair.
void fill_pairs(const Column& reference, const Column& target, MetricComparison& out, std::vector<double>& d) {
  for (const auto& [round, unit] : reference.units) {
    const auto other = target.units.find(round);
    if (other == target.units.end()) continue;
    out.reference.push_back(unit.value);
    out.target.push_back(other->second.value);
    out.pairs_used.push_back(round.second);
    d.push_back(other->second.performance - unit.performance);
  }
}

MetricComparison compare_metric(const Contrast& contrast, const Column& reference, const Column& target) {
  MetricComparison out = reference.info;
  out.paired = contrast.paired;
  Estimate estimate;
  if (contrast.paired) {
    std::vector<double> d;
    fill_pairs(reference, target, out, d);
    estimate = paired(d);
    out.bootstrap = ratios(bca(d, contrast.draws(d.size()), contrast.confidence));
    out.outliers = outliers(d);
  } else {
    for (const auto& [round, unit] : reference.units) out.reference.push_back(unit.value);
    for (const auto& [round, unit] : target.units) out.target.push_back(unit.value);
    const auto r = performance(reference, contrast.reference.boots), t = performance(target, contrast.target.boots);
    estimate = welch(r, t);
    out.bootstrap = ratios(bca(r, t, contrast.draws(r.size()), contrast.draws(t.size(), 1), contrast.confidence));
  }
  out.ratio = std::exp(estimate.mean);
  out.sd = estimate.sd;
  out.t = ratios(t_interval(estimate, contrast.confidence));
  out.p_difference = p_difference(estimate);
  out.p_equivalence = p_equivalence(estimate, contrast.log_margin);
  out.detectable = -std::expm1(-detectable_difference(estimate));
  out.pairs_needed = pairs_needed(estimate.sd, contrast.log_margin);
  return out;
}

bool is_listed(const std::vector<Fault>& faults, const MetricComparison& info) {
  return std::any_of(faults.begin(), faults.end(),
                     [&](const Fault& fault) { return fault.program == info.program && fault.api == info.api; });
}

}  // namespace

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::equivalent:
      return "EQUIVALENT";
    case Verdict::overhead:
      return "OVERHEAD";
    case Verdict::faster:
      return "FASTER";
    case Verdict::inconclusive:
      break;
  }
  return "INCONCLUSIVE";
}

bool Interval::finite() const { return std::isfinite(high) && low > 0; }

Verdict verdict_of(double p_equivalence, bool significant, double log_ratio) {
  if (p_equivalence < kOneSided) return Verdict::equivalent;
  if (!significant) return Verdict::inconclusive;
  return log_ratio < 0 ? Verdict::overhead : Verdict::faster;
}

std::vector<double> performance(const Column& column, size_t boots) {
  std::vector<double> out;
  if (boots < 2) {
    for (const auto& [round, unit] : column.units) out.push_back(unit.performance);
    return out;
  }
  // Runs of one boot resemble each other: a boot is one observation, its runs' mean.
  std::map<size_t, std::pair<double, double>> sums;
  for (const auto& [round, unit] : column.units) {
    auto& [sum, count] = sums[round.first];
    sum += unit.performance;
    count += 1;
  }
  for (const auto& [source, each] : sums) out.push_back(each.first / each.second);
  return out;
}

std::vector<MetricComparison> compare_metrics(const Contrast& contrast, std::vector<std::string>& notes) {
  std::vector<MetricComparison> out;
  for (const Column& reference : contrast.reference.columns) {
    const Column* target = contrast.target.find(reference.info);
    if (!target) {
      // That it failed, or cannot run there, is said already.
      if (is_listed(contrast.target.failed, reference.info) || is_listed(contrast.target.skipped, reference.info))
        continue;
      notes.push_back(fmt::format("{} ({}), {}: measured by the reference only.", reference.info.program,
                                  reference.info.api, reference.info.metric));
      continue;
    }
    if (target->info.unit != reference.info.unit || target->info.higher_is_better != reference.info.higher_is_better) {
      notes.push_back(fmt::format("{}, {}: one measured it in {}, the other in {}; it is left out.",
                                  reference.info.program, reference.info.metric, reference.info.unit,
                                  target->info.unit));
      continue;
    }
    auto metric = compare_metric(contrast, reference, *target);
    if (metric.count() > 0) out.push_back(std::move(metric));
  }
  std::vector<double> p;
  for (const MetricComparison& metric : out) p.push_back(metric.p_difference);
  const auto adjusted = holm(p);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].p_holm = adjusted[i];
    out[i].verdict = verdict_of(out[i].p_equivalence, adjusted[i] < 2 * kOneSided, std::log(out[i].ratio));
  }
  return out;
}

}  // namespace nm::bench
