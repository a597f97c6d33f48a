// The table of SHOC's level 1.
#include "workload/shoc/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> shoc_level_1() {
  static constexpr Program kPrograms[] = {
      {"Reduction", "shoc", 1, true, "the sum of an array", shoc::reduction},
      {"Triad", "shoc", 1, true, "a = b + s * c, streamed from and to the host", shoc::triad},
      {"Scan", "shoc", 1, true, "the prefix sum of an array", shoc::scan},
      {"Sort", "shoc", 1, true, "radix sort of pairs of 32 bits", shoc::sort},
      {"Spmv", "shoc", 1, true, "a sparse matrix times a vector, in five storages", shoc::spmv},
      {"Stencil2D", "shoc", 1, true, "steps of a 9-point stencil", shoc::stencil},
  };
  return kPrograms;
}

}  // namespace nm::workload
