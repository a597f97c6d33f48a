// nearmetal-workload: the benchmark programs, each run on one device by one API. `nearmetal bench` runs it under the
// ways to a GPU that it compares; by itself it is a benchmark like any other. What it prints: output.md.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "device/nvml.h"
#include "workload/suites.h"

namespace nm::workload {
namespace {

using Json = nlohmann::json;

// Changes when figures before and after it may not be compared.
constexpr const char* kSuiteVersion = "1";

enum Status { kOk = 0, kWrong = 1, kUsage = 2, kDevice = 3, kUnsupported = 77 };

std::vector<Program> all_programs() {
  std::vector<Program> all;
  for (const auto suite : {shoc_level_0(), shoc_level_1(), shoc_level_2(), apps_suite(), ai_suite(), path_suite()}) {
    all.insert(all.end(), suite.begin(), suite.end());
  }
  return all;
}

void print(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

// What NVML tells; empty without it.
Json state_of(const device::Info& info) {
  Json state = Json::object();
  for (const device::StateField& field : device::read_state(info)) {
    std::visit([&](const auto& value) { state[field.name] = value; }, field.value);
  }
  return state;
}

Json device_line(const device::Info& info) {
  return Json{{"line", "device"},
              {"name", info.name},
              {"uuid", info.uuid},
              {"pci", info.pci},
              {"driver", info.driver},
              {"api_version", info.api_version},
              {"memory_bytes", info.memory_bytes},
              {"l2_bytes", info.l2_bytes},
              {"multiprocessors", info.multiprocessors},
              {"clock_mhz", info.clock_mhz},
              {"is_cpu", info.is_cpu},
              {"state", state_of(info)}};
}

void print_error(const std::string& sentence) { print(Json{{"line", "error"}, {"sentence", sentence}}.dump()); }

int run_one(const Program& program, device::Api api, int ordinal, const Settings& settings) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  print(Json{{"line", "begin"},
             {"workload", 1},
             {"suite_version", kSuiteVersion},
             {"program", program.name},
             {"suite", program.suite},
             {"level", program.level},
             {"api", device::name_of(api)},
             {"size", name_of(settings.size)},
             {"seed", settings.seed}}
            .dump());
  if (api == device::Api::opencl && !program.opencl) {
    print(Json{{"line", "skip"}, {"metric", "*"}, {"why", std::string(program.name) + " is for CUDA only."}}.dump());
    return kUnsupported;
  }
  int status = kOk;
  Json state_after;
  try {
    const auto device = device::Device::open(api, ordinal);
    print(device_line(device->info()).dump());
    Run run(*device, settings, print);
    program.run(run);
    device->finish();
    if (!run.ok()) status = kWrong;
    state_after = state_of(device->info());
  } catch (const device::Unsupported& why) {
    print(Json{{"line", "skip"}, {"metric", "*"}, {"why", why.what()}}.dump());
    return kUnsupported;
  } catch (const std::exception& failure) {
    print_error(std::string(program.name) + ": " + failure.what());
    return kDevice;
  }
  print(Json{{"line", "end"},
             {"ok", status == kOk},
             {"seconds", std::chrono::duration<double>(Clock::now() - begin).count()},
             {"device_state", state_after}}
            .dump());
  return status;
}

int list(const std::string& output) {
  for (const Program& program : all_programs()) {
    if (output == "json") {
      print(Json{{"program", program.name},
                 {"suite", program.suite},
                 {"level", program.level},
                 {"opencl", program.opencl},
                 {"summary", program.summary}}
                .dump());
    } else {
      std::printf("%-6s%-3s%-22.*s%s\n", std::string(program.suite).c_str(),
                  program.level < 0 ? "" : std::to_string(program.level).c_str(), static_cast<int>(program.name.size()),
                  program.name.data(), std::string(program.summary).c_str());
    }
  }
  return kOk;
}

int main(int argc, char** argv) {
  CLI::App app("Benchmark programs for GPUs, by CUDA's driver API and by OpenCL.", "nearmetal-workload");
  app.require_subcommand(1);
  std::string output = "table";
  CLI::App* const list_verb = app.add_subcommand("list", "the programs, a line each");
  list_verb->add_option("-o,--output", output, "table (the default) or json, a line a program")
      ->check(CLI::IsMember({"table", "json"}));

  std::vector<std::string> names;
  std::string size = "ci", api = "cuda";
  int ordinal = 0;
  Settings settings;
  CLI::App* const run_verb = app.add_subcommand("run", "run programs, one after the other; prints JSON lines");
  run_verb->add_option("PROGRAM", names, "names of the list; `all`")->required();
  run_verb->add_option("--size", size, "ci (the default), shoc or gpu")->check(CLI::IsMember({"ci", "shoc", "gpu"}));
  run_verb->add_option("--api", api, "cuda (the default) or opencl")->check(CLI::IsMember({"cuda", "opencl"}));
  run_verb->add_option("--device", ordinal, "which of the API's devices (default 0)")->check(CLI::NonNegativeNumber);
  run_verb->add_option("--passes", settings.passes, "samples of each figure (default 3, or 10)")
      ->check(CLI::Range(1, 10000));
  run_verb->add_option("--seed", settings.seed, "of the random numbers (default 1)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  if (*list_verb) return list(output);

  settings.ordinal = ordinal;
  settings.size = size == "ci" ? Size::ci : size == "shoc" ? Size::shoc : Size::gpu;
  std::vector<Program> chosen;
  for (const std::string& name : names) {
    const size_t before = chosen.size();
    for (const Program& program : all_programs()) {
      if (name == "all" || name == program.name) chosen.push_back(program);
    }
    if (chosen.size() == before) {
      std::fprintf(stderr, "nearmetal-workload: there is no program \"%s\". `nearmetal-workload list` lists them.\n",
                   name.c_str());
      return kUsage;
    }
  }
  int worst = kOk;
  for (const Program& program : chosen) {
    const int status = run_one(program, api == "cuda" ? device::Api::cuda : device::Api::opencl, ordinal, settings);
    // Of several, what cannot run here does not hide what failed, nor the other way round.
    if (status != kOk && (worst == kOk || worst == kUnsupported)) worst = status;
  }
  return worst;
}

}  // namespace
}  // namespace nm::workload

int main(int argc, char** argv) { return nm::workload::main(argc, argv); }
