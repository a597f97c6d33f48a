// Levels and suites. The mean of a level is taken per pair, over all its metrics, before anything is said of its
// spread: metrics of one pair ran close together in time and share what disturbed them, so they are no independent
// evidence.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "bench/contrast.h"

namespace nm::bench {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Interval ratios(LogInterval log) { return {std::exp(log.low), std::exp(log.high)}; }

using Members = std::vector<const MetricComparison*>;

// A metric that was measured in fewer than half of the pairs would take the level down to those few; it is said and
// left out instead. The list of all others is fixed by the suite.
Members members_of(const Summary& group, const std::vector<MetricComparison>& metrics,
                   std::vector<std::string>& notes) {
  Members all, out;
  size_t most = 0;
  for (const MetricComparison& metric : metrics) {
    if (metric.suite != group.suite || metric.api != group.api || (group.pcie_only && !metric.pcie)) continue;
    if (metric.detail || (group.level && metric.level != group.level)) continue;
    all.push_back(&metric);
    most = std::max(most, metric.count());
  }
  for (const MetricComparison* metric : all) {
    if (metric->count() * 2 >= most) {
      out.push_back(metric);
    } else if (!group.pcie_only && group.level) {
      notes.push_back(fmt::format("{} ({}), {}: measured in {} of {} pairs, too few; its level is without it.",
                                  metric->program, metric->api, metric->metric, metric->count(), most));
    }
  }
  return out;
}

// table[r][m]: round r, member m; only rounds that have them all.
using Table = std::vector<std::vector<double>>;

std::vector<const Column*> columns_in(const Units& units, const Members& members) {
  std::vector<const Column*> out;
  for (const MetricComparison* member : members) out.push_back(units.find(*member));
  return out;
}

Table table_of(const Units& units, const Members& members) {
  Table table;
  const auto columns = columns_in(units, members);
  for (const auto& [round, unused] : columns.front()->units) {
    std::vector<double> row;
    for (const Column* column : columns) {
      const auto found = column->units.find(round);
      if (found == column->units.end()) break;
      row.push_back(found->second.performance);
    }
    if (row.size() == members.size()) table.push_back(std::move(row));
  }
  return table;
}

Table paired_table(const Contrast& contrast, const Members& members) {
  Table table;
  const auto reference = columns_in(contrast.reference, members), target = columns_in(contrast.target, members);
  for (const auto& [round, unused] : reference.front()->units) {
    std::vector<double> row;
    for (size_t m = 0; m < members.size(); ++m) {
      const auto r = reference[m]->units.find(round), t = target[m]->units.find(round);
      if (r == reference[m]->units.end() || t == target[m]->units.end()) break;
      row.push_back(t->second.performance - r->second.performance);
    }
    if (row.size() == members.size()) table.push_back(std::move(row));
  }
  return table;
}

// Boots instead of runs, where an arm has several. Rounds of one source are neighbours in a table, but their source is
// not in it, so this takes the units again.
Table by_boot(const Units& units, const Members& members) {
  if (units.boots < 2) return table_of(units, members);
  std::vector<std::vector<double>> columns;
  for (const MetricComparison* member : members) columns.push_back(performance(*units.find(*member), units.boots));
  size_t rows = columns.front().size();
  for (const auto& column : columns) rows = std::min(rows, column.size());
  Table table(rows);
  for (size_t r = 0; r < rows; ++r) {
    for (const auto& column : columns) table[r].push_back(column[r]);
  }
  return table;
}

// Which item of the mean each member belongs to: a curve of thirty points is one thing that was measured, not thirty.
std::vector<size_t> items_of(const Members& members, size_t& count) {
  std::map<std::string, size_t> seen;
  std::vector<size_t> out;
  for (const MetricComparison* member : members) {
    const std::string item = member->program + '\n' + member->size + '\n' +
                             (member->series.empty() ? "m" + member->metric : "s" + member->series);
    out.push_back(seen.try_emplace(item, seen.size()).first->second);
  }
  count = seen.size();
  return out;
}

std::vector<double> means(const Table& table, const std::vector<size_t>& item, size_t items) {
  std::vector<double> weight(items, 0);
  for (size_t each : item) weight[each] += 1;
  std::vector<double> out;
  for (const auto& row : table) {
    double sum = 0;
    for (size_t m = 0; m < row.size(); ++m) sum += row[m] / weight[item[m]];
    out.push_back(sum / static_cast<double>(items));
  }
  return out;
}

std::vector<std::vector<double>> columns_of(const Table& table, size_t members) {
  std::vector<std::vector<double>> out(members);
  for (const auto& row : table) {
    for (size_t m = 0; m < members; ++m) out[m].push_back(row[m]);
  }
  return out;
}

// The worst metric is chosen by looking, and was also unlucky: its own interval would blame it too much. A band that
// holds for all metrics at once holds for whichever is worst, so the lowest lower end and the lowest upper end of the
// band bound the true maximum.
void find_worst(Summary& out, const Members& members, const std::vector<Estimate>& estimates,
                const std::vector<double>& width) {
  double low = kInfinity, high = kInfinity, worst = kInfinity;
  for (size_t m = 0; m < members.size(); ++m) {
    const Estimate& estimate = estimates[m];
    const bool known = std::isfinite(estimate.error);
    low = std::min(low, known ? estimate.mean - width[m] * estimate.error : -kInfinity);
    high = std::min(high, known ? estimate.mean + width[m] * estimate.error : kInfinity);
    if (estimate.mean >= worst) continue;
    worst = estimate.mean;
    out.worst_program = members[m]->program;
    out.worst_metric = members[m]->metric;
  }
  out.worst_ratio = std::exp(worst);
  out.worst = ratios({low, high});
}

void conclude(Summary& out, const Contrast& contrast, const Estimate& estimate) {
  out.pairs = estimate.count;
  out.ratio = std::exp(estimate.mean);
  out.sd = estimate.sd;
  out.t = ratios(t_interval(estimate, contrast.confidence));
  out.p_equivalence = p_equivalence(estimate, contrast.log_margin);
  out.verdict = verdict_of(out.p_equivalence, p_difference(estimate) < 0.1, estimate.mean);
  out.detectable = -std::expm1(-detectable_difference(estimate));
  out.pairs_needed = pairs_needed(estimate.sd, contrast.log_margin);
}

void summarise_paired(Summary& out, const Contrast& contrast, const Members& members, const std::vector<size_t>& item) {
  const Table table = paired_table(contrast, members);
  const auto level = means(table, item, out.items);
  conclude(out, contrast, paired(level));
  const auto columns = columns_of(table, members.size());
  const bool enough = level.size() >= kFewest;
  out.bootstrap = ratios(bca(level, contrast.draws(level.size()), contrast.confidence));
  const double width = enough ? simultaneous_t(columns, contrast.draws(level.size()), contrast.confidence) : 0;
  std::vector<Estimate> estimates;
  for (const auto& column : columns) estimates.push_back(paired(column));
  find_worst(out, members, estimates, std::vector(members.size(), width));
}

void summarise_unpaired(Summary& out, const Contrast& contrast, const Members& members,
                        const std::vector<size_t>& item) {
  const Table reference = by_boot(contrast.reference, members), target = by_boot(contrast.target, members);
  const auto r = means(reference, item, out.items), t = means(target, item, out.items);
  conclude(out, contrast, welch(r, t));
  out.bootstrap = ratios(bca(r, t, contrast.draws(r.size()), contrast.draws(t.size(), 1), contrast.confidence));
  const auto reference_columns = columns_of(reference, members.size()),
             target_columns = columns_of(target, members.size());
  std::vector<Estimate> estimates;
  std::vector<double> width;
  for (size_t m = 0; m < members.size(); ++m) {
    estimates.push_back(welch(reference_columns[m], target_columns[m]));
    width.push_back(bonferroni_t(estimates.back().freedom, members.size(), contrast.confidence));
  }
  find_worst(out, members, estimates, width);
}

// Levels in order, then the suite as a whole; suites as they were first seen.
std::vector<Summary> groups_of(const std::vector<MetricComparison>& metrics) {
  std::vector<std::pair<std::string, std::string>> suites;  // with the API
  for (const MetricComparison& metric : metrics) {
    const std::pair name(metric.suite, metric.api);
    if (std::find(suites.begin(), suites.end(), name) == suites.end()) suites.push_back(name);
  }
  std::vector<Summary> out;
  for (const auto& [suite, api] : suites) {
    std::set<std::optional<int64_t>> levels;
    for (const MetricComparison& metric : metrics) {
      if (metric.suite == suite && metric.api == api && metric.level) levels.insert(metric.level);
    }
    std::vector<std::optional<int64_t>> rows(levels.begin(), levels.end());
    rows.push_back(std::nullopt);
    for (const auto& level : rows) {
      for (bool pcie_only : {false, true}) {
        Summary group;
        group.suite = suite;
        group.api = api;
        group.level = level;
        group.pcie_only = pcie_only;
        out.push_back(group);
      }
    }
  }
  return out;
}

}  // namespace

std::vector<Summary> summarise(const Contrast& contrast, const std::vector<MetricComparison>& metrics,
                               std::vector<std::string>& notes) {
  std::vector<Summary> out;
  for (Summary& group : groups_of(metrics)) {
    const Members members = members_of(group, metrics, notes);
    if (members.empty()) continue;
    group.metrics = members.size();
    const auto item = items_of(members, group.items);
    if (contrast.paired) {
      summarise_paired(group, contrast, members, item);
    } else {
      summarise_unpaired(group, contrast, members, item);
    }
    out.push_back(std::move(group));
  }
  return out;
}

}  // namespace nm::bench
