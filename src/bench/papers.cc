#include "bench/papers.h"

namespace nm::bench {
namespace {

constexpr PaperRow kRows[] = {
    {"K20m", "KVM", 0, false, "0.999", "1.57"},  {"K20m", "Xen", 0, false, "0.997", "3.34"},
    {"K20m", "LXC", 0, false, "1.00", "1.77"},   {"K20m", "VMware", 0, false, "1.00", "1.90"},
    {"K20m", "KVM", 1, false, "0.998", "1.23"},  {"K20m", "Xen", 1, false, "0.998", "1.39"},
    {"K20m", "LXC", 1, false, "1.00", "1.47"},   {"K20m", "VMware", 1, false, "1.00", "0.975"},
    {"K20m", "KVM", 2, false, "0.998", "0.48"},  {"K20m", "Xen", 2, false, "0.995", "0.846"},
    {"K20m", "LXC", 2, false, "0.999", "1.90"},  {"K20m", "VMware", 2, false, "0.999", "1.20"},
    {"C2075", "KVM", 0, false, "1.01", "0.031"}, {"C2075", "Xen", 0, false, "0.969", "12.7"},
    {"C2075", "LXC", 0, false, "1.00", "0.073"}, {"C2075", "VMware", 0, false, "1.00", "4.95"},
    {"C2075", "KVM", 1, false, "1.00", "1.45"},  {"C2075", "Xen", 1, false, "0.959", "24.0"},
    {"C2075", "LXC", 1, false, "1.00", "0.663"}, {"C2075", "VMware", 1, false, "0.933", "36.6"},
    {"C2075", "KVM", 2, false, "1.00", "0.101"}, {"C2075", "Xen", 2, false, "0.982", "4.60"},
    {"C2075", "LXC", 2, false, "1.00", "0.016"}, {"C2075", "VMware", 2, false, "0.962", "7.01"},
    {"K20m", "KVM", 0, true, "0.997", "0.317"},  {"K20m", "Xen", 0, true, "0.999", "0.143"},
    {"K20m", "LXC", 0, true, "0.995", "0.981"},  {"K20m", "VMware", 0, true, "0.995", "1.01"},
    {"K20m", "KVM", 1, true, "0.998", "0.683"},  {"K20m", "Xen", 1, true, "0.997", "1.39"},
    {"K20m", "LXC", 1, true, "1.00", "0.928"},   {"K20m", "VMware", 1, true, "1.01", "0.975"},
    {"K20m", "KVM", 2, true, "0.998", "0.478"},  {"K20m", "Xen", 2, true, "0.996", "0.846"},
    {"K20m", "LXC", 2, true, "1.00", "0.247"},   {"K20m", "VMware", 2, true, "1.01", "0.133"},
    {"C2075", "KVM", 0, true, "1.04", "0.029"},  {"C2075", "Xen", 0, true, "0.889", "12.7"},
    {"C2075", "LXC", 0, true, "1.00", "0.01"},   {"C2075", "VMware", 0, true, "0.995", "4.37"},
    {"C2075", "KVM", 1, true, "1.00", "1.45"},   {"C2075", "Xen", 1, true, "0.914", "20.5"},
    {"C2075", "LXC", 1, true, "0.999", "0.380"}, {"C2075", "VMware", 1, true, "0.864", "36.6"},
    {"C2075", "KVM", 2, true, "1.00", "0.075"},  {"C2075", "Xen", 2, true, "0.918", "4.60"},
    {"C2075", "LXC", 2, true, "1.00", "N/A"},    {"C2075", "VMware", 2, true, "0.869", "7.01"},
};

}  // namespace

std::span<const PaperRow> paper_rows() { return kRows; }

const PaperRow* paper_row(std::string_view gpu, std::string_view hypervisor, int level, bool pcie_only) {
  for (const PaperRow& row : kRows) {
    if (row.gpu == gpu && row.hypervisor == hypervisor && row.level == level && row.pcie_only == pcie_only) return &row;
  }
  return nullptr;
}

}  // namespace nm::bench
