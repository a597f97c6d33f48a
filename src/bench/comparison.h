// What the measurements say, for whoever shows it. Everything here is a ratio of performance, target over reference,
// oriented so that less than 1 is overhead, whatever the metric's own direction is.
//
// How the numbers come about: docs/decisions/0014-bench-statistics.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/results.h"

namespace nm::bench {

enum class Verdict { equivalent, overhead, faster, inconclusive };
const char* verdict_name(Verdict verdict);  // "EQUIVALENT"

// Of a ratio. Fewer than 3 pairs: from 0 to infinity, never a guess.
struct Interval {
  double low = 0, high = 0;
  bool finite() const;
};

// A metric under two targets.
struct MetricComparison {
  // Which.
  std::string suite, program, api, size, metric, unit;
  std::optional<int64_t> level;
  bool higher_is_better = true, pcie = false, detail = false;
  std::string series;
  std::optional<double> x;
  std::string x_unit;

  // The units: medians of the runs that count, in the metric's own unit. Paired: entry i of both, and of `pairs_used`,
  // belong together. Not paired (files of different sessions): each by itself, pairs_used is empty.
  std::vector<double> reference, target;
  std::vector<int64_t> pairs_used;
  bool paired = true;
  size_t count() const { return paired ? reference.size() : std::min(reference.size(), target.size()); }

  double ratio = 1;          // geometric mean of the pairs' ratios
  Interval t, bootstrap;     // at `Comparison::confidence`: Student's t (Welch's where not paired), and BCa
  double sd = 0;             // of the logarithms of the pairs' ratios: 0.01 is 1 %; not finite below 2 pairs
  double p_difference = 1;   // of "the ratio is 1", two-sided, raw
  double p_holm = 1;         // the same, adjusted for the number of metrics of this target
  double p_equivalence = 1;  // of "the ratio is beyond the margin", the larger of the two one-sided tests
  Verdict verdict = Verdict::inconclusive;  // OVERHEAD and FASTER only if they survive Holm's adjustment
  double detectable = 0;                    // the smallest overhead that would be found with 90 % power; infinite: none
  std::optional<int64_t> pairs_needed;      // for 90 % power to find EQUIVALENT if the ratio is 1; nothing: over 10,000
  std::vector<size_t> outliers;             // indices of pairs (paired), far from the others; they count all the same
};

// A level, a suite, or its part that includes transfers.
struct Summary {
  std::string suite, api;
  std::optional<int64_t> level;  // nothing: the whole suite
  bool pcie_only = false;
  size_t metrics = 0;  // that are in it
  size_t items = 0;    // that the mean is over: a curve (`series`) counts once
  size_t pairs = 0;    // in which all of them were measured
  double ratio = 1;    // geometric mean
  Interval t, bootstrap;
  double sd = 0;
  double p_equivalence = 1;
  Verdict verdict = Verdict::inconclusive;
  double detectable = 0;
  std::optional<int64_t> pairs_needed;

  // The metric that lost most, and an interval that holds for it although it was chosen for being the worst.
  std::string worst_program, worst_metric;
  double worst_ratio = 1;
  Interval worst;
  double max_overhead() const { return 1 - worst_ratio; }  // negative: all were faster
};

// A run that does not count.
struct Fault {
  std::string target, program, api;
  bool self = false;
  int64_t pair = 0;
  Status status = Status::failed;
  std::string sentence;
};

// A target against the reference.
struct TargetComparison {
  std::string label;
  std::vector<std::string> command;
  std::string file;  // it was read from there; empty: it was run
  std::string device, host;
  bool paired = true;
  std::vector<MetricComparison> metrics;  // by suite, level, program, metric as they were first seen
  std::vector<Summary> summaries;         // levels in order, each followed by its PCIe-only part; then suites
  std::vector<std::string> notes;         // sentences: not paired, left out, …
};

struct Comparison {
  std::string suite_version;
  double margin = 0.01;
  double confidence = 0.90;
  uint64_t seed = 0;
  int64_t pairs_planned = 0;
  bool complete = true;  // false: stopped early; what is here is what was measured so far

  std::string reference;  // label
  std::vector<std::string> reference_command;
  std::string reference_file, reference_device, reference_host;
  std::vector<TargetComparison> targets;

  // The reference against itself, interleaved with the rest. Nothing: not run (files, or one arm only).
  std::optional<TargetComparison> self;
  // Every level's A/A is EQUIVALENT. If not, the verdicts above are not to be trusted, and `noise` says so.
  bool quiet = false;
  std::string noise;

  std::vector<Fault> failed;   // runs that did not end well, all targets
  std::vector<Fault> dropped;  // pairs dropped for a reason declared beforehand: throttled, XID
  std::vector<Fault> skipped;  // programs that a device or API cannot run
  std::vector<Json> fingerprints;

  bool clean() const { return failed.empty() && complete; }
};

}  // namespace nm::bench
