// A small language model of the Llama kind with random weights: RMS norms, rotary positions, grouped queries, a gated
// MLP. It reads a prompt as rows of many tokens (prefill) or goes on by one token (step), one kernel an operation, as
// an eager framework launches them. Weights and the cache of keys and values are bf16; a step's numbers are floats.
#pragma once

#include <vector>

#include "workload/ai/attention.h"
#include "workload/ai/gemm.h"
#include "workload/ai/tensor.h"

namespace nm::workload::ai {

struct GptShape {
  int layers, hidden, heads, kv_heads, width, ffn, vocabulary, positions;
  int kv_hidden() const { return kv_heads * width; }
};

class Gpt {
 public:
  Gpt(Run& run, const GptShape& shape);

  // One token: token() at position() through all layers, its keys and values into the cache; then logits() are those of
  // the next token, token() the likeliest, and position() one further. Only enqueues; returns how many launches.
  int step();
  // Tokens 0 … count - 1 at once, into the cache; their states are left in rows().
  void prefill(int count);
  // logits() of one row of the last prefill.
  void finish_row(int row);

  void set_token(int token);  // waits
  int get_token();            // waits
  void set_position(int position) { device_.fill(position_, 0, static_cast<uint32_t>(position), 4); }
  void set_prompt(const std::vector<int>& tokens) { device_.write(tokens_, 0, tokens.data(), tokens.size() * 4); }
  std::vector<float> logits() { return download_float(run_, logits_, 0, static_cast<size_t>(shape_.vocabulary)); }

  // The logits behind every one of `tokens`, in double precision on the host, weights as the device has them.
  std::vector<std::vector<double>> reference(const std::vector<int>& tokens) const;

 private:
  struct Layer {
    Tensor q, k, v, out, gate, up, down;
    std::vector<float> gain_attention, gain_mlp;
    device::Buffer norm_attention, norm_mlp, keys, values;
  };
  void head();  // x_ to logits_

  Run& run_;
  device::Device& device_;
  GptShape shape_;
  Gemm gemm_;
  Attention attention_;
  Tensor embedding_, unembedding_;
  std::vector<Layer> layers_;
  std::vector<float> gain_final_, turns_;
  device::Buffer norm_final_, turns_data_;
  // A step's.
  device::Buffer token_, position_, x_, normed_, q_, k_, v_, attended_, projected_, gate_, up_, product_, logits_;
  // A prefill's.
  device::Buffer tokens_, rows_, rows_normed_, rows_q_, rows_attended_, rows_gate_, rows_up_;

  struct Kernels {
    device::Kernel embed, rms_norm, rms_norm_rows, gemv, rope, rope_rows, append, attend, add, silu_times,
        silu_times_rows, argmax;
  } kernels_;
};

// The model of a size: ci two layers, shoc the size of GPT-2, gpu that of a Llama with a thousand million weights.
GptShape gpt_shape(const Run& run);

}  // namespace nm::workload::ai
