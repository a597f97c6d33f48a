// The table of SHOC's level 1.
#include "workload/shoc/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> shoc_level_1() {
  static constexpr Program kPrograms[] = {
      {"Reduction", "shoc", 1, true, "the sum of an array", shoc::reduction},
      {"Triad", "shoc", 1, true, "a = b + s * c, streamed from and to the host", shoc::triad},
      {"GEMM", "shoc", 1, true, "a matrix product", shoc::gemm},
      {"MD", "shoc", 1, true, "Lennard-Jones forces from neighbour lists", shoc::md},
      {"FFT", "shoc", 1, true, "batches of transforms of 512 points", shoc::fft},
      {"BFS", "shoc", 1, true, "breadth-first search of a graph", shoc::bfs},
      {"MD5Hash", "shoc", 1, true, "search for the key of an MD5 digest", shoc::md5hash},
      {"NeuralNet", "shoc", 1, true, "a small net learns to read digits", shoc::neural_net},
      {"Scan", "shoc", 1, true, "the prefix sum of an array", shoc::scan},
      {"Sort", "shoc", 1, true, "radix sort of pairs of 32 bits", shoc::sort},
      {"Spmv", "shoc", 1, true, "a sparse matrix times a vector, in five storages", shoc::spmv},
      {"Stencil2D", "shoc", 1, true, "steps of a 9-point stencil", shoc::stencil},
  };
  return kPrograms;
}

}  // namespace nm::workload
