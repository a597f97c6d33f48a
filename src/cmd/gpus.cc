// nearmetal gpus: what a server offers, or, without one, what this host itself has.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cmd/command_line.h"
#include "cmd/config.h"
#include "cmd/gpus_query.h"
#include "cmd/host_report.h"
#include "cmd/yaml.h"

namespace nm::cmd {
namespace {

struct Options {
  std::string server, output = "table", root;
  bool local = false, wide = false;
};

void print_table(const std::vector<GpuInfo>& gpus) {
  size_t width = 4;
  for (const GpuInfo& gpu : gpus) width = std::max(width, gpu.name.size());
  fmt::print("{:<4}{:<{}}  {:>10}  {:<4}{:>4}  {:<14}{}\n", "GPU", "NAME", width, "MEMORY", "CC", "SMS", "PCI", "UUID");
  for (const GpuInfo& gpu : gpus) {
    const double gib = static_cast<double>(gpu.memory_bytes) / (1 << 30);
    fmt::print("{:<4}{:<{}}  {:>6.1f} GiB  {:<4}{:>4}  {:<14}{}\n", gpu.index, gpu.name, width, gib,
               fmt::format("{}.{}", gpu.capability_major, gpu.capability_minor), gpu.multiprocessors, gpu.pci,
               gpu.uuid);
  }
}

int show_server(const wire::Address& address, const Options& options) {
  const auto gpus = query_gpus(address);
  if (!gpus) return fail(gpus.error().message);
  if (options.output == "json") {
    fmt::print("{}\n", to_json(*gpus));
  } else if (options.output == "yaml") {
    fmt::print("{}", to_yaml(nlohmann::ordered_json::parse(to_json(*gpus))));
  } else {
    print_table(*gpus);
  }
  return 0;
}

int show_host(const Options& options) {
  const inventory::DirectoryHost host(options.root);
  const inventory::Inventory inventory = inventory::take_inventory(host);
  if (options.output != "table") {
    fmt::print("{}", to_text(inventory_json(inventory), options.output));
    return 0;
  }
  const bool colour = ::isatty(STDOUT_FILENO) && !::getenv("NO_COLOR");
  const auto lines = options.wide ? inventory_details(inventory, colour) : inventory_table(inventory, colour);
  for (const std::string& line : lines) fmt::print("{}\n", line);
  for (const std::string& note : inventory_notes(inventory)) fmt::print(stderr, "nearmetal: {}\n", note);
  return 0;
}

}  // namespace

int gpus_verb(const Args& args) {
  Options options;
  CLI::App app("Lists the GPUs that a server offers or, where none is named and none listens, this host's own.",
               "nearmetal gpus");
  auto* server = app.add_option("--server", options.server,
                                "unix:PATH or tcp:HOST:PORT (else NEARMETAL_SERVER, else the configuration)")
                     ->type_name("ADDRESS");
  app.add_flag("--local", options.local, "this host's own GPUs: who has them, and whether a VM can")->excludes(server);
  app.add_flag("--wide", options.wide, "of this host's: all that is known of each");
  app.add_option("-o,--output", options.output, "table (the default), json or yaml")
      ->check(CLI::IsMember({"table", "json", "yaml"}))
      ->type_name("FORMAT");
  app.add_option("--root", options.root)->group("");  // for tests: the host whose files lie in this directory
  app.footer(
      "Example:\n  nearmetal gpus --server unix:/run/nearmetal/nearmetal.sock -o json\n  nearmetal gpus --local "
      "--wide");
  if (const auto status = parse(app, args)) return *status;

  if (options.local || !options.root.empty()) return show_host(options);
  const auto named = named_server(options.server);
  if (!named) return fail(named.error().message);
  if (*named) return show_server(**named, options);
  const wire::Address usual = wire::default_address();
  if (const auto answers = wire::dial(usual, Millis(5'000))) return show_server(usual, options);
  fmt::print(stderr, "nearmetal: No server is named and none listens at {}: this host's own GPUs.\n", usual.text());
  return show_host(options);
}

}  // namespace nm::cmd
