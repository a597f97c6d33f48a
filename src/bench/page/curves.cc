// Curves: what was measured over a range of sizes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "bench/page/figures.h"
#include "bench/page/svg.h"
#include "bench/report_words.h"

namespace nm::bench::page {
namespace {

constexpr double kWidth = 440, kHeight = 290, kLeft = 58, kRight = 14, kTop = 14, kBottom = 44;

struct Point {
  double x, low, middle, high;
};
struct Curve {
  std::string program, series, unit, x_unit, api;
  bool higher_is_better = true;
  std::map<size_t, std::vector<Point>> arms;  // 0: the reference
};

Point point(double x, std::vector<double> values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {x, *low, median(values), *high};
}

std::vector<Curve> curves(const Comparison& comparison) {
  std::vector<Curve> all;
  std::map<std::string, size_t> known;
  for (size_t arm = 0; arm < comparison.targets.size(); ++arm) {
    for (const MetricComparison& metric : comparison.targets[arm].metrics) {
      if (metric.series.empty() || !metric.x || metric.reference.empty() || metric.target.empty()) continue;
      const std::string key = metric.program + "\n" + metric.api + "\n" + metric.series + "\n" + metric.unit;
      const auto [at, fresh] = known.emplace(key, all.size());
      if (fresh)
        all.push_back(
            {metric.program, metric.series, metric.unit, metric.x_unit, metric.api, metric.higher_is_better, {}});
      Curve& curve = all[at->second];
      std::vector<Point>& base = curve.arms[0];
      // Every target brings the reference it was paired with; the first is drawn.
      if (std::none_of(base.begin(), base.end(), [&](const Point& p) { return p.x == *metric.x; })) {
        base.push_back(point(*metric.x, metric.reference));
      }
      curve.arms[arm + 1].push_back(point(*metric.x, metric.target));
    }
  }
  for (Curve& curve : all) {
    for (auto& [arm, points] : curve.arms) {
      std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
    }
  }
  std::erase_if(all, [](const Curve& curve) { return curve.arms.at(0).size() < 2; });
  return all;
}

std::string picture(const Comparison& comparison, const Curve& curve) {
  double x_low = INFINITY, x_high = 0, y_low = INFINITY, y_high = 0;
  for (const auto& [arm, points] : curve.arms) {
    for (const Point& p : points) {
      x_low = std::min(x_low, p.x), x_high = std::max(x_high, p.x);
      y_low = std::min(y_low, p.low), y_high = std::max(y_high, p.high);
    }
  }
  const bool log_x = x_low > 0 && x_high / x_low >= 16, log_y = y_low > 0 && y_high / y_low >= 8;
  const Scale x(log_x ? Scale::Kind::log : Scale::Kind::linear, x_low, x_high, kLeft + 8, kWidth - kRight - 8);
  const Scale y(log_y ? Scale::Kind::log : Scale::Kind::linear, log_y ? y_low * 0.8 : 0, y_high * (log_y ? 1.25 : 1.08),
                kHeight - kBottom, kTop);

  std::string svg = fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="{}">)", number(kWidth),
                                number(kHeight), escaped(curve.program + ": " + curve.series));
  for (const Tick& tick : y.ticks(26)) {
    svg += line(kLeft, y(tick.at), kWidth - kRight, y(tick.at), "grid");
    svg +=
        text(kLeft - 6, y(tick.at) + 4, value_text(tick.at) == "0" ? "0" : fmt::format("{:g}", tick.at), "end", "tick");
  }
  // Ticks at points that were measured, as many as have room.
  double last = -1e9;
  for (const Point& p : curve.arms.at(0)) {
    if (x(p.x) - last < 52) continue;
    last = x(p.x);
    svg += line(last, kHeight - kBottom, last, kHeight - kBottom + 4, "axis");
    svg += text(last, kHeight - kBottom + 17, size_text(p.x, curve.x_unit), "middle", "tick");
  }
  svg += line(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "axis");
  for (const auto& [arm, points] : curve.arms) {
    std::string path;
    for (const Point& p : points)
      path += fmt::format("{}{} {}", path.empty() ? "M" : " L", number(x(p.x)), number(y(p.middle)));
    svg += fmt::format(R"(<g style="--c:{}"><path d="{}" class="curve{}"/>)", colour_of(arm), path,
                       arm == 0 ? " base" : "");
    const std::string name = arm == 0 ? comparison.reference : comparison.targets[arm - 1].label;
    for (const Point& p : points) {
      svg += fmt::format("<g><title>{}</title>",
                         escaped(fmt::format("{} at {}: {} {} ({} … {})", name, size_text(p.x, curve.x_unit),
                                             value_text(p.middle), curve.unit, value_text(p.low), value_text(p.high))));
      svg += line(x(p.x), y(p.low), x(p.x), y(p.high), "bar");
      svg += fmt::format(R"(<circle cx="{}" cy="{}" r="2.6" class="dot"/></g>)", number(x(p.x)), number(y(p.middle)));
    }
    svg += "</g>";
  }
  svg += text(kLeft - 50, kTop - 2, curve.unit + (log_y ? ", logarithmic" : ""), "start", "tick");
  return svg + "</svg>";
}

}  // namespace

std::string curves_figure(const Comparison& comparison) {
  const std::vector<Curve> all = curves(comparison);
  if (all.empty()) return {};
  std::string html = legend(comparison) + "<div class=\"tiles\">\n";
  for (const Curve& curve : all) {
    html += fmt::format(
        "<figure class=\"tile\"><h3>{} · {}</h3>{}<figcaption>{} is better; medians, whiskers from the least "
        "to the most</figcaption></figure>\n",
        escaped(curve.program), escaped(curve.series), picture(comparison, curve),
        curve.higher_is_better ? "Higher" : "Lower");
  }
  return html + "</div>\n";
}

}  // namespace nm::bench::page
