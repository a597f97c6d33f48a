// AiTensorPeak: what the tensor cores give at most: to mma.sync, from registers alone, and on a Hopper to wgmma, from
// shared memory: the ceilings for the other programs of this suite. CUDA only. The operands are small whole numbers,
// whose sums are exact, so that every sum of every warp is compared for equality.
#include "workload/ai/gemm.h"
#include "workload/ai/programs.h"
#include "workload/ai/tensor.h"

namespace nm::workload::ai {
namespace {

// `depth` terms a product: 16 of bf16, 8 of tf32.
void peak(Run& run, const char* variant, int depth) {
  device::Device& device = run.device();
  const auto blocks =
      static_cast<uint32_t>(run.pick(2, 2 * run.info().multiprocessors, 2 * run.info().multiprocessors));
  // 16 terms of 16 at most, so many times: below 2²⁴.
  const int count = run.pick(32, 8192, 65536 - 2);
  const auto d = static_cast<size_t>(depth);
  std::vector<float> a(4 * 16 * d), b(4 * 8 * d);
  for (std::vector<float>* const values : {&a, &b}) {
    for (float& v : *values) v = static_cast<float>(static_cast<int>(run.random()() % 9) - 4);
  }
  const auto upload = [&](const std::vector<float>& values) {
    if (depth == 8) return device.upload(values);
    std::vector<uint16_t> raw;
    for (const float v : values) raw.push_back(to_bf16(v));
    return device.upload(raw);
  };
  const device::Buffer device_a = upload(a), device_b = upload(b);
  const size_t warps = size_t{blocks} * 8;
  const device::Buffer out = poisoned(run, warps * 16 * 32 * 4 * 4);
  const device::Kernel kernel = device.kernel("ai_peak", variant, "peak_mma");
  const auto seconds =
      run.device_seconds([&] { device.launch(kernel, {blocks}, {256}, device_a, device_b, out, count); });
  const std::string metric = std::string("ai_peak_mma_") + variant;
  run.sample({metric, "TFLOPS"}, rates(2.0 * 16 * 8 * depth * 16 * count * static_cast<double>(warps) / 1e12, seconds));

  std::vector<float> expected;
  for (size_t pair = 0; pair < 16; ++pair) {
    for (size_t lane = 0; lane < 32; ++lane) {
      for (size_t e = 0; e < 4; ++e) {
        const size_t row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
        float sum = 0;
        for (size_t k = 0; k < d; ++k) sum += a[(pair / 4 * 16 + row) * d + k] * b[(pair % 4 * 8 + column) * d + k];
        expected.push_back(sum * static_cast<float>(count));
      }
    }
  }
  const std::vector<float> result = download_float(run, out, 0, warps * expected.size());
  bool right = true;
  for (size_t i = 0; i < result.size(); ++i) right = right && result[i] == expected[i % expected.size()];
  run.check(metric + ": every sum is exact", right);
}

void peak_wgmma(Run& run) {
  device::Device& device = run.device();
  constexpr size_t kRows = 128, kColumns = 256, kDepth = 64;
  const auto blocks = static_cast<uint32_t>(run.info().multiprocessors);
  // 64 terms of 16 at most, so many times: below 2²⁴.
  const int count = run.pick(64, 4096, 16383);
  std::vector<uint16_t> a(kRows * kDepth), b(kColumns * kDepth);
  for (std::vector<uint16_t>* const values : {&a, &b}) {
    for (uint16_t& v : *values) v = to_bf16(static_cast<float>(static_cast<int>(run.random()() % 9) - 4));
  }
  const device::Buffer device_a = device.upload(a), device_b = device.upload(b);
  const device::Buffer out = poisoned(run, blocks * kRows * kColumns * 4);
  const device::Kernel kernel = device.kernel("ai_wgmma", "peak", "peak");
  const auto seconds = run.device_seconds(
      [&] { device.launch_shared(kernel, {blocks}, {256}, (kRows + kColumns) * 128, device_a, device_b, out, count); });
  run.sample({"ai_peak_wgmma_bf16", "TFLOPS"},
             rates(2.0 * kRows * kColumns * kDepth * count * static_cast<double>(blocks) / 1e12, seconds));
  std::vector<float> expected(kRows * kColumns);
  for (size_t i = 0; i < expected.size(); ++i) {
    for (size_t k = 0; k < kDepth; ++k)
      expected[i] += from_bf16(a[i / kColumns * kDepth + k]) * from_bf16(b[i % kColumns * kDepth + k]);
    expected[i] *= static_cast<float>(count);
  }
  const std::vector<float> result = download_float(run, out, 0, blocks * expected.size());
  bool right = true;
  for (size_t i = 0; i < result.size(); ++i) right = right && result[i] == expected[i % expected.size()];
  run.check("ai_peak_wgmma_bf16: every sum is exact", right);
}

}  // namespace

void tensor_peak(Run& run) {
  peak(run, "bf16", 16);
  peak(run, "tf32", 8);
  if (has_wgmma(run)) {
    peak_wgmma(run);
  } else {
    run.skip("ai_peak_wgmma_bf16", "The device has no wgmma: it is no Hopper GPU.");
  }
}

}  // namespace nm::workload::ai
