// One session's figures, nothing compared.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "bench/report.h"

namespace nm::bench {
namespace {

struct Row {
  const Run* run;
  const Sample* sample;
  std::vector<double> medians;
};

}  // namespace

std::string run_table(const ResultFile& file, const ReportOptions&) {
  std::vector<Row> rows;
  std::map<std::string, size_t> place;
  std::string troubles;
  size_t program_width = 7, metric_width = 6;
  for (const Run& run : file.runs) {
    if (run.warm_up) continue;
    if (run.status != Status::ok) {
      troubles += fmt::format("{} ({}): {}: {}\n", run.program, run.api, status_name(run.status), run.sentence);
      if (run.status != Status::check_failed) continue;
    }
    for (const Sample& sample : run.samples) {
      const std::string key = run.target + '\n' + run.program + '\n' + run.api + '\n' + run.size + '\n' + sample.metric;
      const auto [at, fresh] = place.try_emplace(key, rows.size());
      if (fresh) rows.push_back({&run, &sample, {}});
      rows[at->second].medians.push_back(sample.summary());
      program_width = std::max(program_width, run.program.size());
      metric_width = std::max(metric_width, sample.metric.size());
    }
  }
  std::string out = fmt::format("{:<{}}  {:<{}}  {:>12}  {:<8}{:>5}  {}\n", "PROGRAM", program_width, "METRIC",
                                metric_width, "MEDIAN", "UNIT", "RUNS", "API");
  for (const Row& row : rows) {
    out +=
        fmt::format("{:<{}}  {:<{}}  {:>12.5g}  {:<8}{:>5}  {}\n", row.run->program, program_width, row.sample->metric,
                    metric_width, median(row.medians), row.sample->unit, row.medians.size(), row.run->api);
  }
  return out + (troubles.empty() ? "" : "\n" + troubles);
}

}  // namespace nm::bench
