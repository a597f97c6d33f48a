// Distributions: every unit (the median of one process) as a dot, a strip an arm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/page/figures.h"
#include "bench/page/svg.h"
#include "bench/report_words.h"

namespace nm::bench::page {
namespace {

constexpr double kWidth = 300, kLeft = 8, kRight = 8, kStrip = 20;

struct Strips {
  const MetricComparison* metric = nullptr;                         // of the first target that has it
  std::vector<std::pair<size_t, const std::vector<double>*>> arms;  // 0: the reference
};

std::vector<Strips> strips(const Comparison& comparison) {
  std::vector<Strips> all;
  std::map<std::string, size_t> known;
  for (size_t arm = 0; arm < comparison.targets.size(); ++arm) {
    for (const MetricComparison& metric : comparison.targets[arm].metrics) {
      if (!metric.series.empty() || metric.reference.empty() || metric.target.empty()) continue;
      const std::string key = metric.suite + "\n" + metric.program + "\n" + metric.api + "\n" + metric.metric;
      const auto [at, fresh] = known.emplace(key, all.size());
      if (fresh) all.push_back({&metric, {{0, &metric.reference}}});
      all[at->second].arms.emplace_back(arm + 1, &metric.target);
    }
  }
  return all;
}

std::string picture(const Comparison& comparison, const Strips& strips) {
  double low = INFINITY, high = -INFINITY;
  for (const auto& [arm, values] : strips.arms) {
    const auto [least, most] = std::minmax_element(values->begin(), values->end());
    low = std::min(low, *least), high = std::max(high, *most);
  }
  // A spread of less than 2 % is not blown up to the whole width: noise should look like noise.
  const double middle = (low + high) / 2, half = std::max((high - low) / 2 * 1.08, std::abs(middle) * 0.01);
  const Scale x(Scale::Kind::linear, middle - half, middle + half, kLeft, kWidth - kRight);
  const double bottom = kStrip * static_cast<double>(strips.arms.size()) + 6;
  std::string svg = fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="{}">)", number(kWidth),
                                number(bottom + 20), escaped("Units of " + strips.metric->metric));
  for (const Tick& tick : x.ticks(62)) {
    svg += line(x(tick.at), 0, x(tick.at), bottom, "grid");
    // At the edges the number stays within the picture.
    const double at = x(tick.at);
    const char* anchor = at < kLeft + 24 ? "start" : at > kWidth - kRight - 24 ? "end" : "middle";
    svg += text(at < kLeft + 24             ? at - 4
                : at > kWidth - kRight - 24 ? at + 4
                                            : at,
                bottom + 14, fmt::format("{:g}", tick.at), anchor, "tick");
  }
  double y = kStrip / 2 + 2;
  for (const auto& [arm, values] : strips.arms) {
    const std::string name = arm == 0 ? comparison.reference : comparison.targets[arm - 1].label;
    svg += fmt::format("<g style=\"--c:{}\"><title>{}</title>", colour_of(arm),
                       escaped(fmt::format("{}: median {} {}, {} units", name, value_text(median(*values)),
                                           strips.metric->unit, values->size())));
    for (const double value : *values)
      svg += fmt::format(R"(<circle cx="{}" cy="{}" r="3.2" class="unit"/>)", number(x(value)), number(y));
    const double at = x(median(*values));
    svg += line(at, y - 8, at, y + 8, "median") + "</g>";
    y += kStrip;
  }
  return svg + "</svg>";
}

}  // namespace

std::string samples_figure(const Comparison& comparison) {
  const std::vector<Strips> all = strips(comparison);
  if (all.empty()) return {};
  std::string html = legend(comparison), group;
  bool open = false;
  for (const Strips& one : all) {
    Summary part;
    part.suite = one.metric->suite, part.level = one.metric->level;
    if (part_text(part) != group) {
      if (open) html += "</div></details>\n";
      html += fmt::format("<details{}><summary>{}</summary><div class=\"tiles small\">\n", open ? "" : " open",
                          escaped(part_text(part)));
      group = part_text(part);
      open = true;
    }
    html += fmt::format("<figure class=\"tile\"><h3>{} · {} <small>{}</small></h3>{}</figure>\n",
                        escaped(one.metric->program), escaped(one.metric->metric), escaped(one.metric->unit),
                        picture(comparison, one));
  }
  return html + "</div></details>\n";
}

}  // namespace nm::bench::page
