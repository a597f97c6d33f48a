// The table of the suite ai.
#include "workload/ai/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> ai_suite() {
  static constexpr Program kPrograms[] = {
      {"AiGemm", "ai", -1, true, "matrix products in bf16, tf32 and fp32", ai::gemm},
      {"AiGptPrefill", "ai", -1, true, "a language model reads a prompt", ai::gpt_prefill},
      {"AiGptDecode", "ai", -1, true, "a language model answers, token by token, a kernel an operation", ai::gpt_decode},
  };
  return kPrograms;
}

}  // namespace nm::workload
