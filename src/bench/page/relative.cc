// Relative performance, figure by figure.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/page/figures.h"
#include "bench/page/svg.h"
#include "bench/report_words.h"

namespace nm::bench::page {
namespace {

constexpr double kLabels = 300, kPlot = 520, kNumbers = 150, kStep = 15, kGap = 7, kAxis = 26;

struct Row {
  std::string group, name;
  std::vector<std::pair<size_t, const MetricComparison*>> arms;  // number of the target, and what it gave
};

std::string group_of(const MetricComparison& metric) {
  Summary part;
  part.suite = metric.suite, part.level = metric.level;
  return part_text(part);
}

// The same figure of all targets in one row; rows by group, as first seen. Points of curves are
// left to those.
std::vector<Row> rows(const Comparison& comparison) {
  std::vector<Row> all;
  std::map<std::string, size_t> known;
  for (size_t arm = 0; arm < comparison.targets.size(); ++arm) {
    for (const MetricComparison& metric : comparison.targets[arm].metrics) {
      if (!metric.series.empty()) continue;  // drawn as curves, and in the table of all numbers
      const std::string key = metric.suite + "\n" + metric.program + "\n" + metric.api + "\n" + metric.metric;
      const auto [at, fresh] = known.emplace(key, all.size());
      if (fresh) all.push_back({group_of(metric), metric.program + " · " + metric.metric, {}});
      all[at->second].arms.emplace_back(arm + 1, &metric);
    }
  }
  return all;
}

std::string words(const Comparison& comparison, size_t arm, const MetricComparison& metric) {
  return fmt::format("{} · {} on {}: {} (interval {}), {} → {} {}, {} {}, {}", metric.program, metric.metric,
                     comparison.targets[arm - 1].label, ratio_text(metric.ratio), interval_text(metric.t),
                     value_text(median(metric.reference)), value_text(median(metric.target)), metric.unit,
                     metric.count(), metric.paired ? "pairs" : "units", verdict_name(metric.verdict));
}

}  // namespace

std::string legend(const Comparison& comparison) {
  std::string html = R"(<p class="legend">)";
  html += fmt::format(R"(<span><i style="background:{}"></i>{}</span>)", colour_of(0), escaped(comparison.reference));
  for (size_t arm = 1; arm <= comparison.targets.size(); ++arm) {
    html += fmt::format(R"(<span><i style="background:{}"></i>{}</span>)", colour_of(arm),
                        escaped(comparison.targets[arm - 1].label));
  }
  return html + "</p>\n";
}

std::string relative_figure(const Comparison& comparison) {
  const std::vector<Row> all = rows(comparison);
  if (all.empty()) return "<p>No figure was measured under both.</p>\n";
  double low = 1 - 3 * comparison.margin, high = 1 + 3 * comparison.margin;
  for (const Row& row : all) {
    for (const auto& [arm, metric] : row.arms) {
      low = std::min(low, metric->ratio * 0.97), high = std::max(high, metric->ratio * 1.03);
      if (metric->t.finite()) low = std::min(low, metric->t.low * 0.99), high = std::max(high, metric->t.high * 1.01);
    }
  }
  const Scale x(Scale::Kind::ratio, std::max(low, 0.005), std::min(high, 200.0), kLabels + 10, kLabels + kPlot);

  double y = kAxis + 8;
  std::string group, marks;
  for (const Row& row : all) {
    if (row.group != group) {
      group = row.group;
      y += 10;
      marks += text(8, y + 11, group, "start", "group");
      y += 20;
    }
    marks += text(kLabels - 4, y + kStep * static_cast<double>(row.arms.size()) / 2 + 4, row.name, "end", "label");
    for (const auto& [arm, metric] : row.arms) {
      const double middle = y + kStep / 2;
      marks += fmt::format("<g class=\"mark\" style=\"--c:{}\"><title>{}</title>", colour_of(arm),
                           escaped(words(comparison, arm, *metric)));
      if (metric->t.finite()) {
        marks += line(x(metric->t.low), middle, x(metric->t.high), middle, "bar");
        marks += line(x(metric->t.low), middle - 3, x(metric->t.low), middle + 3, "bar");
        marks += line(x(metric->t.high), middle - 3, x(metric->t.high), middle + 3, "bar");
      }
      marks += fmt::format(R"(<circle cx="{}" cy="{}" r="4" class="{}"/>)", number(x(metric->ratio)), number(middle),
                           metric->verdict == Verdict::inconclusive ? "dot open" : "dot");
      marks += "</g>";
      marks += text(kLabels + kPlot + 14, middle + 4, ratio_text(metric->ratio), "start", "value");
      marks += text(kLabels + kPlot + 62, middle + 4,
                    metric->verdict == Verdict::equivalent ? "equivalent"
                    : metric->verdict == Verdict::overhead ? "overhead"
                    : metric->verdict == Verdict::faster   ? "faster"
                                                           : "inconclusive",
                    "start", std::string("verdict ") + verdict_name(metric->verdict));
      y += kStep;
    }
    y += kGap;
  }
  const double bottom = y + 4, width = kLabels + kPlot + kNumbers;
  std::string svg =
      fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="Relative performance, a row a figure">)",
                  number(width), number(bottom + 24));
  svg += fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" class="margin"/>)", number(x(1 - comparison.margin)),
                     number(kAxis), number(x(1 / (1 - comparison.margin)) - x(1 - comparison.margin)),
                     number(bottom - kAxis));
  for (const Tick& tick : x.ticks(34)) {
    svg += line(x(tick.at), kAxis, x(tick.at), bottom, tick.at == 1 ? "one" : "grid");
    svg += text(x(tick.at), kAxis - 6, tick.label, "middle", "tick");
    svg += text(x(tick.at), bottom + 16, tick.label, "middle", "tick");
  }
  svg += marks + "</svg>";
  return fmt::format(
      "<figure>{}{}<figcaption>Performance relative to {}, with {:g} % intervals; right of 1 is faster. The axis is "
      "stretched "
      "around 1. Shaded: within {:g} %, where a difference counts as none. Hollow: not "
      "decided.</figcaption></figure>\n",
      legend(comparison), svg, escaped(comparison.reference), 100 * comparison.confidence, 100 * comparison.margin);
}

}  // namespace nm::bench::page
