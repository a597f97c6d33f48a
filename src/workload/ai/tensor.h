// Tensors of the deep-learning programs: bf16 on the host, random tensors made on the device that the host can make
// again element by element, and how far a result is from its reference.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <vector>

#include "workload/program.h"

namespace nm::workload::ai {

inline float from_bf16(uint16_t b) { return std::bit_cast<float>(uint32_t{b} << 16); }
// To the nearest, ties to even.
inline uint16_t to_bf16(float f) {
  const auto u = std::bit_cast<uint32_t>(f);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

// Numbers from -scale to scale: element i is a function of seed and i alone, the same here and in kernels/ai_init.cl.
struct Uniform {
  uint32_t seed;
  float scale;

  float exact(uint32_t i) const {
    uint32_t h = i * 0x9e3779b1u ^ seed;
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return static_cast<float>(static_cast<int>(h >> 8) - 8388608) * (1.0f / 8388608.0f) * scale;
  }
  float bf16(uint32_t i) const { return from_bf16(to_bf16(exact(i))); }
};

// A bf16 tensor on the device and the numbers in it.
struct Tensor {
  device::Buffer data;
  Uniform values;
  double at(size_t i) const { return static_cast<double>(values.bf16(static_cast<uint32_t>(i))); }
};
Tensor random_bf16(Run& run, size_t count, float scale);
Tensor random_float(Run& run, size_t count, float scale);  // at() is not for these: values.exact() is

device::Buffer poisoned(Run& run, size_t bytes);
std::vector<float> download_bf16(Run& run, const device::Buffer& buffer, size_t offset, size_t count);
std::vector<float> download_float(Run& run, const device::Buffer& buffer, size_t offset, size_t count);

// The largest |a − b| / (|b| + root mean square of b): one wrong element shows, wherever it is. Infinite where a number
// is NaN or the lengths differ.
double worst_error(const std::vector<float>& result, const std::vector<double>& reference);

// The sum of a[i] · b[i]. Eight sums side by side: compilers make vectors of them.
template <typename A, typename B>
double dot(const A* a, const B* b, size_t n) {
  double sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (size_t e = 0; e < 8; ++e) sums[e] += static_cast<double>(a[i + e]) * static_cast<double>(b[i + e]);
  }
  for (; i < n; ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// work(i) for every i < n, on all of the host's cores.
void in_parallel(size_t n, const std::function<void(size_t)>& work);

}  // namespace nm::workload::ai
