#include "workload/ai/tensor.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

namespace nm::workload::ai {
namespace {

Tensor random(Run& run, size_t count, float scale, const char* function, size_t bytes) {
  const Uniform values{static_cast<uint32_t>(run.random()()), scale};
  Tensor tensor{run.device().allocate(count * bytes), values};
  const auto blocks = static_cast<uint32_t>(std::min<size_t>((count + 255) / 256, 4096));
  run.device().launch(run.device().kernel("ai_init", "sp", function), {blocks}, {256}, tensor.data,
                      static_cast<uint32_t>(count), values.seed, scale);
  return tensor;
}

}  // namespace

Tensor random_bf16(Run& run, size_t count, float scale) { return random(run, count, scale, "random_bf16", 2); }
Tensor random_float(Run& run, size_t count, float scale) { return random(run, count, scale, "random_float", 4); }

device::Buffer poisoned(Run& run, size_t bytes) {
  device::Buffer buffer = run.device().allocate((bytes + 3) / 4 * 4);
  run.device().fill(buffer, 0, 0x7fc07fc0u, buffer.bytes());  // NaN as a float, and twice as a bf16
  return buffer;
}

std::vector<float> download_bf16(Run& run, const device::Buffer& buffer, size_t offset, size_t count) {
  std::vector<uint16_t> raw(count);
  run.device().read(buffer, offset * 2, raw.data(), count * 2);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = from_bf16(raw[i]);
  return values;
}
std::vector<float> download_float(Run& run, const device::Buffer& buffer, size_t offset, size_t count) {
  std::vector<float> values(count);
  run.device().read(buffer, offset * 4, values.data(), count * 4);
  return values;
}

double worst_error(const std::vector<float>& result, const std::vector<double>& reference) {
  if (result.size() != reference.size() || result.empty()) return std::numeric_limits<double>::infinity();
  double square = 0;
  for (const double r : reference) square += r * r;
  const double level = std::sqrt(square / static_cast<double>(reference.size()));
  double worst = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    const double error = std::abs(static_cast<double>(result[i]) - reference[i]) / (std::abs(reference[i]) + level);
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return worst;
}

void in_parallel(size_t n, const std::function<void(size_t)>& work) {
  const size_t count = std::min<size_t>(n, std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<size_t> next = 0;
  const auto some = [&] {
    for (size_t i = next++; i < n; i = next++) work(i);
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < count; ++i) threads.emplace_back(some);
  some();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace nm::workload::ai
