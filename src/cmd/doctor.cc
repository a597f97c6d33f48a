// nearmetal doctor: can this host hand a GPU to a virtual machine, and if not, what is to be done?
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cmd/command_line.h"
#include "cmd/doctor_report.h"
#include "cmd/host_report.h"
#include "cmd/yaml.h"

namespace nm::cmd {

int doctor_verb(const Args& args) {
  std::string output = "table", root;
  CLI::App app(
      "Tells whether this host can hand a GPU to a virtual machine, and what to do where it cannot. Changes nothing.\n"
      "Exit status: 0 ready, 1 not, 2 a mistake in the command line.",
      "nearmetal doctor");
  app.add_option("-o,--output", output, "table (the default), json or yaml")
      ->check(CLI::IsMember({"table", "json", "yaml"}))
      ->type_name("FORMAT");
  app.add_option("--root", root)->group("");  // for tests: the host whose files lie in this directory
  app.footer("Example:\n  nearmetal doctor");
  if (const auto status = parse(app, args)) return *status;

  const inventory::DirectoryHost host(root);
  const inventory::Inventory inventory = inventory::take_inventory(host);
  const inventory::Diagnosis diagnosis = inventory::diagnose(host, inventory);
  if (output != "table") {
    fmt::print("{}", to_text(diagnosis_json(diagnosis), output));
  } else {
    const bool colour = ::isatty(STDOUT_FILENO) && !::getenv("NO_COLOR");
    for (const std::string& line : diagnosis_lines(diagnosis, colour)) fmt::print("{}\n", line);
    fmt::print("\n{}\n", verdict_sentence(diagnosis));
    for (const std::string& note : inventory_notes(inventory)) fmt::print(stderr, "nearmetal: {}\n", note);
  }
  return diagnosis.ready() ? 0 : kFailed;
}

}  // namespace nm::cmd
