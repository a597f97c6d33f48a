// AiConvBlock: a 3 × 3 convolution with its batch norm (folded into a scale and a bias a channel), the residual added
// and ReLU, in one kernel: an implicit product of matrices over an NHWC image in bf16, at the four shapes of ResNet-50.
// Bound by arithmetic on the tensor cores. Pixels of the result, corners among them, are compared with the sum in
// double precision.
#include <cmath>

#include "workload/ai/gemm.h"
#include "workload/ai/programs.h"
#include "workload/ai/tensor.h"

namespace nm::workload::ai {
namespace {

void convolve(Run& run, int batch, int side, int channels) {
  device::Device& device = run.device();
  const int pixels = batch * side * side, k = 9 * channels;
  const auto c = static_cast<size_t>(channels);
  const size_t count = static_cast<size_t>(pixels) * c;
  const Tensor in = random_bf16(run, count, 1.0f), weights = random_bf16(run, c * static_cast<size_t>(k), 1.0f),
               residual = random_bf16(run, count, 1.0f);
  const Tensor scale = random_float(run, c, 2.0f / std::sqrt(static_cast<float>(k))), bias = random_float(run, c, 0.5f);
  const device::Buffer out = poisoned(run, count * 2);
  const int flags = kScale | kBias | kResidual | kRelu;
  // 128 × 128 tiles in three stages, or 128 × 64 in four where there are few channels or else few tiles; see
  // kernels/ai_gemm.cl and ai_wgmma.cl.
  const int tall = (pixels + 127) / 128;
  const bool narrow = run.cuda() && (channels <= 64 || tall * channels / 128 < run.info().multiprocessors);
  const int tile_n = narrow ? 64 : 128;
  const device::Kernel kernel =
      device.kernel(has_wgmma(run) ? "ai_wgmma" : "ai_gemm", narrow ? "convs" : "conv", "gemm");
  const auto blocks = static_cast<uint32_t>(tall * ((channels + tile_n - 1) / tile_n));
  const uint32_t shared = static_cast<uint32_t>(narrow ? 4 : 3) * static_cast<uint32_t>(128 + tile_n) * 128;
  const int repeats = run.pick(1, 20, 4);
  const auto seconds = run.device_seconds([&] {
    for (int i = 0; i < repeats; ++i) {
      if (run.cuda()) {
        device.launch_shared(kernel, {blocks}, {has_wgmma(run) ? 256u : 128u}, shared, in.data, weights.data, out,
                             bias.data, scale.data, residual.data, pixels, channels, k, flags, side, side, channels);
      } else {
        device.launch(kernel, {blocks}, {256}, in.data, weights.data, out, bias.data, scale.data, residual.data, pixels,
                      channels, k, flags, side, side, channels);
      }
    }
  });
  const std::string metric =
      "ai_conv_" + std::to_string(side) + "x" + std::to_string(side) + "x" + std::to_string(channels);
  run.sample({metric, "TFLOPS"}, rates(2.0 * repeats * pixels * channels * k / 1e12, seconds));

  std::vector<size_t> chosen;
  const auto area = static_cast<size_t>(side * side), image = (static_cast<size_t>(batch) - 1) * area;
  for (const size_t corner : {size_t{0}, static_cast<size_t>(side) - 1, area - static_cast<size_t>(side), area - 1}) {
    chosen.push_back(corner);
    chosen.push_back(image + corner);
  }
  for (int i = 0; i < 56; ++i) chosen.push_back(run.random()() % static_cast<uint64_t>(pixels));
  std::vector<double> reference(chosen.size() * c);
  in_parallel(c, [&](size_t n) {
    std::vector<double> row(static_cast<size_t>(k));
    for (size_t i = 0; i < row.size(); ++i) row[i] = weights.at(n * row.size() + i);
    for (size_t p = 0; p < chosen.size(); ++p) {
      const int at = static_cast<int>(chosen[p]), y = at / side % side, x = at % side;
      double sum = 0;
      for (int tap = 0; tap < 9; ++tap) {
        const int dy = tap / 3 - 1, dx = tap % 3 - 1;
        if (y + dy < 0 || y + dy >= side || x + dx < 0 || x + dx >= side) continue;
        const size_t from = static_cast<size_t>(at + dy * side + dx) * c;
        for (size_t i = 0; i < c; ++i) sum += in.at(from + i) * row[static_cast<size_t>(tap) * c + i];
      }
      const double value = sum * static_cast<double>(scale.values.exact(static_cast<uint32_t>(n))) +
                           static_cast<double>(bias.values.exact(static_cast<uint32_t>(n))) +
                           residual.at(chosen[p] * c + n);
      reference[p * c + n] = std::max(0.0, value);
    }
  });
  std::vector<float> result;
  for (const size_t pixel : chosen) {
    const auto line = download_bf16(run, out, pixel * c, c);
    result.insert(result.end(), line.begin(), line.end());
  }
  // The inputs are exact; the sum loses little, the result is rounded to bf16.
  run.check(metric, worst_error(result, reference), 1.0 / 256 + 16 * std::sqrt(k) * 0x1p-24);
}

}  // namespace

void conv_block(Run& run) {
  if (run.size() == Size::ci) {
    convolve(run, 1, 14, 64);
    convolve(run, 2, 7, 128);
    return;
  }
  const int batch = run.pick(0, 32, 256);
  convolve(run, batch, 56, 64);
  convolve(run, batch, 28, 128);
  convolve(run, batch, 14, 256);
  convolve(run, batch, 7, 512);
}

}  // namespace nm::workload::ai
