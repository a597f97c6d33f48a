#include <fmt/format.h>

#include "base/grid.h"
#include "cmd/host_report.h"

namespace nm::cmd {
namespace {

using inventory::Gpu;
using inventory::Inventory;
using inventory::State;
using inventory::Verdict;

Tint tint_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ready:
      return Tint::good;
    case Verdict::steps:
      return Tint::unsure;
    case Verdict::taken:
      return Tint::fast;
    case Verdict::blocked:
      return Tint::bad;
  }
  return Tint::none;
}

std::string joined(const std::vector<std::string>& parts, std::string_view between = ", ") {
  std::string all;
  for (const std::string& part : parts) {
    if (!all.empty()) all += between;
    all += part;
  }
  return all;
}

// As many as a column has room for.
std::string holders_in_short(const Gpu& gpu) {
  if (gpu.holders.empty()) return "-";
  std::string text = gpu.holders[0].text();
  if (gpu.holders.size() > 1) text += fmt::format(" and {} more", gpu.holders.size() - 1);
  return text;
}

std::string or_dash(std::string text) { return text.empty() ? "-" : text; }

template <typename T>
std::string number_or_dash(const std::optional<T>& number) {
  return number ? fmt::format("{}", *number) : "-";
}

std::string bar_text(const inventory::Bar& bar) {
  std::string text = fmt::format("{}: {}", bar.index, size_text(bar.size));
  if (bar.io) return text + " I/O";
  text += bar.wide ? " 64-bit" : " 32-bit";
  if (bar.prefetchable) text += " prefetchable";
  if (!bar.possible.empty()) {
    text += fmt::format(" (can be {} to {})", size_text(bar.possible.front()), size_text(bar.possible.back()));
  }
  return text;
}

std::string link_text(const Gpu& gpu) {
  if (gpu.link_max.text().empty()) return "";
  std::string text = gpu.link.text().empty() ? "not known now" : gpu.link.text();
  if (gpu.link.text() != gpu.link_max.text()) text += fmt::format(" now, {} at most", gpu.link_max.text());
  if (gpu.link.gigatransfers < gpu.link_max.gigatransfers) text += " (idle GPUs lower the speed)";
  return text;
}

std::string bottleneck_text(const Gpu& gpu) {
  if (!gpu.bottleneck) return "";
  return fmt::format("{} carries only {} ({:.1f} of {:.1f} GB/s)", gpu.bottleneck->at.text(),
                     gpu.bottleneck->link.text(), gpu.bottleneck->link.gigabytes(), gpu.link_max.gigabytes());
}

std::string member_text(const inventory::GroupMember& member) {
  return fmt::format("{} {}{}{}{}", member.function.address.text(), member.function.kind(),
                     member.function.driver.empty() ? "" : ", ", member.function.driver,
                     member.in_the_way() ? " (in the way)" : "");
}

std::string vgpu_text(const inventory::VgpuType& type) {
  return fmt::format("{} {}: {} available", type.type, type.name, number_or_dash(type.available));
}

class Paragraph {
 public:
  Paragraph(std::vector<std::string>& lines, bool colour) : lines_(lines), colour_(colour) {}
  void add(std::string_view key, const std::string& text, Tint tint = Tint::none) {
    if (!text.empty())
      lines_.push_back(tinted(fmt::format("  {:<14}", key), Tint::faint, colour_) + tinted(text, tint, colour_));
  }
  void add(std::string_view key, const std::vector<std::string>& texts) {
    for (size_t i = 0; i < texts.size(); ++i) add(i == 0 ? key : "", texts[i]);
  }

 private:
  std::vector<std::string>& lines_;
  bool colour_;
};

void describe(const Gpu& gpu, std::vector<std::string>& lines, bool colour) {
  lines.push_back(tinted(gpu.function.address.text() + "  " + gpu.model, Tint::strong, colour));
  Paragraph out(lines, colour);
  out.add("readiness", std::string(inventory::word(gpu.readiness.verdict)), tint_of(gpu.readiness.verdict));
  out.add("because", gpu.readiness.reasons);
  out.add("state", inventory::state_text(gpu), gpu.state == State::lost ? Tint::bad : Tint::none);
  std::vector<std::string> holders;
  for (const auto& holder : gpu.holders) {
    holders.push_back(holder.text() + (holder.files.empty() ? "" : ": " + joined(holder.files)));
  }
  out.add("held by", holders);
  out.add("ids", fmt::format("{} subsystem {:04x}:{:04x}, class {:06x} ({})", gpu.function.ids(),
                             gpu.function.subsystem_vendor, gpu.function.subsystem_device, gpu.function.class_code,
                             gpu.function.kind()));
  out.add("UUID", gpu.uuid);
  out.add("driver", (gpu.function.driver.empty() ? "none" : gpu.function.driver) +
                        (gpu.driver_override.empty() ? "" : ", kept for " + gpu.driver_override));
  out.add("could have", joined(gpu.drivers_possible));
  out.add("NUMA node", number_or_dash(gpu.function.numa_node));
  std::vector<std::string> card, group, bars, vgpus;
  for (const auto& function : gpu.card) {
    card.push_back(fmt::format("{} {}{}{}", function.address.text(), function.kind(),
                               function.driver.empty() ? "" : ", ", function.driver));
  }
  for (const auto& member : gpu.group) group.push_back(member_text(member));
  for (const auto& bar : gpu.bars) bars.push_back(bar_text(bar));
  for (const auto& type : gpu.vgpu_types) vgpus.push_back(vgpu_text(type));
  out.add("same card", card);
  out.add("IOMMU group", gpu.function.iommu_group ? fmt::format("{}{}{}", *gpu.function.iommu_group,
                                                                gpu.group_type.empty() ? "" : ", ", gpu.group_type)
                                                  : "none");
  out.add("its members", group);
  out.add("BARs", bars);
  if (gpu.rom_size > 0) out.add("ROM", size_text(gpu.rom_size));
  out.add("resets", gpu.reset_methods.empty() ? "none" : joined(gpu.reset_methods));
  out.add("PCIe link", link_text(gpu));
  out.add("bottleneck", bottleneck_text(gpu));
  out.add("power", gpu.asleep ? gpu.power_state + ", asleep: its link was not asked" : gpu.power_state);
  if (gpu.boot_display) out.add("display", "the firmware's messages appear on it");
  out.add("monitors", joined(gpu.monitors));
  if (gpu.physical_function) out.add("SR-IOV", "a virtual function of " + gpu.physical_function->text());
  if (gpu.sriov) out.add("SR-IOV", fmt::format("{} of {} virtual functions", gpu.sriov->enabled, gpu.sriov->total));
  out.add("mediated", vgpus);
  if (gpu.mig.capable) out.add("MIG", fmt::format("possible; {} instances exist", gpu.mig.instances));
}

}  // namespace

std::string size_text(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes >= 1024 && bytes % 1024 == 0) bytes /= 1024, ++unit;
  return fmt::format("{} {}", bytes, kUnits[unit]);
}

std::vector<std::string> inventory_table(const Inventory& inventory, bool colour) {
  if (inventory.gpus.empty()) return {"This host has no GPU."};
  Grid grid;
  std::vector<Cell> head;
  for (const char* name : {"PCI", "MODEL", "NUMA", "GROUP", "DRIVER", "STATE", "READINESS", "HELD BY"}) {
    head.push_back({name, Tint::faint, true});
  }
  grid.row(std::move(head));
  for (const Gpu& gpu : inventory.gpus) {
    grid.row({{gpu.function.address.text(), Tint::strong, true},
              {gpu.model, Tint::none, true},
              {number_or_dash(gpu.function.numa_node), Tint::none, true},
              {number_or_dash(gpu.function.iommu_group), Tint::none, true},
              {or_dash(gpu.function.driver), Tint::none, true},
              {std::string(inventory::word(gpu.state)), Tint::none, true},
              {std::string(inventory::word(gpu.readiness.verdict)), tint_of(gpu.readiness.verdict), true},
              {holders_in_short(gpu), Tint::none, true}});
  }
  return grid.lines(colour);
}

std::vector<std::string> inventory_details(const Inventory& inventory, bool colour) {
  if (inventory.gpus.empty()) return {"This host has no GPU."};
  std::vector<std::string> lines;
  for (const Gpu& gpu : inventory.gpus) {
    if (!lines.empty()) lines.push_back("");
    describe(gpu, lines, colour);
  }
  if (!inventory.nvswitches.empty()) {
    std::vector<std::string> names;
    for (const auto& function : inventory.nvswitches) names.push_back(function.address.text());
    lines.push_back("");
    lines.push_back(fmt::format("{} NVSwitches join these GPUs: {}.", names.size(), joined(names)));
  }
  return lines;
}

std::vector<std::string> inventory_notes(const Inventory& inventory) {
  std::vector<std::string> notes;
  if (!inventory.root_would_add.empty()) {
    notes.push_back("As root this would also tell " + joined(inventory.root_would_add, ", and ") + ".");
  }
  notes.insert(notes.end(), inventory.troubles.begin(), inventory.troubles.end());
  return notes;
}

}  // namespace nm::cmd
