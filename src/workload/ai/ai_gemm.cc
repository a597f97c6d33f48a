// AiGemm: square products C = A · Bᵀ of random matrices, as linear layers make them: bf16 in and out with sums in
// single precision, tf32 and fp32. Bound by arithmetic: on CUDA bf16 and tf32 by the tensor cores. Rows of the result
// are compared with sums in double precision; the inputs are exact in their type, so all error is that of the sums, and
// of rounding the result.
#include <cmath>

#include "workload/ai/gemm.h"
#include "workload/ai/programs.h"
#include "workload/ai/tensor.h"

namespace nm::workload::ai {
namespace {

void product(Run& run, std::string_view precision, const std::string& metric, int n) {
  device::Device& device = run.device();
  const auto size = static_cast<size_t>(n);
  const bool bf16 = precision.starts_with("bf16");
  // Inputs of bf16's values in every precision: exact in tf32 too.
  std::vector<float> values[2];
  device::Buffer inputs[2];
  for (int i = 0; i < 2; ++i) {
    const Tensor tensor = random_bf16(run, size * size, 1.0f);
    values[i].resize(size * size);
    in_parallel(size, [&](size_t row) {
      for (size_t j = row * size; j < (row + 1) * size; ++j)
        values[i][j] = tensor.values.bf16(static_cast<uint32_t>(j));
    });
    if (bf16) {
      std::vector<uint16_t> raw(size * size);
      for (size_t j = 0; j < raw.size(); ++j) raw[j] = to_bf16(values[i][j]);
      inputs[i] = device.upload(raw);
    } else {
      inputs[i] = device.upload(values[i]);
    }
  }
  const device::Buffer c = poisoned(run, size * size * (bf16 ? 2 : 4));
  Gemm gemm(run, precision);
  const int flags = bf16 ? 0 : kFloatOut;
  const int repeats = run.pick(1, 20, 1);
  const auto seconds = run.device_seconds([&] {
    for (int i = 0; i < repeats; ++i) gemm(inputs[0], inputs[1], c, n, n, n, flags);
  });
  run.sample({metric, "TFLOPS"}, rates(2.0 * repeats * std::pow(n, 3) / 1e12, seconds));

  // Every 128 rows one: all of them at size ci, and a row of every tile elsewhere, at changing places in the tile.
  std::vector<size_t> rows;
  for (size_t i = 0; i < size; i += run.size() == Size::ci ? 1 : 128) {
    rows.push_back(run.size() == Size::ci ? i : i + run.random()() % 128);
  }
  std::vector<double> reference(rows.size() * size);
  in_parallel(rows.size(), [&](size_t r) {
    const float* const a = values[0].data() + rows[r] * size;
    for (size_t j = 0; j < size; ++j) reference[r * size + j] = dot(a, values[1].data() + j * size, size);
  });
  std::vector<float> result;
  for (const size_t row : rows) {
    const std::vector<float> line =
        bf16 ? download_bf16(run, c, row * size, size) : download_float(run, c, row * size, size);
    result.insert(result.end(), line.begin(), line.end());
  }
  // Sums of n terms of like size lose n/2 units of the last place at the very worst, √n likely; the tensor cores cut
  // off where others round. A result in bf16 is off by 2⁻⁸ besides.
  run.check(metric, worst_error(result, reference), (bf16 ? 1.0 / 256 : 0) + 16 * std::sqrt(n) * 0x1p-24);
}

}  // namespace

void gemm(Run& run) {
  product(run, "bf16", "ai_gemm_bf16", run.pick(256, 2048, 8192));
  // Without the instructions of Hopper, where the first was with them.
  if (has_wgmma(run)) product(run, "bf16_mma", "ai_gemm_bf16_mma", run.pick(256, 2048, 8192));
  if (run.cuda()) {
    product(run, "tf32", "ai_gemm_tf32", run.pick(128, 2048, 8192));
  } else {
    run.skip("ai_gemm_tf32", "The tensor cores' tf32 is reached by CUDA only.");
  }
  product(run, "fp32", "ai_gemm_fp32", run.pick(128, 2048, 4096));
}

}  // namespace nm::workload::ai
