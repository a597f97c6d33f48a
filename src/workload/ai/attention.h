// softmax(scale · Q Kᵀ) V for every head of every sequence, in one kernel: kernels/ai_attention.cl
// launched, or ai_flash_sm90.cl on a Hopper.
#pragma once

#include <cmath>

#include "workload/ai/gemm.h"
#include "workload/program.h"

namespace nm::workload::ai {

struct AttentionShape {
  int batch = 1, length = 0;                        // as many queries as keys
  int heads = 0, group = 1;                         // heads of queries; as many of them share a head of keys
  int width = 64;                                   // of a head: 64 or 128
  int q_stride = 0, kv_stride = 0, out_stride = 0;  // numbers from a row to the next
  int q_offset = 0, k_offset = 0, v_offset = 0;     // where the first head lies in a row
  bool causal = false;
};

class Attention {
 public:
  Attention(Run& run, int width)
      : device_(run.device()),
        cuda_(run.cuda()),
        width_(width),
        wgmma_(has_wgmma(run)),
        kernel_(device_.kernel(wgmma_ ? "ai_flash_sm90" : "ai_attention", width == 64 ? "d64" : "d128", "attention")) {}

  // bf16, all of them.
  void operator()(const device::Buffer& q, const device::Buffer& k, const device::Buffer& v, const device::Buffer& out,
                  const AttentionShape& s) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(width_));
    const uint32_t rows = cuda_ ? 128 : 64;
    const device::Size3 blocks{(static_cast<uint32_t>(s.length) + rows - 1) / rows, static_cast<uint32_t>(s.heads),
                               static_cast<uint32_t>(s.batch)};
    const int causal = s.causal ? 1 : 0;
    if (cuda_) {
      // Queries, and two stages of keys and of values, 64 or 128 rows each.
      const auto shared = static_cast<uint32_t>((128 + 2 * 2 * (wgmma_ ? 128 : 64)) * width_ * 2);
      device_.launch_shared(kernel_, blocks, {wgmma_ ? 256u : 128u}, shared, q, k, v, out, s.length, s.group,
                            s.q_stride, s.kv_stride, s.out_stride, s.q_offset, s.k_offset, s.v_offset, scale, causal);
    } else {
      device_.launch(kernel_, blocks, {64}, q, k, v, out, s.length, s.group, s.q_stride, s.kv_stride, s.out_stride,
                     s.q_offset, s.k_offset, s.v_offset, scale, causal);
    }
  }

 private:
  device::Device& device_;
  bool cuda_;
  int width_;
  bool wgmma_;
  device::Kernel kernel_;
};

}  // namespace nm::workload::ai
