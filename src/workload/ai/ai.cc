// The table of the suite ai.
#include "workload/ai/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> ai_suite() {
  static constexpr Program kPrograms[] = {
      {"AiGemm", "ai", -1, true, "matrix products in bf16, tf32 and fp32", ai::gemm},
      {"AiAttention", "ai", -1, true, "fused attention in bf16, whole and causal", ai::attention},
      {"AiBertLayer", "ai", -1, true, "one layer of a BERT encoder, forward", ai::bert_layer},
      {"AiConvBlock", "ai", -1, true, "3 x 3 convolution, batch norm, residual and ReLU at the shapes of ResNet-50",
       ai::conv_block},
      {"AiGptPrefill", "ai", -1, true, "a language model reads a prompt", ai::gpt_prefill},
      {"AiGptDecode", "ai", -1, true, "a language model answers, token by token, a kernel an operation",
       ai::gpt_decode},
      {"AiTrainStep", "ai", -1, true, "training a transformer: forward, backward, AdamW", ai::train_step},
      {"AiTensorPeak", "ai", -1, false, "the ceilings of mma.sync and wgmma", ai::tensor_peak},
  };
  return kPrograms;
}

}  // namespace nm::workload
