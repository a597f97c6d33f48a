// What the doctor says about machines of every shape, and what changes its mind.
#include "inventory/doctor.h"

#include <sys/stat.h>

#include <algorithm>

#include "inventory/scratch.h"

namespace nm::inventory {
namespace {

struct Examined : FakeMachine {
  using FakeMachine::FakeMachine;
  const Diagnosis& look() { return diagnosis = diagnose(host, inventory()); }
  // The first finding of a check (about an object).
  const Finding& finding(const std::string& check, const std::string& object = "") {
    look();
    for (const Finding& one : diagnosis.findings) {
      if (one.check == check && (object.empty() || one.object == object)) return one;
    }
    ADD_FAILURE() << "no finding of " << check << " " << object;
    return none;
  }
  bool has(const std::string& check) {
    look();
    return std::any_of(diagnosis.findings.begin(), diagnosis.findings.end(),
                       [&](const Finding& one) { return one.check == check; });
  }
  void remove(const std::string& path) { std::filesystem::remove_all(tree.root() / path.substr(1)); }

  Diagnosis diagnosis;
  Finding none;
};

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Doctor, EveryFindingNamesItsObjectAndWhatIsNotWellHasReasonAndCure) {
  for (const std::string& shape : fake_host_shapes()) {
    Examined machine(shape);
    for (const Finding& finding : machine.look().findings) {
      EXPECT_FALSE(finding.check.empty() || finding.object.empty() || finding.found.empty()) << shape;
      EXPECT_TRUE(finding.level == Level::ok || (!finding.why.empty() && !finding.fixes.empty()))
          << shape << ": " << finding.check << ": " << finding.found;
      for (const Fix& fix : finding.fixes) EXPECT_EQ(fix.file.empty(), fix.line.empty()) << finding.check;
    }
  }
}

TEST(Doctor, KnowsWhichMachinesAreReady) {
  const std::pair<const char*, bool> expected[] = {
      {"dgx", true},   {"desktop", true}, {"desktop-dirty", false}, {"apu", true},       {"a100-vfs", true},
      {"gh200", true}, {"laptop", true},  {"guest", false},         {"no-iommu", false}, {"none", false},
  };
  EXPECT_EQ(std::size(expected), fake_host_shapes().size());
  for (const auto& [shape, ready] : expected) EXPECT_EQ(Examined(shape).look().ready(), ready) << shape;
}

TEST(Doctor, CountsTheGpusThatCanGo) {
  Examined machine("a100-vfs");
  EXPECT_EQ(machine.look().gpus, 5u);
  EXPECT_EQ(machine.diagnosis.gpus_ready, 4u);  // the parts, not the whole
}

TEST(Doctor, WithoutAnIommuTellsTheWholeLineOfTheBootLoader) {
  Examined machine("no-iommu");
  const Finding& iommu = machine.finding("iommu");
  EXPECT_EQ(iommu.level, Level::fail);
  ASSERT_EQ(iommu.fixes.size(), 3u);
  EXPECT_TRUE(mentions(iommu.fixes[0].advice, "VT-d"));
  EXPECT_EQ(iommu.fixes[1].file, "/etc/default/grub");
  EXPECT_EQ(iommu.fixes[1].line, "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on iommu=pt\"");
  EXPECT_EQ(iommu.fixes[2].command, "update-grub && reboot");
  EXPECT_FALSE(machine.has("iommu_group"));  // one failure is not told twice
  EXPECT_FALSE(machine.has("interrupt_remapping"));
}

TEST(Doctor, WhereTheFirmwareHasOneTheKernelIsAsked) {
  Examined machine("no-iommu");
  machine.tree.file("/sys/firmware/acpi/tables/DMAR", "DMAR");
  machine.tree.file("/proc/cmdline", "root=/dev/sda1 intel_iommu=off\n");
  const Finding& iommu = machine.finding("iommu");
  EXPECT_TRUE(mentions(iommu.found, "the kernel does not use it. The kernel was told intel_iommu=off."));
  EXPECT_EQ(iommu.fixes[0].file, "/etc/default/grub");
  EXPECT_EQ(iommu.fixes.back().advice, "Take intel_iommu=off off the kernel's command line.");
}

TEST(Doctor, AVirtualMachineThatHasAnIommuIsToldToTurnItOn) {
  Examined machine("guest");
  machine.tree.file("/sys/firmware/acpi/tables/DMAR", "DMAR");
  std::string said;
  for (const Fix& fix : machine.finding("iommu").fixes) said += fix.advice + fix.line + fix.command;
  EXPECT_TRUE(mentions(said, "intel_iommu=on")) << said;  // the table decides, not the processor's maker
  EXPECT_FALSE(mentions(said, "from the host below")) << said;
}

TEST(Doctor, KnowsOtherBootLoaders) {
  Examined machine("no-iommu");
  machine.tree.file("/etc/os-release", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n");
  EXPECT_EQ(machine.finding("iommu").fixes[1].command,
            "grubby --update-kernel=ALL --args=\"intel_iommu=on iommu=pt\" && reboot");
  machine.tree.file("/etc/kernel/cmdline", "root=ZFS=rpool/ROOT iommu=pt\n");
  machine.tree.file("/usr/sbin/proxmox-boot-tool", "");
  const Finding& proxmox = machine.finding("iommu");
  EXPECT_EQ(proxmox.fixes[1].line, "root=ZFS=rpool/ROOT iommu=pt intel_iommu=on");
  EXPECT_EQ(proxmox.fixes[2].command, "proxmox-boot-tool refresh && reboot");
}

TEST(Doctor, NamesTheMembersOfADirtyGroup) {
  Examined machine("desktop-dirty");
  const Finding& group = machine.finding("iommu_group", "0000:01:00.0");
  EXPECT_EQ(group.level, Level::fail);
  EXPECT_EQ(group.found, "IOMMU group 1 also holds 0000:02:00.0 (NVMe, nvme).");
  machine.remove(machine.tree.directory_of("0000:02:00.0") + "driver");
  const Finding& idle = machine.finding("iommu_group", "0000:01:00.0");
  EXPECT_EQ(idle.level, Level::warn);
  EXPECT_TRUE(mentions(idle.found, "which no driver has"));
}

TEST(Doctor, VirtualizationThatIsOffIsTheFirmwaresOrTheHostsBelow) {
  Examined machine("desktop");
  machine.tree.processor("GenuineIntel", "sse", "iommu=pt");
  EXPECT_EQ(machine.finding("virtualization").level, Level::fail);
  EXPECT_TRUE(mentions(machine.finding("virtualization").fixes[0].advice, "firmware"));
  EXPECT_TRUE(mentions(Examined("guest").finding("virtualization").fixes[0].advice, "host-passthrough"));
  EXPECT_EQ(Examined("gh200").finding("virtualization").level, Level::ok);
}

TEST(Doctor, WithoutKvmNamesTheProcessorsModule) {
  Examined machine("apu");
  machine.remove("/dev/kvm");
  const Finding& kvm = machine.finding("kvm");
  EXPECT_EQ(kvm.level, Level::fail);
  EXPECT_EQ(kvm.fixes[0].line, "kvm_amd");
}

TEST(Doctor, InterruptsMustBeRemapped) {
  Examined machine("desktop");
  EXPECT_EQ(machine.finding("interrupt_remapping").level, Level::ok);
  machine.tree.file("/proc/interrupts", " 24:  0  PCI-MSI 0-edge\n");
  EXPECT_EQ(machine.finding("interrupt_remapping").level, Level::fail);
  machine.tree.file("/proc/cmdline", "intremap=off iommu=pt\n");
  EXPECT_TRUE(mentions(machine.finding("interrupt_remapping").fixes[0].advice, "Take intremap=off off"));
  machine.tree.file("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
  EXPECT_EQ(machine.finding("interrupt_remapping").object, "allow_unsafe_interrupts");
  machine.remove("/proc/interrupts");
  machine.remove("/sys/module/vfio_iommu_type1/parameters");
  EXPECT_EQ(machine.finding("interrupt_remapping").level, Level::warn);  // not seen is not known
}

TEST(Doctor, ModulesAreLoadedLoadableOrNotThere) {
  Examined machine("desktop");
  EXPECT_EQ(machine.finding("vfio").level, Level::ok);
  machine.remove("/sys/module/vfio_pci");
  machine.remove("/sys/module/vfio_iommu_type1");
  EXPECT_EQ(machine.finding("vfio").level, Level::fail);
  const std::string modules = "/lib/modules/6.1.0-test-amd64/";
  machine.tree.file(modules + "modules.builtin", "kernel/drivers/vfio/vfio_iommu_type1.ko\n");
  machine.tree.file(modules + "modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko\n");
  const Finding& vfio = machine.finding("vfio");
  EXPECT_EQ(vfio.level, Level::warn);
  EXPECT_EQ(vfio.fixes[0].line, "vfio_pci");
  EXPECT_EQ(vfio.fixes[1].command, "modprobe -a vfio_pci");
}

TEST(Doctor, TheFirmwaresFramebufferNeedsAParameterTheDriversADarkScreen) {
  const Finding firmware = Examined("apu").finding("display");
  EXPECT_TRUE(mentions(firmware.fixes[0].line, "initcall_blacklist=sysfb_init"));
  Examined desktop("desktop");
  const Finding& driver = desktop.finding("display", "0000:01:00.0");
  EXPECT_EQ(driver.level, Level::warn);
  EXPECT_TRUE(mentions(driver.found, "fb0 (nouveaudrmfb), text console"));
  EXPECT_TRUE(mentions(driver.fixes[0].command, "/sys/class/vtconsole"));
  EXPECT_FALSE(Examined("dgx").has("display"));
  // A second card's own framebuffer goes when its driver goes.
  Examined laptop("laptop");
  laptop.tree.file("/sys/class/graphics/fb1/name", "nvidia-drmdrmfb\n");
  laptop.tree.link("/sys/class/graphics/fb1/device", "../../../0000:01:00.0");
  EXPECT_EQ(laptop.finding("display", "0000:01:00.0").level, Level::ok);
  EXPECT_EQ(laptop.finding("display", "0000:00:02.0").level, Level::warn);
}

TEST(Doctor, DriversThatHoldOnAreNamed) {
  EXPECT_EQ(Examined("desktop").finding("driver").fixes[0].line, "blacklist nouveau");
  Examined machine("dgx");
  EXPECT_EQ(machine.finding("driver", "0000:52:00.0").fixes[0].command, "systemctl stop nvidia-persistenced");
  EXPECT_TRUE(mentions(machine.finding("driver", "0000:52:00.0").found, "python3 (pid 4242)"));
  Examined laptop("laptop");
  EXPECT_EQ(laptop.finding("driver", "0000:01:00.0").level, Level::ok);
  laptop.tree.file("/sys/module/nvidia_drm/parameters/modeset", "Y\n");
  EXPECT_EQ(laptop.finding("driver", "0000:01:00.0").level, Level::warn);
  laptop.tree.file("/etc/modprobe.d/vfio.conf", "# one\noptions vfio-pci ids=10de:25a2 disable_vga=1\n");
  EXPECT_TRUE(mentions(laptop.finding("driver", "/etc/modprobe.d/vfio.conf").found, "ids=10de:25a2"));
}

TEST(Doctor, LargeBarsTellTheWindowThatAGuestNeeds) {
  EXPECT_TRUE(
      mentions(Examined("dgx").finding("bars").found,
               "129 GiB of 64-bit BARs: a guest of QEMU needs -global q35-pcihost.pci-hole64-size=512G and, with "
               "OVMF, -fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=524288."));
  EXPECT_EQ(Examined("laptop").finding("bars", "0000:01:00.0").level, Level::ok);
  EXPECT_TRUE(mentions(Examined("desktop").finding("bars").found, "BAR 1 is of 256 MiB and could be of 16384 MiB."));
  Examined small("dgx");
  small.tree.file("/proc/cpuinfo",
                  "vendor_id\t: GenuineIntel\nflags\t: vmx\naddress sizes\t: 39 bits physical, 48 bits\n");
  EXPECT_EQ(small.finding("bars").level, Level::warn);
}

TEST(Doctor, ABarWithoutAnAddressIsAFailure) {
  Examined machine("laptop");
  machine.tree.file(machine.tree.directory_of("0000:01:00.0") + "resource",
                    "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n"
                    "0x0000000000000000 0x00000003ffffffff 0x000000002014220c\n0 0 0\n0 0 0\n0 0 0\n0 0 0\n0 0 0\n");
  const Finding& bars = machine.finding("bars", "0000:01:00.0");
  EXPECT_EQ(bars.level, Level::fail);
  EXPECT_TRUE(mentions(bars.fixes[0].advice, "Above 4G Decoding"));
}

TEST(Doctor, NumaMattersOnHostsWithTwoNodes) {
  EXPECT_FALSE(Examined("desktop").has("numa"));
  Examined machine("dgx");
  EXPECT_EQ(machine.finding("numa", "0000:9d:00.0").found, "It is near NUMA node 1, processors 56-111,168-223.");
  machine.tree.file(machine.tree.directory_of("0000:9d:00.0") + "numa_node", "-1\n");
  EXPECT_EQ(machine.finding("numa", "0000:9d:00.0").level, Level::warn);
}

TEST(Doctor, HugePagesAreCounted) {
  Examined machine("desktop");
  EXPECT_EQ(machine.finding("hugepages").found, "1024 huge pages of 2 MiB are kept.");
  machine.tree.file("/proc/meminfo", "MemTotal:  67108864 kB\nHugePages_Total:  0\nHugepagesize:  2048 kB\n");
  EXPECT_EQ(machine.finding("hugepages").fixes[0].line, "vm.nr_hugepages = 16384");
  machine.tree.file("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "16\n");
  EXPECT_EQ(machine.finding("hugepages").level, Level::ok);
}

// A user's own limits, whoever runs this test.
class Limited : public DirectoryHost {
 public:
  using DirectoryHost::DirectoryHost;
  Self self() const override { return {.root = false, .path = "/usr/bin", .memlock = 8 << 20}; }
};

TEST(Doctor, ALowLimitOfLockedMemoryIsSaid) {
  const FakeMachine machine("desktop");
  const Diagnosis diagnosis = diagnose(Limited(machine.scratch.path()), machine.inventory());
  const auto finding = std::find_if(diagnosis.findings.begin(), diagnosis.findings.end(),
                                    [](const Finding& one) { return one.check == "memlock"; });
  ASSERT_NE(finding, diagnosis.findings.end());
  EXPECT_EQ(finding->found, "This user may lock 8 MiB.");
  EXPECT_EQ(finding->fixes[0].line, "@kvm - memlock unlimited");
}

TEST(Doctor, NoHypervisorIsAFailureWithTheCommandThatInstallsOne) {
  Examined machine("desktop");
  EXPECT_EQ(machine.finding("hypervisors").object, "qemu-system-x86_64");
  machine.remove("/usr/bin/qemu-system-x86_64");
  machine.tree.file("/usr/bin/podman", "");  // runs no machines
  EXPECT_EQ(machine.finding("hypervisors", "PATH").fixes[0].command,
            "apt install qemu-system ovmf libvirt-daemon-system");
  EXPECT_FALSE(machine.look().ready());
  machine.tree.file("/usr/sbin/xl", "");
  EXPECT_TRUE(machine.look().ready());
}

TEST(Doctor, ParametersThatHurtAreNamed) {
  Examined machine("desktop");
  EXPECT_EQ(machine.finding("kernel_parameters").level, Level::ok);
  machine.tree.file("/proc/cmdline", "intel_iommu=on pcie_acs_override=downstream vfio-pci.ids=10de:2204\n");
  EXPECT_EQ(machine.finding("kernel_parameters", "pcie_acs_override=downstream").level, Level::warn);
  EXPECT_EQ(machine.finding("kernel_parameters", "vfio-pci.ids=10de:2204").level, Level::warn);
  EXPECT_EQ(machine.finding("kernel_parameters", "iommu=pt").level, Level::warn);
}

TEST(Doctor, SecurityModulesAndNestingAreHints) {
  Examined machine("desktop");
  EXPECT_FALSE(machine.has("security_module"));
  EXPECT_EQ(machine.finding("nested").found, "Guests may run guests of their own.");
  machine.tree.file("/sys/fs/selinux/enforce", "1");
  machine.tree.file("/sys/module/apparmor/parameters/enabled", "Y\n");
  machine.tree.file("/sys/module/kvm_intel/parameters/nested", "N\n");
  EXPECT_EQ(machine.finding("security_module", "SELinux").level, Level::ok);
  EXPECT_EQ(machine.finding("security_module", "AppArmor").fixes[0].line, "/dev/vfio/* rw,");
  EXPECT_EQ(machine.finding("nested").fixes[0].line, "options kvm_intel nested=1");
  EXPECT_TRUE(machine.look().ready());
}

TEST(Doctor, AnEmptyHostIsNotReadyAndNoCrash) {
  const Scratch nothing;
  const DirectoryHost host(nothing.path());
  EXPECT_FALSE(diagnose(host, take_inventory(host)).ready());
}

TEST(Doctor, EveryFileThatItReadsMayHoldAnything) {
  const std::string files[] = {"/proc/cpuinfo",
                               "/proc/cmdline",
                               "/proc/meminfo",
                               "/proc/interrupts",
                               "/etc/os-release",
                               "/etc/default/grub",
                               "/proc/sys/kernel/osrelease",
                               "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"};
  for (const std::string& content :
       {std::string(), std::string("\0\xff\x1b[2J:::\n\n=\"", 12), std::string(1 << 20, 'x')}) {
    Examined machine("no-iommu");
    for (const std::string& file : files) machine.tree.file(file, content);
    for (const Finding& finding : machine.look().findings) {
      EXPECT_EQ(finding.found, clean(finding.found, 10'000));
      for (const Fix& fix : finding.fixes) EXPECT_LT(fix.line.size() + fix.command.size(), 3000u);
    }
  }
}

}  // namespace
}  // namespace nm::inventory
