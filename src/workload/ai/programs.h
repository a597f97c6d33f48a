// The deep-learning programs, one function and one file each.
#pragma once

#include "workload/program.h"

namespace nm::workload::ai {

void attention(Run& run);
void bert_layer(Run& run);
void conv_block(Run& run);
void gemm(Run& run);
void gpt_decode(Run& run);
void gpt_prefill(Run& run);
void tensor_peak(Run& run);
void train_step(Run& run);

}  // namespace nm::workload::ai
