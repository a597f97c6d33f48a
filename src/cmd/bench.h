// What the verbs of `nearmetal bench` share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/comparison.h"
#include "bench/live.h"
#include "bench/plan.h"
#include "cmd/command_line.h"

namespace nm::cmd {

int bench_list_verb(const Args& args);
int bench_run_verb(const Args& args);
int bench_compare_verb(const Args& args);
int bench_report_verb(const Args& args);

// Ended by Ctrl-C, as shells say it.
inline constexpr int kInterrupted = 130;

// What to measure, and how: options of `run` and `compare`.
struct BenchOptions {
  std::string suite = "all", size = "ci", api = "cuda", scenario, save, workload, workload_there;
  std::vector<std::string> programs;
  int64_t passes = 0;
  uint64_t seed = 1;
  double timeout = 0;  // seconds; 0: by size
};
void add_bench_flags(CLI::App& app, BenchOptions& options);

// The programs of the suite, as nearmetal-workload lists them.
Result<std::vector<bench::Program>> list_programs(const std::string& workload);
// Those that the options choose, by each API; or the scenarios.
Result<std::vector<bench::Program>> choose_programs(const BenchOptions& options);
std::string workload_path(const std::string& option);

struct Measured {
  bench::ResultFile file;
  bool interrupted = false;
  std::string stopped;  // why it was stopped early
};
// Runs a session and keeps it, on disk if the options say so. The error: nothing was run.
Result<Measured> measure(const bench::Session& session, const BenchOptions& options, const std::string& verb);

// "1%", "1 %", "0.5%", "0.01"
Result<double> parse_margin(const std::string& text);

// How a comparison is shown.
struct ShowOptions {
  std::string output = "table", html;
};
void add_show_flags(CLI::App& app, ShowOptions& options);
// To standard output and the HTML file. The exit status.
int show_comparison(const bench::Comparison& comparison, const std::vector<bench::ResultFile>& files,
                    const ShowOptions& options);

}  // namespace nm::cmd
