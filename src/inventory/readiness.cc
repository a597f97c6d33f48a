#include "inventory/readiness.h"

#include <fmt/format.h>

#include <algorithm>

namespace nm::inventory {
namespace {

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string all;
  for (const std::string& part : parts) {
    if (!all.empty()) all += between;
    all += part;
  }
  return all;
}

void judge_state(Gpu& gpu) {
  if (gpu.state == State::lost) return;
  const bool vfio = is_vfio_driver(gpu.function.driver);
  gpu.state = gpu.function.driver.empty() ? State::free : vfio ? State::vfio : State::host;
  for (const Holder& holder : gpu.holders) {
    // A guest may also have a part of a GPU whose driver stays the host's; only VFIO hands over all of it.
    if (vfio && holder.pid != 0 && holder.certain) {
      gpu.state = State::attached;
      gpu.attached_to = holder.text();
      return;
    }
  }
}

void judge_group(const Gpu& gpu, std::vector<std::string>& blocked) {
  for (const GroupMember& member : gpu.group) {
    if (!member.in_the_way()) continue;
    blocked.push_back(fmt::format("IOMMU group {} also holds {}, which is no part of this card",
                                  *gpu.function.iommu_group, text_of(member.function)));
  }
}

void judge_steps(const Inventory& inventory, const Gpu& gpu, std::vector<std::string>& steps) {
  std::vector<std::string> companions;
  for (const PciFunction& function : gpu.card) {
    // Parts of the processor in the same slot stay, unless the group ties them to the GPU.
    const bool tied = function.iommu_group == gpu.function.iommu_group;
    if (tied || !gpu.integrated) {
      if (!function.is_gpu()) companions.push_back(text_of(function));
    }
  }
  if (!companions.empty()) steps.push_back("goes together with " + joined(companions, ", "));
  std::vector<std::string> holders;
  for (const Holder& holder : gpu.holders) holders.push_back(holder.text());
  if (!holders.empty()) steps.push_back("held by " + joined(holders, ", "));
  if (gpu.boot_display) {
    steps.push_back(inventory.gpus.size() == 1 ? "is the host's only display" : "is the host's boot display");
  }
  if (!gpu.monitors.empty()) steps.push_back("shows something on " + joined(gpu.monitors, ", "));
  if (gpu.integrated) steps.push_back("is a part of the processor and uses the host's memory");
  if (gpu.reset_methods.empty()) steps.push_back("has no way to be reset between two users");
}

}  // namespace

bool is_vfio_driver(const std::string& driver) {
  // vfio-pci and its vendors' variants (nvgrace_gpu_vfio_pci, ...); Xen's own.
  return driver.find("vfio") != std::string::npos || driver == "pciback" || driver == "pci-stub";
}

bool GroupMember::vfio() const { return is_vfio_driver(function.driver); }

std::string text_of(const PciFunction& function) {
  return fmt::format("{} ({}{}{})", function.address.text(), function.kind(), function.driver.empty() ? "" : ", ",
                     function.driver);
}

void judge(const Inventory& inventory, Gpu& gpu) {
  judge_state(gpu);
  std::vector<std::string> blocked, steps;
  if (gpu.state == State::lost) {
    blocked.push_back(
        "it does not answer on the bus: its configuration reads as all ones, and only a power cycle may help");
  }
  if (!gpu.function.iommu_group) {
    blocked.push_back(inventory.iommu ? "it is in no IOMMU group"
                      : inventory.virtual_machine.empty()
                          ? "the IOMMU is off (nearmetal doctor says how to turn it on)"
                          : "this host is a virtual machine without an IOMMU of its own");
  }
  judge_group(gpu, blocked);
  if (gpu.sriov && gpu.sriov->enabled > 0) {
    blocked.push_back(fmt::format("{} of its virtual functions exist; write 0 to {}/sriov_numvfs when nobody uses them",
                                  gpu.sriov->enabled, "/sys/bus/pci/devices/" + gpu.function.address.text()));
  }
  if (gpu.state == State::attached) {
    gpu.readiness = {Verdict::taken, {"in use by " + gpu.attached_to}};
    return;
  }
  judge_steps(inventory, gpu, steps);
  gpu.readiness.verdict = !blocked.empty() ? Verdict::blocked : steps.empty() ? Verdict::ready : Verdict::steps;
  gpu.readiness.reasons = std::move(blocked);
  gpu.readiness.reasons.insert(gpu.readiness.reasons.end(), steps.begin(), steps.end());
}

std::string Readiness::text() const {
  const std::string all = joined(reasons, "; ");
  return all.empty() ? std::string(word(verdict)) : fmt::format("{}: {}", word(verdict), all);
}

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::ready:
      return "ready";
    case Verdict::steps:
      return "ready with steps";
    case Verdict::blocked:
      return "not ready";
    case Verdict::taken:
      return "taken";
  }
  return "";
}

std::string_view word(State state) {
  switch (state) {
    case State::host:
      return "host";
    case State::free:
      return "free";
    case State::vfio:
      return "vfio";
    case State::attached:
      return "attached";
    case State::lost:
      return "lost";
  }
  return "";
}

std::string_view word(Holder::Kind kind) {
  switch (kind) {
    case Holder::Kind::process:
      return "process";
    case Holder::Kind::display:
      return "display";
    case Holder::Kind::persistence:
      return "persistence daemon";
    case Holder::Kind::exporter:
      return "exporter";
    case Holder::Kind::audio:
      return "audio";
    case Holder::Kind::virtual_machine:
      return "virtual machine";
    case Holder::Kind::framebuffer:
      return "framebuffer";
    case Holder::Kind::console:
      return "console";
    case Holder::Kind::server:
      return "nearmetal server";
  }
  return "";
}

std::string_view word(GroupMember::Role role) {
  switch (role) {
    case GroupMember::Role::gpu:
      return "gpu";
    case GroupMember::Role::same_card:
      return "same card";
    case GroupMember::Role::bridge:
      return "bridge";
    case GroupMember::Role::other:
      return "other";
  }
  return "";
}

std::string state_text(const Gpu& gpu) {
  return gpu.state == State::attached ? "attached to " + gpu.attached_to : std::string(word(gpu.state));
}

std::string Holder::text() const {
  if (pid == 0) return name;
  if (kind == Kind::virtual_machine)
    return fmt::format("VM {} (pid {})", guest.empty() ? "without a name" : guest, pid);
  const std::string what = kind == Kind::process ? "" : fmt::format(", {}", word(kind));
  return fmt::format("{} (pid {}{}){}", name.empty() ? "a process" : name, pid, what, certain ? "" : " perhaps");
}

}  // namespace nm::inventory
