#include "cmd/pool_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "cmd/top_rows.h"

namespace nm::cmd {
namespace {

size_t gpus_of(const pool::Trace& trace) {
  size_t gpus = 0;
  for (const pool::Host& host : trace.hosts) gpus += host.devices.size();
  return gpus;
}

std::string percent(double part) { return fmt::format("{:.1f}%", 100 * part); }
std::string waited(double seconds) { return seconds <= 0 ? "0" : short_time(static_cast<uint64_t>(seconds * 1e6)); }

nlohmann::ordered_json json_of(const pool::Quantiles& q) {
  return {{"p50", q.p50}, {"p99", q.p99}, {"max", q.max}, {"mean", q.mean}};
}

}  // namespace

std::vector<std::string> simulation_table(const pool::Trace& trace, const std::vector<pool::Outcome>& outcomes) {
  std::vector<std::string> lines;
  std::set<std::string> names;
  for (const pool::TraceClaim& claim : trace.claims) names.insert(claim.claim.project);
  const size_t projects = names.size();
  lines.push_back(fmt::format("{} GPUs on {} host{}; {} claims of {} project{} in {}", gpus_of(trace),
                              trace.hosts.size(), trace.hosts.size() == 1 ? "" : "s", trace.claims.size(), projects,
                              projects == 1 ? "" : "s", pool::print(outcomes.at(0).span)));
  lines.push_back("");
  using Row = std::vector<std::string>;
  std::vector<Row> rows;
  const std::string big = fmt::format("{}+ GPUS WAIT p50", pool::kBig);
  rows.push_back({"POLICY", "UTILISATION", "FRAGMENTED", "WAIT p50", "p99", big, "p99", "NEVER", "TAKEN BACK",
                  "HOSTS SEEN p99", "DECISION p50", "p99", "max"});
  for (const pool::Outcome& o : outcomes) {
    const auto us = [](double value) {
      return value < 1000 ? fmt::format("{:.0f} us", value) : fmt::format("{:.1f} ms", value / 1000);
    };
    rows.push_back({o.name, percent(o.utilisation), percent(o.fragmentation), waited(o.wait.p50), waited(o.wait.p99),
                    waited(o.big_wait.p50), waited(o.big_wait.p99), std::to_string(o.never),
                    std::to_string(o.taken_back), fmt::format("{:.0f}", o.examined.p99), us(o.decision.p50),
                    us(o.decision.p99), us(o.decision.max)});
  }
  std::vector<size_t> widths(rows[0].size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line = fmt::format("{:<{}}", row[0], widths[0]);
    for (size_t i = 1; i < row.size(); ++i) line += fmt::format("  {:>{}}", row[i], widths[i]);
    lines.push_back(line);
  }
  lines.push_back("");
  for (const pool::Outcome& o : outcomes) {
    if (o.refused > 0)
      lines.push_back(fmt::format("{}: {} claims were refused: the hosts can never serve them.", o.name, o.refused));
    if (o.lost_gpu_hours > 0)
      lines.push_back(
          fmt::format("{}: {:.0f} GPU hours were lost by leases that were taken back.", o.name, o.lost_gpu_hours));
  }
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

nlohmann::ordered_json simulation_json(const pool::Trace& trace, const std::vector<pool::Outcome>& outcomes) {
  nlohmann::ordered_json policies = nlohmann::ordered_json::array();
  for (const pool::Outcome& o : outcomes) {
    policies.push_back({{"policy", o.name},
                        {"served", o.served},
                        {"refused", o.refused},
                        {"never_served", o.never},
                        {"borrowed", o.borrowed},
                        {"taken_back", o.taken_back},
                        {"lost_gpu_hours", o.lost_gpu_hours},
                        {"ended_at_limit", o.overran},
                        {"utilisation", o.utilisation},
                        {"fragmentation", o.fragmentation},
                        {"makespan_ms", o.makespan.count()},
                        {"longest_queue", o.longest_queue},
                        {"wait_s", json_of(o.wait)},
                        {"big_claims_wait_s", json_of(o.big_wait)},
                        {"decisions", o.decisions},
                        {"decision_us", json_of(o.decision)},
                        {"hosts_examined", json_of(o.examined)}});
  }
  return {{"gpus", gpus_of(trace)},
          {"hosts", trace.hosts.size()},
          {"claims", trace.claims.size()},
          {"span_ms", outcomes.at(0).span.count()},
          {"policies", policies}};
}

}  // namespace nm::cmd
