#include "attach/vfio.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "attach/vfio_steps.h"
#include "base/number.h"
#include "inventory/pci.h"
#include "inventory/reader.h"
#include "inventory/readiness.h"

namespace nm::attach {
namespace {

using inventory::Gpu;
using inventory::GroupMember;
using inventory::Holder;
using inventory::Inventory;
using inventory::PciFunction;

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : ", ") + part;
  return all;
}

// "0::/system.slice/nvidia-persistenced.service": the unit, if the system's manager has started it as one. What runs in
// a user's session is not the system manager's to stop.
std::string unit_of(const inventory::Host& host, pid_t pid) {
  const std::string text = host.read(fmt::format("/proc/{}/cgroup", pid), 4096).text;
  for (const std::string_view line : inventory::lines_of(text)) {
    if (!line.starts_with("0::/system.slice/")) continue;
    const std::string_view name = inventory::last_part(line);
    if (name.ends_with(".service")) return inventory::clean(name);
  }
  return "";
}

std::vector<std::string> framebuffer_consoles(const inventory::Host& host) {
  inventory::Reader reader(host);
  std::vector<std::string> consoles;
  for (const std::string& console : reader.list("/sys/class/vtconsole")) {
    const std::string directory = "/sys/class/vtconsole/" + console + "/";
    if (reader.text(directory + "name").value_or("").find("frame buffer") == std::string::npos) continue;
    if (reader.number<int>(directory + "bind").value_or(0) == 1) consoles.push_back(console);
  }
  return consoles;
}

// The firmware's framebuffer keeps the memory that it lies in, whatever becomes of the GPU's driver.
bool firmware_framebuffer(const Holder& holder) {
  return holder.kind == Holder::Kind::framebuffer &&
         (holder.name.find("EFI") != std::string::npos || holder.name.find("VESA") != std::string::npos ||
          holder.name.find("simple") != std::string::npos);
}

Result<void> see_that_it_can_leave(const Inventory& inventory, const Gpu& gpu, const Wish& wish) {
  const std::string name = gpu.function.address.text();
  if (gpu.state == inventory::State::lost) {
    return Error{name +
                 " does not answer on the bus: its configuration reads as all ones. Only a power cycle of the host "
                 "may bring it back."};
  }
  if (!gpu.function.iommu_group) {
    if (inventory.iommu) return Error{name + " is in no IOMMU group. `nearmetal doctor` tells why, and what to do."};
    return Error{
        fmt::format("{} cannot be handed to a guest: the IOMMU of this host is off. `nearmetal doctor` tells "
                    "how to turn it on.",
                    name)};
  }
  if (gpu.state == inventory::State::attached) {
    return Error{fmt::format("{} is in use by {}. Detach it there first.", name, gpu.attached_to)};
  }
  if (gpu.sriov && gpu.sriov->enabled > 0) {
    std::vector<std::string> functions;
    for (const PciAddress& address : gpu.sriov->functions) functions.push_back(address.text());
    return Error{
        fmt::format("{} is in use as the parent of {} virtual functions ({}). Take one of these, or end them: "
                    "echo 0 > {}/sriov_numvfs",
                    name, gpu.sriov->enabled, joined(functions), inventory::device_directory(gpu.function.address))};
  }
  std::vector<std::string> others;
  for (const GroupMember& member : gpu.group) {
    if (member.in_the_way()) others.push_back(inventory::text_of(member.function));
  }
  if (!others.empty()) {
    return Error{
        fmt::format("{} cannot be handed over alone: its IOMMU group {} also holds {}, which is no part of its "
                    "card. Put the card into a slot whose port separates groups (ACS); `nearmetal doctor` "
                    "tells more.",
                    name, *gpu.function.iommu_group, joined(others))};
  }
  for (const Holder& holder : gpu.holders) {
    if (firmware_framebuffer(holder)) {
      return Error{
          fmt::format("The firmware's framebuffer {} lies in the memory of {}. Make another GPU the primary "
                      "display in the firmware's setup, or boot with video=efifb:off initcall_blacklist="
                      "sysfb_init on the kernel's command line.",
                      holder.name, name)};
    }
  }
  if (gpu.boot_display && !wish.take_display) {
    return Error{
        fmt::format("{} is the host's {} display. Make another GPU the primary display in the firmware's "
                    "setup, or add --take-display: the host then shows nothing any more.",
                    name, inventory.gpus.size() == 1 ? "only" : "boot")};
  }
  return {};
}

// All that must leave its driver, the GPU first.
Result<std::vector<PciFunction>> functions_to_take(const Gpu& gpu, const Wish& wish) {
  std::vector<PciFunction> functions = {gpu.function};
  std::vector<std::string> left;
  for (const PciFunction& companion : gpu.card) {
    const bool tied = companion.iommu_group == gpu.function.iommu_group;
    if (!tied && (gpu.integrated || companion.is_gpu())) continue;
    if (companion.is_bridge()) continue;
    if (wish.companions) {
      functions.push_back(companion);
    } else if (tied && !companion.driver.empty() && !inventory::is_vfio_driver(companion.driver)) {
      left.push_back(inventory::text_of(companion));
    }
  }
  if (!left.empty()) {
    return Error{fmt::format(
        "{} shares IOMMU group {} with {}, which {} part of the same card and must go along. Add "
        "--with-companions.",
        gpu.function.address.text(), *gpu.function.iommu_group, joined(left), left.size() == 1 ? "is" : "are")};
  }
  std::sort(functions.begin() + 1, functions.end(),
            [](const PciFunction& a, const PciFunction& b) { return a.address < b.address; });
  return functions;
}

Result<void> plan_holders(const inventory::Host& host, const Gpu& gpu, const Wish& wish, Plan& plan) {
  std::vector<std::string> names, displays;
  bool console = false;
  for (const Holder& holder : gpu.holders) {
    console |= holder.kind == Holder::Kind::console;
    if (holder.pid == 0 || !holder.certain) continue;
    if (holder.kind == Holder::Kind::virtual_machine) {
      return Error{
          fmt::format("{} is in use by {}. Detach it there first.", gpu.function.address.text(), holder.text())};
    }
    (holder.kind == Holder::Kind::display ? displays : names).push_back(holder.text());
  }
  std::vector<std::string> all = names;
  all.insert(all.end(), displays.begin(), displays.end());
  if (console) all.push_back("the text console");
  if (!all.empty() && !wish.stop_holders) {
    return Error{fmt::format("{} is held by {}. End that, or add --stop-holders{}.", gpu.function.address.text(),
                             joined(all), displays.empty() ? "" : " and --take-display")};
  }
  if (!displays.empty() && !wish.take_display) {
    return Error{
        fmt::format("{} shows the screen of {}. Ending that ends everybody's session on it; add "
                    "--take-display if that is meant.",
                    gpu.function.address.text(), joined(displays))};
  }
  std::set<std::string> units;
  for (const Holder& holder : gpu.holders) {
    if (holder.pid == 0 || !holder.certain) continue;
    const std::string unit = unit_of(host, holder.pid);
    if (!unit.empty()) {
      if (units.insert(unit).second) plan.steps.push_back(stop_unit(unit));
    } else {
      plan.steps.push_back(end_process(holder.pid, start_of_process(host, holder.pid), holder.name));
      plan.notes.push_back(fmt::format("{} (pid {}) is ended and not started again.", holder.name, holder.pid));
    }
  }
  if (console) {
    for (const std::string& name : framebuffer_consoles(host)) plan.steps.push_back(release_console(name));
  }
  return {};
}

bool module_loaded(const inventory::Host& host, const char* directory) {
  return host.exists(std::string("/sys/module/") + directory);
}

}  // namespace

Result<HostPlan> plan_for_guests(const inventory::Host& host, const Inventory& inventory, const Gpu& gpu,
                                 const Wish& wish) {
  if (auto can = see_that_it_can_leave(inventory, gpu, wish); !can) return can.error();
  auto functions = functions_to_take(gpu, wish);
  if (!functions) return functions.error();
  HostPlan result{.functions = std::move(*functions)};
  Plan& plan = result.plan;
  if (!module_loaded(host, "vfio_pci")) plan.steps.push_back(load_module("vfio-pci"));
  // Not loaded by vfio-pci itself; without it a guest says "No available IOMMU models".
  if (!module_loaded(host, "vfio_iommu_type1")) plan.steps.push_back(load_module("vfio_iommu_type1"));
  if (auto held = plan_holders(host, gpu, wish, plan); !held) return held.error();
  bool first = true;
  for (const PciFunction& function : result.functions) {
    const FunctionState state = read_function_state(host, function.address);
    result.before.push_back(state);
    if (inventory::is_vfio_driver(state.driver)) continue;  // also the vendors' own
    if (std::exchange(first, false)) plan.steps.push_back(nobody_holds(gpu.function.address));
    plan.steps.push_back(bind_to_vfio(state));
  }
  if (gpu.physical_function) {
    result.before.push_back(read_function_state(host, *gpu.physical_function));  // its number of functions must stay
  }
  if (gpu.reset_methods.empty()) {
    plan.notes.push_back(
        fmt::format("{} has no way to be reset between two users: what one leaves in it, the next finds.",
                    gpu.function.address.text()));
  }
  return result;
}

Result<Plan> plan_release(const inventory::Host& host, const Attachment& attachment, const StepReader& reader,
                          bool force) {
  Plan plan;
  plan.steps.push_back(nobody_holds(attachment.gpu));
  for (const PciAddress& address : attachment.functions) {
    if (host.exists(inventory::device_directory(address))) plan.steps.push_back(reset_function(address, !force));
  }
  auto steps = reader.steps(attachment.host_steps);
  if (!steps) return steps.error();
  for (auto& step : reversed(std::move(*steps))) {
    if (!step->commands().empty()) plan.steps.push_back(std::move(step));
  }
  return plan;
}

Result<const Gpu*> choose_gpu(const inventory::Host& host, const Inventory& inventory, const std::string& text) {
  std::vector<std::string> there;
  for (const Gpu& gpu : inventory.gpus) there.push_back(gpu.function.address.text());
  const std::string known =
      there.empty() ? "This host has no GPU." : fmt::format("The GPUs of this host: {}.", joined(there));
  if (const auto address = inventory::parse_pci_address(text)) {
    for (const Gpu& gpu : inventory.gpus) {
      if (gpu.function.address == *address) return &gpu;
    }
    if (host.exists(inventory::device_directory(*address))) {
      return Error{fmt::format("{} is no GPU. {}", address->text(), known)};
    }
    return Error{fmt::format("There is no device {}. {}", address->text(), known)};
  }
  std::string_view digits = text;
  size_t index = 0;
  if (text.size() <= 4 && take_number(&digits, &index) && digits.empty() && text[0] != ' ') {
    if (index < inventory.gpus.size()) return &inventory.gpus[index];
    return Error{fmt::format("There is no GPU number {}; they count from 0. {}", index, known)};
  }
  const Gpu* found = nullptr;
  for (const Gpu& gpu : inventory.gpus) {
    const std::string_view uuid = gpu.uuid;
    const std::string_view bare = uuid.starts_with("GPU-") ? uuid.substr(4) : uuid;
    if (text.size() < 4 || uuid.empty() || (!uuid.starts_with(text) && !bare.starts_with(text))) continue;
    if (found) {
      return Error{fmt::format("\"{}\" is the beginning of more than one UUID. Write more of it, or a PCI address. {}",
                               inventory::clean(text, 60), known)};
    }
    found = &gpu;
  }
  if (found) return found;
  return Error{
      fmt::format("\"{}\" names no GPU: write a PCI address (65:00.0), a number as `nearmetal gpus --local` "
                  "counts from 0, or the beginning of a UUID. {}",
                  inventory::clean(text, 60), known)};
}

}  // namespace nm::attach
