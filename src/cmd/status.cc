// nearmetal status: which of this host's GPUs are in virtual machines, and what is unfinished.
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "attach/store.h"
#include "base/grid.h"
#include "cmd/attach_world.h"
#include "cmd/yaml.h"

namespace nm::cmd {
namespace {

using attach::PciAddress;
using inventory::State;

// All that is known of one GPU, from the host and from the store.
struct Row {
  PciAddress gpu;
  std::string model, driver;  // empty: not known, none
  std::optional<attach::Attachment> attachment;
  std::optional<attach::Operation> operation;
  std::string quarantine;
  const inventory::Gpu* seen = nullptr;
};

// "attached", "kept", "quarantined", "interrupted", or what the inventory says.
std::string state_of(const Row& row) {
  if (row.operation) return "interrupted";
  if (!row.quarantine.empty()) return "quarantined";
  if (row.attachment) return row.attachment->guest.empty() ? "kept" : "attached";
  return row.seen ? std::string(inventory::word(row.seen->state)) : "gone";
}

std::string remark(const Row& row, bool root) {
  if (row.operation) {
    return fmt::format("its {} was interrupted{}; run `nearmetal recover`", word(row.operation->verb),
                       row.operation->trouble.empty() ? "" : " (" + row.operation->trouble + ")");
  }
  if (!row.quarantine.empty()) return row.quarantine + " `nearmetal release --force` ends it";
  if (row.attachment && !row.attachment->guest.empty()) {
    const bool open = row.seen && row.seen->state == State::attached;
    return fmt::format("in VM {}{}", row.attachment->guest,
                       root && !open ? ", which has ended or let go of it; run `nearmetal recover`" : "");
  }
  if (row.attachment) return "for the next VM, or `nearmetal release`";
  return row.seen && row.seen->state == State::attached ? "in " + row.seen->attached_to + ", not by nearmetal" : "";
}

Row& row_of(std::vector<Row>& rows, const PciAddress& gpu) {
  for (Row& row : rows) {
    if (row.gpu == gpu) return row;
  }
  rows.push_back({.gpu = gpu});
  return rows.back();
}

nlohmann::ordered_json to_json(const Row& row, bool root) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  nlohmann::ordered_json json = {
      {"gpu", row.gpu.text()},
      {"model", or_null(row.model)},
      {"driver", or_null(row.driver)},
      {"state", state_of(row)},
      {"guest", row.attachment ? or_null(row.attachment->guest) : nlohmann::ordered_json()},
      {"backend", row.attachment ? or_null(row.attachment->backend) : nlohmann::ordered_json()},
      {"functions", nlohmann::ordered_json::array()},
      {"persistent", row.attachment && row.attachment->persistent},
      {"since", row.attachment ? nlohmann::ordered_json(row.attachment->since) : nlohmann::ordered_json()},
      {"interrupted", row.operation ? nlohmann::ordered_json(word(row.operation->verb)) : nlohmann::ordered_json()},
      {"remark", or_null(remark(row, root))}};
  if (row.attachment) {
    for (const PciAddress& function : row.attachment->functions) json["functions"].push_back(function.text());
  }
  return json;
}

}  // namespace

int status_in(AttachWorld& world, const Args& args) {
  std::string output = "table";
  CLI::App app("Shows which GPUs of this host are in virtual machines or kept for them, and what is unfinished.",
               "nearmetal status");
  app.add_option("-o,--output", output, "table (the default), json or yaml")
      ->check(CLI::IsMember({"table", "json", "yaml"}))
      ->type_name("FORMAT");
  app.footer("Example:\n  nearmetal status -o json");
  if (const auto status = parse(app, args)) return *status;

  auto store = attach::Store::open_to_read(attach::state_directory());
  if (!store) return fail(store.error().message);
  const auto attachments = store->attachments();
  const auto operations = store->operations();
  const auto quarantined = store->quarantined();
  if (!attachments) return fail(attachments.error().message);
  if (!operations) return fail(operations.error().message);
  if (!quarantined) return fail(quarantined.error().message);

  const inventory::Inventory inventory = inventory::take_inventory(world.system->host());
  std::vector<Row> rows;
  for (const inventory::Gpu& gpu : inventory.gpus) {
    rows.push_back({.gpu = gpu.function.address, .model = gpu.model, .driver = gpu.function.driver, .seen = &gpu});
  }
  for (const auto& attachment : *attachments) row_of(rows, attachment.gpu).attachment = attachment;
  for (const auto& operation : *operations) row_of(rows, operation.gpu).operation = operation;
  for (const auto& quarantine : *quarantined) row_of(rows, quarantine.gpu).quarantine = quarantine.reason;

  if (output != "table") {
    auto list = nlohmann::ordered_json::array();
    for (const Row& row : rows) list.push_back(to_json(row, inventory.root));
    fmt::print("{}", to_text({{"gpus", std::move(list)}}, output));
    return 0;
  }
  if (rows.empty()) {
    fmt::print("This host has no GPU.\n");
    return 0;
  }
  Grid grid;
  grid.row({{"PCI", Tint::faint, true},
            {"MODEL", Tint::faint, true},
            {"DRIVER", Tint::faint, true},
            {"STATE", Tint::faint, true},
            {"REMARK", Tint::faint, true}});
  for (const Row& row : rows) {
    const std::string state = state_of(row);
    const Tint tint = state == "attached"                                ? Tint::good
                      : state == "quarantined" || state == "interrupted" ? Tint::bad
                                                                         : Tint::none;
    grid.row({{row.gpu.text(), Tint::strong, true},
              {row.model.empty() ? "-" : row.model, Tint::none, true},
              {row.driver.empty() ? "-" : row.driver, Tint::none, true},
              {state, tint, true},
              {remark(row, inventory.root), Tint::none, true}});
  }
  const bool colour = ::isatty(STDOUT_FILENO) && !::getenv("NO_COLOR");
  for (const std::string& line : grid.lines(colour)) fmt::print("{}\n", line);
  return 0;
}

int status_verb(const Args& args) {
  AttachWorld world = real_world();
  return status_in(world, args);
}

}  // namespace nm::cmd
