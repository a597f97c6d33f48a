#include "bench/report_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace nm::bench {
namespace {

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  }
  return text;
}

void add_once(std::vector<std::string>& list, const std::string& word) {
  if (!word.empty() && std::find(list.begin(), list.end(), word) == list.end()) list.push_back(word);
}

std::string suite_text(const std::string& suite) { return suite == "shoc" ? "SHOC" : suite; }

}  // namespace

std::string ratio_text(double ratio) {
  if (!std::isfinite(ratio)) return "unknown";
  return ratio >= 100  ? fmt::format("{:.0f}", ratio)
         : ratio >= 10 ? fmt::format("{:.1f}", ratio)
                       : fmt::format("{:.3f}", ratio);
}

std::string interval_text(const Interval& interval) {
  if (!interval.finite()) return "unknown";
  return ratio_text(interval.low) + " … " + ratio_text(interval.high);
}

std::string overhead_text(double overhead) {
  if (!std::isfinite(overhead)) return "unknown";
  if (overhead <= 0) return "none";
  const double percent = 100 * overhead;
  return percent >= 10 ? fmt::format("{:.1f} %", percent) : fmt::format("{:.2f} %", percent);
}

std::string value_text(double value) {
  if (!std::isfinite(value)) return "unknown";
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size >= 1e6 || size < 1e-3) return fmt::format("{:.3g}", value);
  if (size >= 1000) {
    std::string digits = fmt::format("{:.0f}", value);
    for (auto at = static_cast<int>(digits.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3)
      digits.insert(static_cast<size_t>(at), ",");
    return digits;
  }
  return size >= 100  ? fmt::format("{:.1f}", value)
         : size >= 10 ? fmt::format("{:.2f}", value)
                      : fmt::format("{:.3f}", value);
}

std::string size_text(double x, const std::string& unit) {
  if (unit != "B") return fmt::format("{:g}{}{}", x, unit.empty() ? "" : " ", unit);
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t power = 0;
  while (x >= 1024 && power + 1 < std::size(kUnits)) x /= 1024, ++power;
  return fmt::format("{:g} {}", x, kUnits[power]);
}

std::string level_text(const Summary& summary) {
  if (summary.level) return fmt::format("level {}", *summary.level);
  return summary.suite == "shoc" ? "all levels" : suite_text(summary.suite);
}

std::string part_text(const Summary& summary) {
  std::string text = suite_text(summary.suite);
  if (summary.level) text += fmt::format(" level {}", *summary.level);
  if (summary.pcie_only) text += ", PCIe only";
  return text;
}

std::string headline(const Comparison& comparison) {
  std::vector<std::string> labels, suites, sizes, apis, devices;
  add_once(devices, comparison.reference_device);
  for (const TargetComparison& target : comparison.targets) {
    labels.push_back(target.label);
    add_once(devices, target.device);
    for (const MetricComparison& metric : target.metrics) {
      add_once(suites, suite_text(metric.suite));
      add_once(sizes, metric.size);
      add_once(apis, metric.api == "cuda" ? "CUDA" : metric.api == "opencl" ? "OpenCL" : metric.api);
    }
  }
  std::string text = listed(labels) + " against " + comparison.reference;
  if (!devices.empty()) text += " on " + listed(devices);
  if (!suites.empty()) text += ": " + listed(suites);
  if (!sizes.empty()) text += ", size " + listed(sizes);
  if (!apis.empty()) text += ", " + listed(apis);
  const bool paired =
      std::all_of(comparison.targets.begin(), comparison.targets.end(), [](const auto& t) { return t.paired; });
  text += paired ? fmt::format("; {} pairs in random ABBA order", comparison.pairs_planned)
                 : "; files compared, not paired";
  return text + fmt::format(", margin {:g} %, {:g} % intervals", 100 * comparison.margin, 100 * comparison.confidence);
}

std::string noise_sentence(const Comparison& comparison) {
  if (!comparison.self) return "No A/A run: how much the machine itself varies was not measured.";
  if (!comparison.quiet) {
    return comparison.noise.empty() ? "A/A: the machine is too noisy for these verdicts." : comparison.noise;
  }
  std::vector<std::string> parts;
  for (const Summary& summary : comparison.self->summaries) {
    if (!summary.pcie_only && (summary.level || summary.suite != "shoc")) {
      parts.push_back(fmt::format("{} {}", level_text(summary), ratio_text(summary.ratio)));
    }
  }
  return fmt::format("A/A ({} against itself, in the same run): EQUIVALENT in every level; {}.", comparison.reference,
                     listed(parts));
}

std::vector<std::string> trouble_sentences(const Comparison& comparison) {
  std::vector<std::string> sentences;
  if (!comparison.complete) sentences.push_back("Stopped early: what follows is what was measured until then.");
  // One sentence for the same thing that happened many times.
  const auto grouped = [&](const std::vector<Fault>& faults, const char* what) {
    std::vector<std::pair<std::string, size_t>> kinds;
    for (const Fault& fault : faults) {
      const std::string kind = fmt::format("{} {}: {}: {}", fault.self ? fault.target + " (A/A)" : fault.target, what,
                                           fault.program, fault.sentence);
      auto at = std::find_if(kinds.begin(), kinds.end(), [&](const auto& known) { return known.first == kind; });
      if (at == kinds.end()) at = kinds.insert(kinds.end(), {kind, 0});
      ++at->second;
    }
    for (const auto& [kind, count] : kinds)
      sentences.push_back(count > 1 ? fmt::format("{} ({} times)", kind, count) : kind);
  };
  grouped(comparison.failed, "failed");
  grouped(comparison.dropped, "dropped");
  grouped(comparison.skipped, "skipped");
  return sentences;
}

std::vector<const MetricComparison*> outstanding(const TargetComparison& target) {
  std::vector<const MetricComparison*> list;
  for (const MetricComparison& metric : target.metrics) {
    const bool decided = metric.verdict == Verdict::overhead || metric.verdict == Verdict::faster;
    if (!decided && std::abs(metric.ratio - 1) < 0.005) continue;
    const auto same_curve = [&](const MetricComparison* other) {
      return !metric.series.empty() && other->series == metric.series && other->program == metric.program &&
             other->api == metric.api;
    };
    const auto at = std::find_if(list.begin(), list.end(), same_curve);
    if (at == list.end()) {
      list.push_back(&metric);
    } else if (std::abs(std::log(metric.ratio)) > std::abs(std::log((*at)->ratio))) {
      *at = &metric;
    }
  }
  std::stable_sort(list.begin(), list.end(), [](const auto* a, const auto* b) { return a->ratio < b->ratio; });
  return list;
}

}  // namespace nm::bench
