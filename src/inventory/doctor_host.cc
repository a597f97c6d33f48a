// The host's software: modules, memory, limits, hypervisors, security modules.
#include <fmt/format.h>

#include <algorithm>

#include "base/number.h"
#include "inventory/doctor.h"

namespace nm::inventory {
namespace {

// "HugePages_Total:    1024"
uint64_t meminfo(std::string_view text, std::string_view key) {
  for (const std::string_view line : lines_of(text)) {
    if (line.starts_with(key) && line.substr(key.size()).starts_with(":")) {
      return number_or<uint64_t>(line.substr(key.size() + 1), 0);
    }
  }
  return 0;
}

struct Program {
  std::string_view name;
  bool makes_machines;  // that can have a GPU
};
constexpr Program kPrograms[] = {
    {"qemu-system-x86_64", true},
    {"qemu-system-aarch64", true},
    {"qemu-kvm", true},
    {"virsh", false},
    {"libvirtd", false},
    {"virtqemud", false},
    {"xl", true},
    {"esxcli", true},
    {"cloud-hypervisor", true},
    {"incus", true},
    {"lxd", true},
    {"lxc", false},
    {"podman", false},
    {"docker", false},
};

}  // namespace

void check_modules(Patient& patient) {
  std::vector<std::string> absent, idle;
  for (const char* module : {"vfio_pci", "vfio_iommu_type1"}) {
    if (patient.module_loaded(module)) continue;
    (patient.module_exists(module) ? idle : absent).push_back(module);
  }
  Finding finding{.check = "vfio", .object = "vfio-pci"};
  finding.why =
      "vfio-pci is the driver that hands a device to a guest; vfio_iommu_type1 is loaded by nobody else, and "
      "without it QEMU says \"No available IOMMU models\".";
  if (!absent.empty()) {
    finding.level = Level::fail;
    finding.found = fmt::format("This kernel has no {}.", fmt::join(absent, " and no "));
    finding.fixes = {
        {.command = patient.install_command("\"linux-image-$(dpkg --print-architecture)\"", "kernel-modules"),
         .advice = "Kernels made for clouds come without VFIO: start the distribution's usual one."}};
  } else if (!idle.empty()) {
    finding.level = Level::warn;
    finding.found = fmt::format("{} can be loaded and is not.", fmt::join(idle, " and "));
    for (const std::string& module : idle)
      finding.fixes.push_back({.file = "/etc/modules-load.d/vfio.conf", .line = module});
    finding.fixes.push_back({.command = fmt::format("modprobe -a {}", fmt::join(idle, " "))});
  } else {
    finding.found = "VFIO's modules are there.";
    finding.why.clear();
  }
  patient.findings.push_back(std::move(finding));
}

void check_hugepages(Patient& patient) {
  const std::string memory = patient.reader.raw("/proc/meminfo", 64 << 10).value_or("");
  const uint64_t kib = meminfo(memory, "Hugepagesize"), total = meminfo(memory, "HugePages_Total");
  const uint64_t large =
      patient.reader.number<uint64_t>("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages").value_or(0);
  Finding finding{.check = "hugepages", .object = "memory"};
  if (total > 0 || large > 0) {
    finding.found = kib == 1 << 20 || large == 0
                        ? fmt::format("{} huge pages of {} MiB are kept.", total, kib >> 10)
                        : fmt::format("{} huge pages of {} MiB and {} of 1 GiB are kept.", total, kib >> 10, large);
  } else {
    // Half of the memory: what is kept cannot be used for anything else.
    const uint64_t pages = kib ? meminfo(memory, "MemTotal") / kib / 2 : 0;
    finding.level = Level::warn;
    finding.found = "No huge pages are kept for guests.";
    finding.why =
        "On pages of 4 KiB a guest with a GPU misses the translation caches more often, and pinning its memory "
        "takes longer.";
    if (pages > 0) {
      finding.fixes = {{.file = "/etc/sysctl.d/80-hugepages.conf",
                        .line = fmt::format("vm.nr_hugepages = {}", pages),
                        .advice = "Half of the memory; take as much as the guests will have."},
                       {.command = "sysctl --system"}};
    } else {
      finding.fixes = {
          {.advice = "This kernel was made without them (CONFIG_HUGETLBFS): start the distribution's usual one."}};
    }
  }
  patient.findings.push_back(std::move(finding));
}

void check_memlock(Patient& patient) {
  const Self self = patient.host.self();
  const std::string memory = patient.reader.raw("/proc/meminfo", 64 << 10).value_or("");
  Finding finding{.check = "memlock", .object = "RLIMIT_MEMLOCK"};
  if (self.root) {
    finding.found = "root may lock all memory; libvirt raises the limit for its guests by itself.";
  } else if (self.memlock >= meminfo(memory, "MemTotal") << 10) {
    finding.found = "This user may lock all memory.";
  } else {
    finding.level = Level::warn;
    finding.found = fmt::format("This user may lock {} MiB.", self.memlock >> 20);
    finding.why = "All of a guest's memory is locked while it has a GPU: a QEMU of this user's fails with ENOMEM.";
    finding.fixes = {{.file = "/etc/security/limits.d/nearmetal.conf", .line = "@kvm - memlock unlimited"},
                     {.file = "the unit's [Service], for a service", .line = "LimitMEMLOCK=infinity"},
                     {.advice = "Then log in anew."}};
  }
  patient.findings.push_back(std::move(finding));
}

void check_hypervisors(Patient& patient) {
  bool any = false;
  for (const Program& program : kPrograms) {
    const std::string path = patient.find_program(std::string(program.name));
    if (path.empty()) continue;
    any |= program.makes_machines;
    // xl asks Xen before it says anything; the others tell their version by themselves.
    const std::string version = program.name == "xl" ? "" : clean(patient.host.first_line_of({path, "--version"}), 80);
    patient.findings.push_back({.check = "hypervisors",
                                .object = std::string(program.name),
                                .found = version.empty() ? "It is at " + path + "." : version});
  }
  if (any) return;
  Finding finding{.level = Level::fail,
                  .check = "hypervisors",
                  .object = "PATH",
                  .found = "There is no hypervisor: none of QEMU, Xen's xl, ESXi's esxcli, Cloud Hypervisor and Incus.",
                  .why = "Something must run the guest."};
  const std::string command =
      patient.install_command("qemu-system ovmf libvirt-daemon-system", "qemu-kvm edk2-ovmf libvirt");
  if (command.empty()) {
    finding.fixes = {{.advice = "Install QEMU, OVMF and libvirt."}};
  } else {
    finding.fixes = {{.command = command}};
  }
  patient.findings.push_back(std::move(finding));
}

void check_labels(Patient& patient) {
  if (patient.reader.text("/sys/fs/selinux/enforce").value_or("") == "1") {
    patient.findings.push_back(
        {.check = "security_module",
         .object = "SELinux",
         .found = "SELinux is enforcing: libvirt labels what it hands over by itself; what it refuses "
                  "stands in `ausearch -m avc -ts recent`."});
  }
  if (patient.reader.text("/sys/module/apparmor/parameters/enabled").value_or("") == "Y") {
    patient.findings.push_back(
        {.check = "security_module",
         .object = "AppArmor",
         .found = "AppArmor is on: libvirt allows what a guest's definition names; ROM files elsewhere "
                  "and groups plugged in by hand need a line.",
         .fixes = {{.file = "/etc/apparmor.d/local/abstractions/libvirt-qemu", .line = "/dev/vfio/* rw,"}}});
  }
}

}  // namespace nm::inventory
