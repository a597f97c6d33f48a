#include "workload/ai/gemm.h"

namespace nm::workload::ai {
namespace {

int ceil_div(int a, int b) { return (a + b - 1) / b; }

}  // namespace

bool has_wgmma(const Run& run) {
  return run.cuda() && run.info().compute_major == 9 && run.info().compute_minor == 0 && !run.info().is_cpu;
}

Gemm::Gemm(Run& run, std::string_view precision) : device_(run.device()), multiprocessors_(run.info().multiprocessors) {
  const bool bf16 = precision.starts_with("bf16");
  if (!run.cuda() || precision == "fp32") {
    large_ = small_ = {"ai_gemm", std::string(precision), 128, 128, 256, 0, {}};
    // Its shared memory: three slices, 16 deep, of A and of B (kernels/gemm_tile.h).
    if (run.cuda()) square_ = {"gemm", "sp", 128, 128, 128, 3 * 2 * 16 * (128 + 4) * 4, {}};
    return;
  }
  wgmma_ = (precision == "bf16" || precision == "tf32") && has_wgmma(run);
  constexpr uint32_t kStages = 4, kRowBytes = 128;
  large_ = {wgmma_ ? "ai_wgmma" : "ai_gemm",
            bf16 ? "bf16" : std::string(precision),
            128,
            256,
            256,
            kStages * (128 + 256) * kRowBytes,
            {}};
  small_ = large_;
  if (bf16) small_ = {"ai_gemm", "bf16s", 64, 128, 128, kStages * (64 + 128) * kRowBytes, {}};
}

// Waves of blocks over the multiprocessors, by what a wave of each tile takes: two small tiles share a multiprocessor
// and are half a large one's work, at about four fifths of its speed, or six tenths of wgmma's.
Gemm::Tile& Gemm::choose(int m, int n) {
  const int large = ceil_div(ceil_div(m, large_.m) * ceil_div(n, large_.n), multiprocessors_);
  const int small = ceil_div(ceil_div(m, small_.m) * ceil_div(n, small_.n), 2 * multiprocessors_);
  return (wgmma_ ? 0.83 : 0.625) * small < large ? small_ : large_;
}

void Gemm::operator()(const device::Buffer& a, const device::Buffer& b, const device::Buffer& c, int m, int n, int k,
                      int flags, const GemmExtras& extras) {
  if (square_.threads && m == n && n == k && n % square_.n == 0 && flags == kFloatOut) {
    if (!square_.kernel.handle) square_.kernel = device_.kernel(square_.source, square_.variant, "gemm_t");
    const auto across = static_cast<uint32_t>(n / square_.n);
    device_.launch_shared(square_.kernel, {across, across}, {square_.threads}, square_.shared_bytes, a, b, c, 1.0f,
                          0.0f, n);
    return;
  }
  Tile& tile = choose(m, n);
  if (!tile.kernel.handle) tile.kernel = device_.kernel(tile.source, tile.variant, "gemm");
  const auto blocks = static_cast<uint32_t>(ceil_div(m, tile.m) * ceil_div(n, tile.n));
  const device::Buffer& bias = extras.bias ? *extras.bias : c;
  const device::Buffer& scale = extras.scale ? *extras.scale : c;
  const device::Buffer& residual = extras.residual ? *extras.residual : c;
  if (tile.shared_bytes) {
    device_.launch_shared(tile.kernel, {blocks}, {tile.threads}, tile.shared_bytes, a, b, c, bias, scale, residual, m,
                          n, k, flags);
  } else {
    device_.launch(tile.kernel, {blocks}, {tile.threads}, a, b, c, bias, scale, residual, m, n, k, flags);
  }
}

}  // namespace nm::workload::ai
