#include "workload/program.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace nm::workload {
namespace {

using Json = nlohmann::json;

template <typename T>
double largest(const std::vector<T>& result, const std::vector<double>& reference) {
  if (result.size() != reference.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    const double error =
        std::abs(static_cast<double>(result[i]) - reference[i]) / std::max(1.0, std::abs(reference[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return worst;
}

template <typename T>
double norm(const std::vector<T>& result, const std::vector<double>& reference) {
  if (result.size() != reference.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, length = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    const double d = static_cast<double>(result[i]) - reference[i];
    difference += d * d;
    length += reference[i] * reference[i];
  }
  const double error = std::sqrt(difference) / std::max(std::sqrt(length), std::numeric_limits<double>::min());
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
}

}  // namespace

std::string_view name_of(Size size) { return size == Size::ci ? "ci" : size == Size::shoc ? "shoc" : "gpu"; }

Run::Run(device::Device& device, const Settings& settings, Out out)
    : device_(device),
      settings_(settings),
      passes_(settings.passes > 0         ? settings.passes
              : settings.size == Size::ci ? 3
                                          : 10),
      out_(std::move(out)),
      random_(settings.seed) {}

void Run::sample(const Figure& figure, const std::vector<double>& values) {
  const bool usable =
      !values.empty() && std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v) && v > 0; });
  if (!usable) {
    ok_ = false;
    out_(Json{{"line", "error"},
              {"sentence", "The figure " + figure.metric + " has a value that is not finite and positive."}}
             .dump());
    return;
  }
  Json line{{"line", "sample"},    {"metric", figure.metric},
            {"unit", figure.unit}, {"better", figure.higher_is_better ? "higher" : "lower"},
            {"pcie", figure.pcie}, {"values", values}};
  if (figure.detail) line["detail"] = true;
  if (!figure.series.empty()) {
    line["series"] = figure.series;
    line["x"] = figure.x;
    line["x_unit"] = figure.x_unit;
  }
  out_(line.dump());
}

void Run::check(std::string_view what, double error, double bound) {
  const bool right = std::isfinite(error) && error <= bound;
  ok_ = ok_ && right;
  // JSON has no infinity.
  out_(Json{{"line", "check"},
            {"what", what},
            {"ok", right},
            {"error", std::isfinite(error) ? error : 1e308},
            {"bound", bound}}
           .dump());
}

void Run::skip(std::string_view metric, std::string_view why) {
  out_(Json{{"line", "skip"}, {"metric", metric}, {"why", why}}.dump());
}

std::vector<double> Run::device_seconds(const std::function<void()>& work) {
  work();
  device_.finish();
  std::vector<double> seconds;
  for (int pass = 0; pass < passes_; ++pass) {
    const auto begin = device_.mark();
    work();
    const auto end = device_.mark();
    seconds.push_back(device_.seconds_between(*begin, *end));
  }
  return seconds;
}

std::vector<double> Run::wall_seconds(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  work();
  device_.finish();
  std::vector<double> seconds;
  for (int pass = 0; pass < passes_; ++pass) {
    const auto begin = Clock::now();
    work();
    device_.finish();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return seconds;
}

std::vector<double> rates(double work, const std::vector<double>& seconds) {
  std::vector<double> values;
  for (const double s : seconds) values.push_back(work / s);
  return values;
}
std::vector<double> scaled(double scale, const std::vector<double>& seconds) {
  std::vector<double> values;
  for (const double s : seconds) values.push_back(s * scale);
  return values;
}

double largest_error(const std::vector<float>& result, const std::vector<double>& reference) {
  return largest(result, reference);
}
double largest_error(const std::vector<double>& result, const std::vector<double>& reference) {
  return largest(result, reference);
}
double norm_error(const std::vector<float>& result, const std::vector<double>& reference) {
  return norm(result, reference);
}
double norm_error(const std::vector<double>& result, const std::vector<double>& reference) {
  return norm(result, reference);
}

}  // namespace nm::workload
