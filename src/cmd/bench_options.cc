// The options of `bench run` and `bench compare`, and what they choose.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cmd/bench.h"

namespace nm::cmd {

void add_bench_flags(CLI::App& app, BenchOptions& options) {
  app.add_option("--suite", options.suite, "shoc, apps, ai, path or all (the default)")
      ->check(CLI::IsMember({"shoc", "apps", "ai", "path", "all"}))
      ->type_name("SUITE");
  app.add_option("--size", options.size, "ci (the default: seconds, anywhere), shoc (SHOC's own) or gpu (fills one)")
      ->check(CLI::IsMember({"ci", "shoc", "gpu"}))
      ->type_name("SIZE");
  app.add_option("--api", options.api, "cuda (the default), opencl or both")
      ->check(CLI::IsMember({"cuda", "opencl", "both"}))
      ->type_name("API");
  app.add_option("--program", options.programs, "only this one of the programs; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  app.add_option("--scenario", options.scenario, "commands of your own instead of the suite (scenarios/README.md)")
      ->type_name("FILE");
  app.add_option("--passes", options.passes, "samples of each figure in one run (default: by the size)")
      ->check(CLI::Range(1, 10'000))
      ->type_name("NUMBER");
  app.add_option("--seed", options.seed, "of the data, the order of runs and the bootstrap (default 1)")
      ->type_name("NUMBER");
  app.add_option("--timeout", options.timeout, "seconds after which a run is ended (default: by the size)")
      ->check(CLI::Range(0.1, 86'400.0))
      ->type_name("SECONDS");
  app.add_option("--save", options.save, "keep every sample in this file, JSON lines; it must not be there yet")
      ->type_name("FILE");
  app.add_option("--workload", options.workload, "where nearmetal-workload is (default: beside nearmetal)")
      ->type_name("PATH");
}

Result<std::vector<bench::Program>> choose_programs(const BenchOptions& options) {
  std::vector<bench::Program> out;
  if (!options.scenario.empty()) {
    auto scenarios = bench::read_scenarios(options.scenario);
    if (!scenarios) return scenarios.error();
    for (bench::Scenario& scenario : *scenarios) {
      bench::Program program;
      program.name = scenario.name;
      program.suite = "scenario";
      program.scenario = std::move(scenario);
      out.push_back(std::move(program));
    }
  } else {
    const auto all = list_programs(workload_path(options.workload));
    if (!all) return all.error();
    for (const std::string api : {"cuda", "opencl"}) {
      if (options.api != "both" && options.api != api) continue;
      for (bench::Program program : *all) {
        if (options.suite != "all" && program.suite != options.suite) continue;
        if (!program.api.empty() && program.api != api) continue;
        program.api = api;
        program.size = options.size;
        out.push_back(std::move(program));
      }
    }
  }
  for (const std::string& name : options.programs) {
    if (std::none_of(out.begin(), out.end(), [&](const bench::Program& program) { return program.name == name; })) {
      return Error{
          fmt::format("There is no program \"{}\" among those chosen. `nearmetal bench list` lists them.", name)};
    }
  }
  if (!options.programs.empty()) {
    std::erase_if(out, [&](const bench::Program& program) {
      return std::find(options.programs.begin(), options.programs.end(), program.name) == options.programs.end();
    });
  }
  if (out.empty()) return Error{fmt::format("Suite {} has no programs for {}.", options.suite, options.api)};
  return out;
}

Result<double> parse_margin(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  if (rest == "%") value /= 100;
  if (error != std::errc() || !(rest.empty() || rest == "%") || !(value > 0 && value < 0.5)) {
    return Error{fmt::format("--margin \"{}\" is no margin. Write 1% or 0.01; it must be below 50 %.", text)};
  }
  return value;
}

}  // namespace nm::cmd
