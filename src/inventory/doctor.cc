#include "inventory/doctor.h"

#include <algorithm>

namespace nm::inventory {
namespace {

// In the order of a cure: what comes first is needed by what comes later.
constexpr void (*kChecks[])(Patient&) = {
    check_virtualization, check_kvm,     check_iommu,       check_interrupts, check_parameters, check_modules,
    check_gpus,           check_groups,  check_displays,    check_drivers,    check_bars,       check_numa,
    check_hugepages,      check_memlock, check_hypervisors, check_labels,     check_nested,
};

bool failed_for(const std::vector<Finding>& findings, const PciAddress& gpu) {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
    return finding.level == Level::fail && (!finding.gpu || *finding.gpu == gpu);
  });
}

}  // namespace

std::string_view word(Level level) {
  switch (level) {
    case Level::ok:
      return "ok";
    case Level::warn:
      return "warn";
    case Level::fail:
      return "fail";
  }
  return "";
}

Diagnosis diagnose(const Host& host, const Inventory& inventory) {
  Patient patient(host, inventory);
  for (const auto check : kChecks) check(patient);
  Diagnosis diagnosis{.findings = std::move(patient.findings), .gpus = inventory.gpus.size()};
  for (const Gpu& gpu : inventory.gpus) {
    diagnosis.gpus_ready += failed_for(diagnosis.findings, gpu.function.address) ? 0 : 1;
  }
  return diagnosis;
}

}  // namespace nm::inventory
