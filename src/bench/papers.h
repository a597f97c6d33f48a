// What was measured in 2014, to stand beside what is measured today: Table III of J. P. Walters et al., "GPU
// Passthrough Performance: A Comparison of KVM, Xen, VMWare ESXi, and LXC for CUDA and OpenCL Applications" (IEEE CLOUD
// 2014): SHOC's OpenCL programs in a guest against the same machine without one, 20 runs. Facts of that paper, nothing
// of ours.
#pragma once

#include <span>
#include <string_view>

namespace nm::bench {

struct PaperRow {
  std::string_view gpu;         // "K20m" on Sandy Bridge, "C2075" on Westmere
  std::string_view hypervisor;  // KVM, Xen, LXC, VMware
  int level;                    // SHOC's
  bool pcie_only;
  // As the paper prints them, which keeps its digits.
  std::string_view mean;  // geometric mean of performance over the bare machine's
  std::string_view max;   // overhead of one benchmark, in percent; "N/A"
};

std::span<const PaperRow> paper_rows();
// nullptr: not in the paper.
const PaperRow* paper_row(std::string_view gpu, std::string_view hypervisor, int level, bool pcie_only);

inline constexpr std::string_view kPaperGpus[] = {"K20m", "C2075"};
inline constexpr std::string_view kPaperHypervisors[] = {"KVM", "Xen", "LXC", "VMware"};
inline constexpr std::string_view kPaperCitation = "Walters et al., IEEE CLOUD 2014, Table III";

}  // namespace nm::bench
