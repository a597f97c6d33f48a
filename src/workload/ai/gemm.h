// C = A · Bᵀ, what a linear layer is, with the layer's bias, GELU and residual: kernels/ai_gemm.cl launched. On CUDA by
// the tensor cores, with the instructions of Hopper where there are such and with the tile that suits the size; on
// OpenCL by plain arithmetic.
#pragma once

#include "workload/program.h"

namespace nm::workload::ai {

enum GemmFlags : int { kBias = 1, kGelu = 2, kResidual = 4, kFloatOut = 8, kScale = 16, kRelu = 32 };

// Buffers that a flag needs; the others may stay as they are.
struct GemmExtras {
  const device::Buffer* bias = nullptr;      // float[n]
  const device::Buffer* scale = nullptr;     // float[n]
  const device::Buffer* residual = nullptr;  // as the output
};

// The device executes wgmma (sm_90a): a Hopper, and not the software GPU, which says that it is one.
bool has_wgmma(const Run& run);

class Gemm {
 public:
  // bf16 (A, B: bf16), bf16_mma (the same without Hopper's own instructions), tf32 (float, CUDA only) or fp32.
  Gemm(Run& run, std::string_view precision);
  // A is m × k, B is n × k, C is m × n, bf16 or with kFloatOut float. k a multiple of 64, n of 4.
  void operator()(const device::Buffer& a, const device::Buffer& b, const device::Buffer& c, int m, int n, int k,
                  int flags = 0, const GemmExtras& extras = {});

 private:
  struct Tile {
    std::string_view source;
    std::string variant;
    int m, n;
    uint32_t threads, shared_bytes;
    device::Kernel kernel;  // loaded when it is first used: the driver takes its time to compile it
  };
  Tile& choose(int m, int n);

  device::Device& device_;
  int multiprocessors_;
  bool wgmma_ = false;
  Tile large_, small_;
  // fp32 on CUDA: SHOC's kernel, for what it can do, which is square matrices and no layer around them.
  Tile square_{};
};

}  // namespace nm::workload::ai
