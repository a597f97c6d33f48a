#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cmd/host_report.h"

namespace nm::cmd {
namespace {

using nlohmann::ordered_json;

template <typename T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json();
}

ordered_json or_null(const std::string& text) { return text.empty() ? ordered_json() : ordered_json(text); }

ordered_json function_json(const inventory::PciFunction& function) {
  return {{"pci", function.address.text()},
          {"ids", function.ids()},
          {"kind", function.kind()},
          {"driver", or_null(function.driver)},
          {"iommu_group", or_null(function.iommu_group)}};
}

ordered_json link_json(const inventory::PcieLink& link) {
  if (link.text().empty()) return {};
  return {{"gigatransfers_per_second", link.gigatransfers}, {"width", link.width}};
}

ordered_json group_json(const inventory::Gpu& gpu) {
  if (!gpu.function.iommu_group) return {};
  auto members = ordered_json::array();
  for (const auto& member : gpu.group) {
    ordered_json one = function_json(member.function);
    one.erase("iommu_group");
    one["role"] = inventory::word(member.role);
    one["in_the_way"] = member.in_the_way();
    members.push_back(std::move(one));
  }
  return {{"number", *gpu.function.iommu_group}, {"type", or_null(gpu.group_type)}, {"members", std::move(members)}};
}

ordered_json bars_json(const inventory::Gpu& gpu) {
  auto bars = ordered_json::array();
  for (const auto& bar : gpu.bars) {
    bars.push_back({{"index", bar.index},
                    {"bytes", bar.size},
                    {"space", bar.io ? "io" : "memory"},
                    {"wide", bar.wide},
                    {"prefetchable", bar.prefetchable},
                    {"possible_bytes", bar.possible}});
  }
  return bars;
}

ordered_json holders_json(const inventory::Gpu& gpu) {
  auto holders = ordered_json::array();
  for (const auto& holder : gpu.holders) {
    holders.push_back({{"kind", inventory::word(holder.kind)},
                       {"pid", holder.pid == 0 ? ordered_json() : ordered_json(holder.pid)},
                       {"name", holder.name},
                       {"guest", or_null(holder.guest)},
                       {"files", holder.files},
                       {"certain", holder.certain}});
  }
  return holders;
}

ordered_json slices_json(const inventory::Gpu& gpu) {
  ordered_json sriov, mediated = ordered_json::array();
  if (gpu.sriov) {
    auto functions = ordered_json::array();
    for (const auto& address : gpu.sriov->functions) functions.push_back(address.text());
    sriov = {{"total", gpu.sriov->total}, {"enabled", gpu.sriov->enabled}, {"functions", std::move(functions)}};
  }
  for (const auto& type : gpu.vgpu_types) {
    mediated.push_back({{"type", type.type}, {"name", type.name}, {"available", or_null(type.available)}});
  }
  return {{"sriov", std::move(sriov)},
          {"physical_function", gpu.physical_function ? ordered_json(gpu.physical_function->text()) : ordered_json()},
          {"mediated_devices", std::move(mediated)},
          {"mig", {{"capable", gpu.mig.capable}, {"instances", gpu.mig.instances}}}};
}

ordered_json gpu_json(const inventory::Gpu& gpu) {
  auto card = ordered_json::array();
  for (const auto& function : gpu.card) card.push_back(function_json(function));
  ordered_json out = {
      {"pci", gpu.function.address.text()},
      {"model", gpu.model},
      {"vendor", or_null(gpu.vendor_name)},
      {"ids", gpu.function.ids()},
      {"class", fmt::format("{:06x}", gpu.function.class_code)},
      {"uuid", or_null(gpu.uuid)},
      {"numa_node", or_null(gpu.function.numa_node)},
      {"driver", or_null(gpu.function.driver)},
      {"driver_override", or_null(gpu.driver_override)},
      {"drivers_possible", gpu.drivers_possible},
      {"state", inventory::word(gpu.state)},
      {"attached_to", or_null(gpu.attached_to)},
      {"readiness", {{"verdict", inventory::word(gpu.readiness.verdict)}, {"reasons", gpu.readiness.reasons}}},
      {"holders", holders_json(gpu)},
      {"iommu_group", group_json(gpu)},
      {"same_card", std::move(card)},
      {"bars", bars_json(gpu)},
      {"rom_bytes", gpu.rom_size},
      {"reset_methods", gpu.reset_methods},
      {"link", link_json(gpu.link)},
      {"link_max", link_json(gpu.link_max)},
      {"bottleneck", gpu.bottleneck
                         ? ordered_json{{"pci", gpu.bottleneck->at.text()}, {"link", link_json(gpu.bottleneck->link)}}
                         : ordered_json()},
      {"power_state", or_null(gpu.power_state)},
      {"asleep", gpu.asleep},
      {"integrated", gpu.integrated},
      {"boot_display", gpu.boot_display},
      {"monitors", gpu.monitors}};
  out.update(slices_json(gpu));
  return out;
}

}  // namespace

ordered_json inventory_json(const inventory::Inventory& inventory) {
  auto gpus = ordered_json::array(), switches = ordered_json::array();
  for (const auto& gpu : inventory.gpus) gpus.push_back(gpu_json(gpu));
  for (const auto& function : inventory.nvswitches) switches.push_back(function_json(function));
  return {{"gpus", std::move(gpus)},       {"nvswitches", std::move(switches)},
          {"iommu", inventory.iommu},      {"virtual_machine", or_null(inventory.virtual_machine)},
          {"as_root", inventory.root},     {"root_would_add", inventory.root_would_add},
          {"troubles", inventory.troubles}};
}

}  // namespace nm::cmd
