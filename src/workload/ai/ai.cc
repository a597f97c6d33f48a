// The table of the suite ai.
#include "workload/ai/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> ai_suite() {
  static constexpr Program kPrograms[] = {
      {"AiGemm", "ai", -1, true, "matrix products in bf16, tf32 and fp32", ai::gemm},
  };
  return kPrograms;
}

}  // namespace nm::workload
