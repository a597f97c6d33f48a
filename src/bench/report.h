// A comparison as people read it.
#pragma once

#include <string>
#include <vector>

#include "bench/comparison.h"
#include "bench/results.h"

namespace nm::bench {

struct ReportOptions {
  size_t width = 0;  // columns of the terminal; 0: as wide as it gets
  bool colour = false;
};

// For the terminal: levels x targets, then what stands out.
std::string terminal_report(const Comparison& comparison, const std::vector<ResultFile>& files,
                            const ReportOptions& options);
// One self-contained page.
std::string html_report(const Comparison& comparison, const std::vector<ResultFile>& files);
// As SHOC's driver writes its results.tsv: a line a metric, one column a target.
std::string shoc_tsv(const Comparison& comparison, const std::vector<ResultFile>& files);
// All of the comparison, for programs.
std::string json_report(const Comparison& comparison);
// What one session measured, nothing compared: `bench run`, and `bench report` of one target.
std::string run_table(const ResultFile& file, const ReportOptions& options);

}  // namespace nm::bench
