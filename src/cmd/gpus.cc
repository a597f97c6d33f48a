// nearmetal gpus: what a server offers, as a table or as JSON.
#include <fmt/format.h>

#include <algorithm>

#include "cmd/command_line.h"
#include "cmd/config.h"
#include "cmd/gpus_query.h"

namespace nm::cmd {
namespace {

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

}  // namespace

int gpus_verb(const Args& args) {
  std::string server, output = "table";
  CLI::App app("Lists the GPUs that a server offers.", "nearmetal gpus");
  app.add_option("--server", server, "unix:PATH or tcp:HOST:PORT (else NEARMETAL_SERVER, else the configuration)")
      ->type_name("ADDRESS");
  app.add_option("-o,--output", output, "table (the default) or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORMAT");
  app.footer("Example:\n  nearmetal gpus --server unix:/run/nearmetal/nearmetal.sock -o json");
  if (const auto status = parse(app, args)) return *status;

  const auto address = client_server(server);
  if (!address) return fail(address.error().message);
  const auto gpus = query_gpus(*address);
  if (!gpus) return fail(gpus.error().message);
  if (output == "json") {
    fmt::print("{}\n", to_json(*gpus));
  } else {
    print_table(*gpus);
  }
  return 0;
}

}  // namespace nm::cmd
