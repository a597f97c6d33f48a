// nearmetal bench list: the programs of the suite. And how every verb asks for them.
#include <fmt/format.h>

#include "bench/execute.h"
#include "bench/json_line.h"
#include "cmd/bench.h"

namespace nm::cmd {

std::string workload_path(const std::string& option) {
  return option.empty() ? own_tree().bin + "/nearmetal-workload" : option;
}

namespace {

// The lines of `nearmetal-workload list -o json`.
Result<std::vector<bench::Json>> ask(const std::string& workload) {
  if (bench::find_program(workload).empty()) {
    return Error{
        fmt::format("There is no program {}. Install nearmetal-workload beside nearmetal, or say where it is with "
                    "--workload.",
                    workload)};
  }
  std::string text;
  const auto done = bench::execute({.argv = {workload, "list", "-o", "json"},
                                    .env = current_environment(),
                                    .time_limit = Millis(60'000),
                                    .output =
                                        [&](std::string_view bytes) {
                                          text += bytes;
                                          return text.size() < bench::kMaxLine;
                                        },
                                    .tick = {}});
  if (!done) return done.error();
  if (!done->status.clean() || done->hung || done->cut) {
    return Error{fmt::format("{} list {}. {}", workload, done->hung ? "did not end" : done->status.describe(),
                             done->last_words)};
  }
  std::vector<bench::Json> lines;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
    auto line = bench::parse_object(std::string_view(text).substr(begin, end - begin));
    if (!line) return Error{fmt::format("{} list: a line {}.", workload, line.error().message)};
    lines.push_back(std::move(*line));
  }
  return lines;
}

}  // namespace

Result<std::vector<bench::Program>> list_programs(const std::string& workload) {
  const auto lines = ask(workload);
  if (!lines) return lines.error();
  std::vector<bench::Program> out;
  for (const bench::Json& line : *lines) {
    bench::Program program;
    program.name = bench::text_of(line, "program");
    program.suite = bench::text_of(line, "suite");
    program.level = bench::integer_of(line, "level");
    if (program.level < 0) program.level.reset();
    program.api = bench::bool_of(line, "opencl").value_or(true) ? "" : "cuda";  // empty: any
    if (!program.name.empty()) out.push_back(std::move(program));
  }
  if (out.empty()) return Error{fmt::format("{} lists no programs.", workload)};
  return out;
}

int bench_list_verb(const Args& args) {
  std::string output = "table", workload;
  CLI::App app("Lists the benchmark programs.", "nearmetal bench list");
  app.add_option("-o,--output", output, "table (the default) or json, a line a program")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORMAT");
  app.add_option("--workload", workload, "where nearmetal-workload is (default: beside nearmetal)")->type_name("PATH");
  app.footer("Example:\n  nearmetal bench list");
  if (const auto status = parse(app, args)) return *status;
  const auto lines = ask(workload_path(workload));
  if (!lines) return fail(lines.error().message);
  if (output == "table") fmt::print("{:<7}{:<6}{:<22}{:<13}{}\n", "SUITE", "LEVEL", "PROGRAM", "API", "WHAT");
  for (const bench::Json& line : *lines) {
    if (output == "json") {
      fmt::print("{}\n", bench::dump(line));
      continue;
    }
    const int64_t level = bench::integer_of(line, "level").value_or(-1);
    fmt::print("{:<7}{:<6}{:<22}{:<13}{}\n", bench::text_of(line, "suite"), level < 0 ? "" : std::to_string(level),
               bench::text_of(line, "program"), bench::bool_of(line, "opencl").value_or(true) ? "cuda opencl" : "cuda",
               bench::text_of(line, "summary"));
  }
  return 0;
}

}  // namespace nm::cmd
