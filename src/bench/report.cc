// A first, plain form of what a comparison says.
#include "bench/report.h"

#include <fmt/format.h>

#include <map>

namespace nm::bench {
namespace {

std::string row_of(const Summary& s) {
  const std::string name =
      fmt::format("{}{}{}", s.suite, s.level ? fmt::format(" {}", *s.level) : "", s.pcie_only ? ", PCIe" : "");
  return fmt::format("  {:<14}{:<8}{:>5}{:>6}  {:.4f} [{:.4f}, {:.4f}]  {:<13} worst {:.4f} [{:.4f}, {:.4f}] {}\n",
                     name, s.api, s.metrics, s.pairs, s.ratio, s.t.low, s.t.high, verdict_name(s.verdict),
                     s.worst_ratio, s.worst.low, s.worst.high, s.worst_metric);
}

std::string table_of(const TargetComparison& target, const std::string& reference) {
  std::string out = fmt::format("{} against {}\n", target.label, reference);
  for (const Summary& summary : target.summaries) out += row_of(summary);
  for (const std::string& note : target.notes) out += "  " + note + "\n";
  return out;
}

std::string faults(const char* title, const std::vector<Fault>& list) {
  if (list.empty()) return "";
  std::map<std::string, size_t> counts;
  for (const Fault& fault : list) {
    ++counts[fmt::format("{}, {} ({}): {}: {}", fault.target, fault.program, fault.api, status_name(fault.status),
                         fault.sentence)];
  }
  std::string out = fmt::format("{}: {}\n", title, list.size());
  for (const auto& [text, count] : counts) out += fmt::format("  {} x {}\n", count, text);
  return out;
}

}  // namespace

std::string terminal_report(const Comparison& c, const std::vector<ResultFile>&, const ReportOptions&) {
  std::string out;
  for (const TargetComparison& target : c.targets) out += table_of(target, c.reference);
  if (c.self) out += "A/A: " + table_of(*c.self, c.reference);
  if (!c.noise.empty()) out += c.noise + "\n";
  if (!c.complete) out += "Stopped early: this is what was measured so far.\n";
  return out + faults("Failed", c.failed) + faults("Dropped", c.dropped) + faults("Cannot run", c.skipped);
}

std::string html_report(const Comparison& c, const std::vector<ResultFile>& files) {
  std::string text = terminal_report(c, files, {}), out;
  for (char each : text) out += each == '<' ? "&lt;" : each == '&' ? "&amp;" : std::string(1, each);
  return "<!doctype html><meta charset=utf-8><title>nearmetal bench</title><pre>" + out + "</pre>\n";
}

std::string shoc_tsv(const Comparison& c, const std::vector<ResultFile>&) {
  std::string out = "test\tunits\t" + c.reference;
  for (const TargetComparison& target : c.targets) out += "\t" + target.label;
  out += "\n";
  if (c.targets.empty()) return out;
  for (const MetricComparison& metric : c.targets[0].metrics) {
    out += fmt::format("{}\t{}\t{:.6g}", metric.metric, metric.unit, median(metric.reference));
    for (const TargetComparison& target : c.targets) {
      for (const MetricComparison& other : target.metrics) {
        if (other.metric != metric.metric || other.program != metric.program || other.api != metric.api) continue;
        out += fmt::format("\t{:.6g}", median(other.target));
      }
    }
    out += "\n";
  }
  return out;
}

}  // namespace nm::bench
