// The comparison as JSON: names as in comparison.h, what is not finite as null.
#include <cmath>

#include "bench/json_line.h"
#include "bench/report.h"

namespace nm::bench {
namespace {

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json numbers(const std::vector<double>& values) {
  Json out = Json::array();
  for (double value : values) out.push_back(number(value));
  return out;
}

Json interval(const Interval& interval) { return Json::array({number(interval.low), number(interval.high)}); }

template <typename T>
Json maybe(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json metric_json(const MetricComparison& m) {
  return {{"suite", m.suite},
          {"level", maybe(m.level)},
          {"program", m.program},
          {"api", m.api},
          {"size", m.size},
          {"metric", m.metric},
          {"unit", m.unit},
          {"better", m.higher_is_better ? "higher" : "lower"},
          {"pcie", m.pcie},
          {"detail", m.detail},
          {"series", m.series},
          {"x", maybe(m.x)},
          {"x_unit", m.x_unit},
          {"paired", m.paired},
          {"pairs", m.pairs_used},
          {"reference", numbers(m.reference)},
          {"target", numbers(m.target)},
          {"ratio", number(m.ratio)},
          {"t", interval(m.t)},
          {"bootstrap", interval(m.bootstrap)},
          {"sd", number(m.sd)},
          {"p_difference", m.p_difference},
          {"p_holm", m.p_holm},
          {"p_equivalence", m.p_equivalence},
          {"verdict", verdict_name(m.verdict)},
          {"detectable", number(m.detectable)},
          {"pairs_needed", maybe(m.pairs_needed)},
          {"outliers", m.outliers}};
}

Json summary_json(const Summary& s) {
  return {{"suite", s.suite},
          {"level", maybe(s.level)},
          {"api", s.api},
          {"pcie_only", s.pcie_only},
          {"metrics", s.metrics},
          {"items", s.items},
          {"pairs", s.pairs},
          {"ratio", number(s.ratio)},
          {"t", interval(s.t)},
          {"bootstrap", interval(s.bootstrap)},
          {"sd", number(s.sd)},
          {"p_equivalence", s.p_equivalence},
          {"verdict", verdict_name(s.verdict)},
          {"detectable", number(s.detectable)},
          {"pairs_needed", maybe(s.pairs_needed)},
          {"worst",
           {{"program", s.worst_program},
            {"metric", s.worst_metric},
            {"ratio", number(s.worst_ratio)},
            {"interval", interval(s.worst)}}},
          {"max_overhead", number(s.max_overhead())}};
}

Json target_json(const TargetComparison& t) {
  Json metrics = Json::array(), summaries = Json::array();
  for (const auto& metric : t.metrics) metrics.push_back(metric_json(metric));
  for (const auto& summary : t.summaries) summaries.push_back(summary_json(summary));
  return {{"label", t.label},
          {"command", t.command},
          {"file", t.file},
          {"device", t.device},
          {"host", t.host},
          {"paired", t.paired},
          {"notes", t.notes},
          {"summaries", std::move(summaries)},
          {"metrics", std::move(metrics)}};
}

Json faults_json(const std::vector<Fault>& faults) {
  Json out = Json::array();
  for (const Fault& fault : faults) {
    out.push_back({{"target", fault.target},
                   {"self", fault.self},
                   {"program", fault.program},
                   {"api", fault.api},
                   {"pair", fault.pair},
                   {"status", status_name(fault.status)},
                   {"sentence", fault.sentence}});
  }
  return out;
}

}  // namespace

std::string json_report(const Comparison& c) {
  Json targets = Json::array();
  for (const auto& target : c.targets) targets.push_back(target_json(target));
  const Json all = {{"suite_version", c.suite_version},
                    {"margin", c.margin},
                    {"confidence", c.confidence},
                    {"seed", c.seed},
                    {"pairs_planned", c.pairs_planned},
                    {"complete", c.complete},
                    {"reference",
                     {{"label", c.reference},
                      {"command", c.reference_command},
                      {"file", c.reference_file},
                      {"device", c.reference_device},
                      {"host", c.reference_host}}},
                    {"targets", std::move(targets)},
                    {"self", c.self ? target_json(*c.self) : Json()},
                    {"quiet", c.quiet},
                    {"noise", c.noise},
                    {"failed", faults_json(c.failed)},
                    {"dropped", faults_json(c.dropped)},
                    {"skipped", faults_json(c.skipped)},
                    {"fingerprints", c.fingerprints}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace nm::bench
