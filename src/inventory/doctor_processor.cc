// The processor and the kernel: virtualization, the IOMMU, interrupts, parameters.
#include <fmt/format.h>

#include <algorithm>

#include "inventory/doctor.h"

namespace nm::inventory {
namespace {

constexpr std::string_view kWhyIommu =
    "A guest programs its GPU to read and write memory by itself; only an IOMMU keeps it within the guest's own.";

const char* kvm_module(const Patient& patient) {
  return patient.processor == Patient::Processor::amd ? "kvm_amd" : "kvm_intel";
}

bool x86(const Patient& patient) {
  return patient.processor == Patient::Processor::intel || patient.processor == Patient::Processor::amd;
}

}  // namespace

void check_virtualization(Patient& patient) {
  Finding finding{.check = "virtualization", .object = "processor"};
  if (patient.processor == Patient::Processor::arm) {
    finding.found = "An Arm processor; whether it boots with its hypervisor mode, /dev/kvm tells.";
  } else if (patient.cpu_flags.contains("vmx") || patient.cpu_flags.contains("svm")) {
    finding.found =
        fmt::format("The processor has {}.", patient.cpu_flags.contains("vmx") ? "VT-x (vmx)" : "AMD-V (svm)");
  } else {
    finding.level = Level::fail;
    finding.found = "The processor shows neither vmx nor svm.";
    finding.why = "Without them guests are emulated, a hundred times slower.";
    if (patient.inventory.virtual_machine.empty()) {
      finding.fixes = {
          {.advice = "Switch on \"Intel Virtualization Technology\" or \"SVM Mode\" in the firmware's setup."}};
    } else {
      finding.fixes = {{.advice =
                            "This host is a virtual machine. Give it the processor of the host below, with nested "
                            "virtualization: in libvirt <cpu mode='host-passthrough'/>, with QEMU -cpu host."}};
    }
  }
  patient.findings.push_back(std::move(finding));
}

void check_kvm(Patient& patient) {
  Finding finding{.check = "kvm", .object = "/dev/kvm"};
  if (!patient.host.exists("/dev/kvm")) {
    finding.level = Level::fail;
    finding.found = "There is no /dev/kvm.";
    finding.why = "QEMU runs guests at the processor's own speed through it.";
    if (x86(patient)) {
      finding.fixes = {{.file = "/etc/modules-load.d/kvm.conf", .line = kvm_module(patient)},
                       {.command = fmt::format("modprobe {}", kvm_module(patient))}};
    } else {
      finding.fixes = {{.advice = "Start a kernel with KVM, in hypervisor mode (EL2)."}};
    }
  } else if (!patient.host.may_use("/dev/kvm")) {
    finding.level = Level::warn;
    finding.found = "This user may not use /dev/kvm.";
    finding.why = "Guests that this user starts would be emulated; those of libvirt's system daemon are not.";
    finding.fixes = {{.command = "usermod -aG kvm \"$USER\"", .advice = "As root; then log in anew."}};
  } else {
    finding.found = "/dev/kvm can be used.";
  }
  patient.findings.push_back(std::move(finding));
}

void check_iommu(Patient& patient) {
  Finding finding{.check = "iommu", .object = "IOMMU"};
  if (patient.inventory.iommu) {
    const size_t groups = patient.host.list("/sys/kernel/iommu_groups").names.size();
    finding.found = fmt::format("The IOMMU is on, with {} groups.", groups);
    patient.findings.push_back(std::move(finding));
    return;
  }
  finding.level = Level::fail;
  finding.why = kWhyIommu;
  const bool intel_table = patient.host.exists("/sys/firmware/acpi/tables/DMAR");
  const bool tables = intel_table || patient.host.exists("/sys/firmware/acpi/tables/IVRS") ||
                      patient.host.exists("/sys/firmware/acpi/tables/IORT");
  finding.found = tables ? "The firmware describes an IOMMU, and the kernel does not use it."
                         : "There are no IOMMU groups, and the firmware describes no IOMMU.";
  if (!patient.inventory.virtual_machine.empty() && !tables) {
    finding.fixes.push_back({.advice =
                                 "This host is a virtual machine: it needs an IOMMU from the host below, with QEMU "
                                 "-device intel-iommu,intremap=on,caching-mode=on on a q35 machine."});
  } else if (!tables) {
    finding.fixes.push_back({.advice =
                                 "Switch on \"VT-d\" (Intel), \"IOMMU\" (AMD) or the SMMU (Arm) in the firmware's "
                                 "setup."});
  }
  std::vector<std::string> words;
  // A virtual machine may have Intel's IOMMU beside an AMD processor.
  if (patient.processor == Patient::Processor::intel || intel_table) words.push_back("intel_iommu=on");
  words.push_back("iommu=pt");
  for (Fix& fix : patient.add_parameters(words)) finding.fixes.push_back(std::move(fix));
  for (const char* off : {"intel_iommu=off", "amd_iommu=off", "iommu=off"}) {
    if (!patient.parameter(off)) continue;
    finding.found += fmt::format(" The kernel was told {}.", off);
    finding.fixes.push_back({.advice = fmt::format("Take {} off the kernel's command line.", off)});
  }
  patient.findings.push_back(std::move(finding));
}

void check_interrupts(Patient& patient) {
  if (!patient.inventory.iommu || !x86(patient)) return;  // Arm's interrupt controller sorts them itself
  Finding finding{.check = "interrupt_remapping", .object = "interrupts"};
  const std::string interrupts = patient.reader.raw("/proc/interrupts", 1 << 20).value_or("");
  const bool remapped = interrupts.find("IR-") != std::string::npos;
  const std::string unsafe = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
  const std::string allowed = patient.reader.text(unsafe).value_or("");
  constexpr std::string_view kWhy =
      "Without it a guest's GPU can raise any interrupt on the host, and VFIO refuses to hand it over.";
  if (allowed == "Y" || allowed == "1") {
    finding.level = remapped ? Level::warn : Level::fail;
    finding.object = "allow_unsafe_interrupts";
    finding.found = "VFIO was told to do without interrupt remapping.";
    finding.why = kWhy;
    finding.fixes = {{.command = "grep -rl allow_unsafe_interrupts /etc/modprobe.d /etc/default/grub",
                      .advice = "Take that option away; then reboot."}};
  } else if (remapped) {
    finding.found = "Interrupts are remapped.";
  } else if (interrupts.empty()) {
    finding.level = Level::warn;
    finding.found = "Whether interrupts are remapped cannot be seen: /proc/interrupts does not tell.";
    finding.why = kWhy;
    finding.fixes = {{.command = "dmesg | grep -i -e remapping -e DMAR-IR -e AMD-Vi", .advice = "As root."}};
  } else {
    finding.level = Level::fail;
    finding.found = "Interrupts are not remapped.";
    finding.why = kWhy;
    if (!patient.parameters("intremap=").empty()) {
      finding.fixes = {{.advice = "Take " + patient.parameters("intremap=")[0] + " off the kernel's command line."}};
    } else {
      finding.fixes = {{.advice =
                            "Switch on x2APIC and interrupt remapping in the firmware's setup; where its table opts "
                            "out of x2APIC, the parameter below overrules it."}};
      for (Fix& fix : patient.add_parameters({"intremap=no_x2apic_optout"})) finding.fixes.push_back(std::move(fix));
    }
  }
  patient.findings.push_back(std::move(finding));
}

void check_parameters(Patient& patient) {
  const size_t before = patient.findings.size();
  const auto add = [&](Level level, std::string object, std::string found, std::string why, std::vector<Fix> fixes) {
    patient.findings.push_back({.level = level,
                                .check = "kernel_parameters",
                                .object = std::move(object),
                                .found = std::move(found),
                                .why = std::move(why),
                                .fixes = std::move(fixes)});
  };
  for (const std::string& word : patient.parameters("pcie_acs_override=")) {
    add(Level::warn, word, "The kernel was told to believe in walls between devices that the hardware does not have.",
        "Devices of groups that were split so can reach each other's memory: fine for one's own guests, not for "
        "strangers'.",
        {{.advice = "Use a slot whose group is clean without it, and take it away."}});
  }
  for (const std::string& word : patient.parameters("vfio-pci.ids=")) {
    add(Level::warn, word, "Every card with these ids goes to vfio-pci when the host starts.",
        "Two cards of one model cannot be told apart so: the host can keep none of them.",
        {{.advice = "Take it away; nearmetal binds single cards by their address."}});
  }
  if (patient.inventory.iommu && x86(patient) && !patient.parameter("iommu=pt")) {
    add(Level::warn, "iommu=pt", "The host's own devices go through the IOMMU, too.",
        "That costs the host some speed and guests nothing; with iommu=pt only guests' devices do.",
        patient.add_parameters({"iommu=pt"}));
  }
  if (patient.findings.size() == before) {
    add(Level::ok, "kernel command line", "The kernel's parameters suit.", "", {});
  }
}

void check_nested(Patient& patient) {
  if (!x86(patient)) return;
  const std::string module = kvm_module(patient);
  const auto nested = patient.reader.text("/sys/module/" + module + "/parameters/nested");
  if (!nested) return;
  Finding finding{.check = "nested", .object = module};
  if (*nested == "Y" || *nested == "1") {
    finding.found = "Guests may run guests of their own.";
  } else {
    finding.found = "Guests cannot run guests of their own; a GPU does not need that.";
    finding.fixes = {{.file = "/etc/modprobe.d/kvm.conf", .line = "options " + module + " nested=1"}};
  }
  patient.findings.push_back(std::move(finding));
}

}  // namespace nm::inventory
