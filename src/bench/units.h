// From runs to columns of numbers: for each metric of one arm of a comparison, what each run gave.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/comparison.h"
#include "bench/results.h"

namespace nm::bench {

// Runs of one target in one file.
struct Source {
  const ResultFile* file = nullptr;
  std::string target;
  bool self = false;  // the A/A runs of that target instead of the target's own
};

// One side of a comparison. Several sources are one machine's, measured more than once; each boot counts as one then.
struct Arm {
  std::string label;
  std::vector<Source> sources;
};

// Which source, and which pair in it.
using Round = std::pair<size_t, int64_t>;

struct Unit {
  double value = 0;        // as measured: the median of the run's samples
  double performance = 0;  // ln of it, or of its inverse: more is better
};

struct Column {
  MetricComparison info;  // names only
  std::map<Round, Unit> units;
};

struct Units {
  std::vector<Column> columns;          // in the order in which they were first seen
  std::map<std::string, size_t> place;  // key_of → index
  std::vector<Fault> failed, dropped, skipped;
  std::vector<std::string> notes;
  std::vector<std::string> devices;         // names, each once
  std::vector<std::string> suite_versions;  // each once
  size_t boots = 0;

  const Column* find(const MetricComparison& info) const;
};

std::string key_of(const MetricComparison& info);

// Runs that are not ok are left out and listed; so are runs with a reason declared beforehand (see drop_reason).
Units collect(const Arm& arm);

// Why a run that ended well does not count, by what NVML said of the GPU before and after it: the hardware slowed the
// clocks down for heat or power, or the driver met an error (XID). Empty: it counts. Nothing that was measured is
// looked at, so the reason cannot depend on whether somebody likes the result.
std::string drop_reason(const Run& run);

}  // namespace nm::bench
