// The snapshot, put together. The order matters: who holds a GPU is found by what its driver calls it.
#include "inventory/inventory.h"

#include <fmt/format.h>

#include "inventory/holders.h"
#include "inventory/names.h"
#include "inventory/pci.h"
#include "inventory/reader.h"
#include "inventory/readiness.h"

namespace nm::inventory {
namespace {

void read_group(Reader& reader, const Functions& functions, Gpu& gpu) {
  if (!gpu.function.iommu_group) return;
  const std::string group = fmt::format("/sys/kernel/iommu_groups/{}/", *gpu.function.iommu_group);
  gpu.group_type = reader.text(group + "type").value_or("");
  for (const auto& [address, function] : functions) {
    if (function.iommu_group != gpu.function.iommu_group) continue;
    GroupMember member{.function = function};
    member.role = address == gpu.function.address           ? GroupMember::Role::gpu
                  : function.is_bridge()                    ? GroupMember::Role::bridge
                  : address.same_slot(gpu.function.address) ? GroupMember::Role::same_card
                                                            : GroupMember::Role::other;
    gpu.group.push_back(std::move(member));
  }
}

// What the firmware's tables call the machine; "a hypervisor" where only the processor tells.
std::string virtual_machine(Reader& reader) {
  const std::string cpu = reader.raw("/proc/cpuinfo", 64 << 10).value_or("");
  const size_t flags = cpu.find("\nflags");
  const bool guest = flags != std::string::npos &&
                     cpu.substr(flags, cpu.find('\n', flags + 1) - flags).find(" hypervisor") != std::string::npos;
  if (!guest) return "";
  const std::string vendor = reader.text("/sys/class/dmi/id/sys_vendor").value_or("");
  return vendor.empty() ? "a hypervisor" : vendor;
}

void say_what_root_adds(Inventory& inventory) {
  if (inventory.root) return;
  if (inventory.processes_unseen > 0) {
    inventory.root_would_add.push_back(
        fmt::format("which of {} processes of other users hold a GPU", inventory.processes_unseen));
  }
  for (const Gpu& gpu : inventory.gpus) {
    if (!gpu.boot_display) continue;
    inventory.root_would_add.push_back("which GPU's memory the firmware's framebuffer lies in (/proc/iomem)");
    break;
  }
}

}  // namespace

Inventory take_inventory(const Host& host) {
  Reader reader(host);
  Inventory inventory;
  inventory.root = host.self().root;
  inventory.iommu = !host.list("/sys/kernel/iommu_groups").names.empty();
  inventory.virtual_machine = virtual_machine(reader);
  const Functions functions = read_functions(reader);
  for (const auto& [address, function] : functions) {
    if (function.is_nvswitch()) inventory.nvswitches.push_back(function);
    if (!function.is_gpu()) continue;
    Gpu gpu{.function = function};
    read_details(reader, functions, gpu);
    read_group(reader, functions, gpu);
    inventory.gpus.push_back(std::move(gpu));
  }
  const std::vector<int> minors = ask_nvidia_driver(reader, inventory.gpus);
  name_gpus(reader, inventory.gpus);
  find_drivers(reader, inventory.gpus);
  find_holders(reader, minors, inventory);
  for (Gpu& gpu : inventory.gpus) judge(inventory, gpu);
  say_what_root_adds(inventory);
  inventory.troubles = std::move(reader.troubles);
  return inventory;
}

}  // namespace nm::inventory
