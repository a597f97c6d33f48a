// The GPUs: are there any, are their groups clean, who shows what on them, which driver has them, do their BARs fit.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>

#include "inventory/doctor.h"
#include "inventory/pci.h"
#include "inventory/readiness.h"

namespace nm::inventory {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

Finding about(const Gpu& gpu, std::string check) {
  return {.check = std::move(check), .object = gpu.function.address.text(), .gpu = gpu.function.address};
}

// The memory that a guest's firmware must find room for above 4 GiB: each BAR is aligned to its own size.
uint64_t wide_bars(const Gpu& gpu) {
  uint64_t sum = 0;
  for (const Bar& bar : gpu.bars) sum += bar.wide && !bar.io ? bar.size : 0;
  return sum;
}

std::string whereabouts(const Gpu& gpu) {
  switch (gpu.state) {
    case State::host:
      return gpu.function.driver + ", a driver of the host, has it";
    case State::free:
      return "no driver has it";
    case State::vfio:
      return "kept for virtual machines";
    case State::attached:
      return "attached to " + gpu.attached_to;
    case State::lost:
      break;
  }
  return "lost";
}

std::string gib(uint64_t bytes) { return fmt::format("{} GiB", (bytes + kGiB - 1) / kGiB); }

std::string members(size_t count) { return fmt::format("{} member{}", count, count == 1 ? "" : "s"); }

}  // namespace

void check_gpus(Patient& patient) {
  if (patient.inventory.gpus.empty()) {
    patient.findings.push_back({.level = Level::fail,
                                .check = "gpus",
                                .object = "PCI devices",
                                .found = "This host has no GPU on its PCI buses.",
                                .why = "There is nothing to hand over.",
                                .fixes = {{.command = "echo 1 > /sys/bus/pci/rescan",
                                           .advice = "If a card is in the host: see that it has power and is on in the "
                                                     "firmware's setup, then let the kernel look again."}}});
  }
  for (const Gpu& gpu : patient.inventory.gpus) {
    Finding finding = about(gpu, "gpus");
    if (gpu.state == State::lost) {
      finding.level = Level::fail;
      finding.found = gpu.model + " does not answer on the bus.";
      finding.why = "Its configuration reads as all ones: a reset failed, or it has fallen off.";
      finding.fixes = {{.advice = "Switch the host off and on; a reboot alone may keep the card's power on."}};
    } else if (gpu.sriov && gpu.sriov->enabled > 0) {
      finding.level = Level::fail;
      finding.found = fmt::format("{} of its virtual functions exist.", gpu.sriov->enabled);
      finding.why = "The whole GPU and its parts cannot both be handed over; the parts still can.";
      finding.fixes = {{.command = fmt::format("echo 0 > {}/sriov_numvfs", device_directory(gpu.function.address)),
                        .advice = "If the whole is wanted, and nobody uses the parts."}};
    } else if (gpu.reset_methods.empty()) {
      finding.level = Level::warn;
      finding.found = gpu.model + " has no way to be reset.";
      finding.why =
          "It may work for one guest and not for the next until the host is started anew, and keeps what the "
          "first one wrote.";
      finding.fixes = {
          {.advice = "AMD's cards of some years need the vendor-reset module; else plan one guest per boot."}};
    } else {
      finding.found = fmt::format("{}: {}.", gpu.model, whereabouts(gpu));
    }
    patient.findings.push_back(std::move(finding));
  }
}

void check_groups(Patient& patient) {
  if (!patient.inventory.iommu) return;  // said already
  for (const Gpu& gpu : patient.inventory.gpus) {
    Finding finding = about(gpu, "iommu_group");
    if (!gpu.function.iommu_group) {
      finding.level = Level::fail;
      finding.found = "It is in no IOMMU group.";
      finding.why = "Its bus has no IOMMU above it, so nothing would keep a guest within its own memory.";
      finding.fixes = {{.advice = "Put the card in another slot."}};
      patient.findings.push_back(std::move(finding));
      continue;
    }
    std::vector<std::string> strangers, idle;
    for (const GroupMember& member : gpu.group) {
      if (member.in_the_way()) strangers.push_back(text_of(member.function));
      if (member.role == GroupMember::Role::other && member.function.driver.empty()) {
        idle.push_back(text_of(member.function));
      }
    }
    if (!strangers.empty()) {
      finding.level = Level::fail;
      finding.found =
          fmt::format("IOMMU group {} also holds {}.", *gpu.function.iommu_group, fmt::join(strangers, ", "));
      finding.why = "VFIO hands over whole groups: what has a driver of the host in it keeps the rest back.";
      finding.fixes = {
          {.advice =
               "Put the card in a slot that goes straight to the processor, or switch on ACS in the firmware's setup."},
          {.advice = "Or hand over all of them to the same guest, if the host can do without them."}};
    } else if (!idle.empty()) {
      finding.level = Level::warn;
      finding.found = fmt::format("IOMMU group {} also holds {}, which no driver has.", *gpu.function.iommu_group,
                                  fmt::join(idle, ", "));
      finding.why = "The GPU can be handed over; its guest could reach those devices through it.";
      finding.fixes = {{.advice = "Hand them to the same guest, or leave them without a driver."}};
    } else {
      finding.found = fmt::format("IOMMU group {} is clean: {}, no stranger.", *gpu.function.iommu_group,
                                  members(gpu.group.size()));
    }
    patient.findings.push_back(std::move(finding));
  }
}

void check_displays(Patient& patient) {
  for (const Gpu& gpu : patient.inventory.gpus) {
    std::vector<std::string> shown;
    bool firmware = false, console = false;
    for (const Holder& holder : gpu.holders) {
      if (holder.kind == Holder::Kind::framebuffer || holder.kind == Holder::Kind::console)
        shown.push_back(holder.name);
      firmware |= holder.kind == Holder::Kind::framebuffer && holder.name.find("drmfb") == std::string::npos;
      firmware |= holder.name.find("simpledrm") != std::string::npos;
      console |= holder.kind == Holder::Kind::console;
    }
    if (shown.empty() && !gpu.boot_display) continue;
    Finding finding = about(gpu, "display");
    finding.found = shown.empty() ? "The firmware shows its messages on this GPU."
                                  : fmt::format("The host shows {} on this GPU.", fmt::join(shown, ", "));
    // A driver's own framebuffer goes with the driver; the others hold on.
    if (!firmware && !console && !gpu.boot_display) {
      patient.findings.push_back(std::move(finding));
      continue;
    }
    finding.level = Level::warn;
    finding.why =
        firmware ? "The firmware's framebuffer lies in a BAR: vfio-pci cannot map that one (\"BAR: can't reserve\"), "
                   "and the guest's driver fails."
                 : "The screen goes dark when the GPU is handed over, and a console on it keeps its driver.";
    if (firmware) finding.fixes = patient.add_parameters({"initcall_blacklist=sysfb_init"});
    if (console)
      finding.fixes.push_back({.command = "for c in /sys/class/vtconsole/vtcon*; do grep -q 'frame buffer' $c/name && "
                                          "echo 0 > $c/bind; done"});
    if (patient.inventory.gpus.size() > 1) {
      finding.fixes.push_back({.advice = "Choose another GPU as the first display in the firmware's setup."});
    } else {
      finding.fixes.push_back(
          {.advice = "It is the only GPU: have another way into the host (ssh, a serial console)."});
    }
    patient.findings.push_back(std::move(finding));
  }
}

void check_drivers(Patient& patient) {
  const Reader& reader = patient.reader;
  for (const Gpu& gpu : patient.inventory.gpus) {
    const std::string& driver = gpu.function.driver;
    Finding finding = about(gpu, "driver");
    std::vector<std::string> holders;
    for (const Holder& holder : gpu.holders) {
      if (holder.pid != 0 && holder.kind != Holder::Kind::virtual_machine) holders.push_back(holder.text());
    }
    if (gpu.state == State::attached) {
      finding.found = fmt::format("{} has it, for {}.", driver, gpu.attached_to);
    } else if (driver == "nouveau") {
      finding.level = Level::warn;
      finding.found = "nouveau has it.";
      finding.why =
          "nouveau often does not let go of a GPU, or leaves it in a state that the guest's driver cannot use.";
      finding.fixes = {{.file = "/etc/modprobe.d/nearmetal-nouveau.conf", .line = "blacklist nouveau"},
                       {.command = patient.initramfs_command() + " && reboot"}};
    } else if (!holders.empty()) {
      finding.level = Level::warn;
      finding.found =
          fmt::format("{} has it, for {}.", driver.empty() ? "No driver" : driver, fmt::join(holders, ", "));
      finding.why = "A driver is not unbound while programs use the GPU: the attempt may hang for ever.";
      const bool persistence = std::any_of(gpu.holders.begin(), gpu.holders.end(), [](const Holder& holder) {
        return holder.kind == Holder::Kind::persistence;
      });
      if (persistence) finding.fixes.push_back({.command = "systemctl stop nvidia-persistenced"});
      finding.fixes.push_back({.advice = "End these programs before the GPU is handed over."});
    } else if (driver.empty()) {
      finding.found = "No driver has it.";
    } else {
      finding.found = driver + " has it, and no program uses it.";
    }
    if (driver == "nvidia" && finding.level == Level::ok &&
        reader.host.read("/sys/module/nvidia_drm/parameters/modeset", 8).text.starts_with("Y")) {
      finding.level = Level::warn;
      finding.found = "nvidia has it, and nvidia-drm shows a display by it (modeset=1).";
      finding.why = "nvidia-drm holds every GPU of the driver while it is loaded so.";
      finding.fixes = {{.file = "/etc/modprobe.d/nearmetal-nvidia.conf", .line = "options nvidia-drm modeset=0"},
                       {.command = patient.initramfs_command() + " && reboot"}};
    }
    patient.findings.push_back(std::move(finding));
  }
  for (const std::string& file : patient.reader.list("/etc/modprobe.d")) {
    if (!file.ends_with(".conf")) continue;
    const std::string path = "/etc/modprobe.d/" + file;
    const std::string text = patient.reader.raw(path, 64 << 10).value_or("");
    for (const std::string_view line : lines_of(text)) {
      const auto words = words_of(line);
      if (words.size() < 3 || words[0] != "options" || (words[1] != "vfio-pci" && words[1] != "vfio_pci")) continue;
      if (line.find("ids=") == std::string_view::npos) continue;
      patient.findings.push_back(
          {.level = Level::warn,
           .check = "driver",
           .object = path,
           .found = "\"" + clean(line) + "\" gives every card with these ids to vfio-pci.",
           .why = "Two cards of one model cannot be told apart so: the host can keep none of them.",
           .fixes = {{.advice = "Take the line away; nearmetal binds single cards by their address."}}});
    }
  }
}

void check_bars(Patient& patient) {
  for (const Gpu& gpu : patient.inventory.gpus) {
    Finding finding = about(gpu, "bars");
    const uint64_t wide = wide_bars(gpu);
    // QEMU's q35 keeps 32 GiB for 64-bit BARs; a window is rounded up to a power of two and aligned to it.
    const uint64_t window = std::bit_ceil(std::max<uint64_t>(wide * 2, 32 * kGiB));
    const bool unplaced =
        std::any_of(gpu.bars.begin(), gpu.bars.end(), [](const Bar& bar) { return bar.address == 0; });
    const auto small = std::find_if(gpu.bars.begin(), gpu.bars.end(), [](const Bar& bar) {
      return !bar.possible.empty() && bar.possible.back() > bar.size;
    });
    if (unplaced) {
      finding.level = Level::fail;
      finding.found = "The firmware found no room for one of its BARs.";
      finding.why = "Without an address for it no driver can use the GPU, neither here nor in a guest.";
      finding.fixes = {{.advice = "Switch on \"Above 4G Decoding\" (and \"Resizable BAR\") in the firmware's setup."}};
      for (Fix& fix : patient.add_parameters({"pci=realloc"})) finding.fixes.push_back(std::move(fix));
    } else if (patient.physical_bits > 0 && patient.physical_bits < 64 &&
               window * 2 > uint64_t{1} << std::min(patient.physical_bits, 62)) {
      finding.level = Level::warn;
      finding.found =
          fmt::format("A guest needs a window of {} for its 64-bit BARs, and the processor has addresses of {} bits.",
                      gib(window), patient.physical_bits);
      finding.why = "Where the window does not fit beside the guest's memory, the guest's driver finds no BAR.";
      finding.fixes = {{.advice = "Give the guest less memory, or one GPU fewer."}};
    } else if (small != gpu.bars.end()) {
      finding.level = Level::warn;
      finding.found = fmt::format("BAR {} is of {} MiB and could be of {} MiB.", small->index, small->size >> 20,
                                  small->possible.back() >> 20);
      finding.why = "The processor sees only that part of the GPU's memory at a time; guests cannot change it.";
      finding.fixes = {{.advice = "Switch on \"Resizable BAR\" and \"Above 4G Decoding\" in the firmware's setup."}};
    } else if (wide * 2 > 32 * kGiB) {
      finding.found = fmt::format(
          "{} of 64-bit BARs: a guest of QEMU needs -global q35-pcihost.pci-hole64-size={}G and, "
          "with OVMF, -fw_cfg name=opt/ovmf/X-PciMmio64Mb,string={}.",
          gib(wide), window / kGiB, window >> 20);
    } else {
      finding.found = wide == 0 ? "It has no 64-bit BARs: a guest needs no window for them."
                                : fmt::format("{} of 64-bit BARs: QEMU's default window is enough.",
                                              wide < kGiB ? "Less than 1 GiB" : gib(wide));
    }
    patient.findings.push_back(std::move(finding));
  }
}

void check_numa(Patient& patient) {
  const auto parts = patient.reader.list("/sys/devices/system/node");
  const auto nodes = std::count_if(parts.begin(), parts.end(), [](const std::string& name) {
    return name.starts_with("node") && name.size() > 4 && name[4] >= '0' && name[4] <= '9';
  });
  if (nodes < 2) return;  // nothing can be far away
  for (const Gpu& gpu : patient.inventory.gpus) {
    Finding finding = about(gpu, "numa");
    if (gpu.function.numa_node) {
      const std::string cpus =
          patient.reader.text(fmt::format("/sys/devices/system/node/node{}/cpulist", *gpu.function.numa_node))
              .value_or("");
      finding.found = fmt::format("It is near NUMA node {}{}{}.", *gpu.function.numa_node,
                                  cpus.empty() ? "" : ", processors ", cpus);
    } else {
      finding.level = Level::warn;
      finding.found = "The firmware does not say which NUMA node it is near.";
      finding.why = "A guest on the wrong node pays for every transfer between the sockets.";
      finding.fixes = {{.advice = "Look for a newer firmware; until then measure from each node: nearmetal bench under "
                                  "numactl --cpunodebind=N."}};
    }
    patient.findings.push_back(std::move(finding));
  }
}

}  // namespace nm::inventory
