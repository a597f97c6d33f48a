// DeviceTriad: the five kernels of McCalpin's STREAM as BabelStream has them, over arrays of doubles in device memory:
// copy c = a, mul b = s c, add c = a + b, triad a = b + s c, dot a · b. Bound by the device's memory; `shoc` is
// BabelStream's own size, `gpu` more than any cache holds.
//
// Each kernel gives the same when it is repeated, so the arrays at the end follow from the values at the beginning, bit
// for bit: nothing is rounded but what IEEE 754 says. Only the dot product depends on an order.
#include <algorithm>
#include <cmath>
#include <limits>

#include "workload/path/programs.h"
#include "workload/pattern.h"

namespace nm::workload::path {
namespace {

constexpr double kScale = 0.4;
constexpr uint32_t kThreads = 256, kPerThread = 4;  // kernels/stream.cl's
struct Values {
  double a, b, c;
};
Values expected(uint32_t i, uint32_t salt) {
  Values v{};
  const double first = 0.5 + static_cast<double>(pattern_word(i, salt)) / 4294967296.0;
  v.b = first * kScale;
  v.c = first + v.b;
  v.a = std::fma(kScale, v.c, v.b);
  return v;
}

}  // namespace

void device_triad(Run& run) {
  if (!run.info().fp64) throw device::Unsupported("The device has no double precision.");
  device::Device& device = run.device();
  const uint32_t n = run.pick<uint32_t>(1 << 17, 1 << 25, 1 << 27);
  const int repeats = run.pick(1, 20, 10);
  const size_t bytes = size_t{n} * sizeof(double);
  const device::Buffer a = device.allocate(bytes), b = device.allocate(bytes), c = device.allocate(bytes);
  const auto salt = static_cast<uint32_t>(run.random()());
  device.fill(b, 0, 0xffffffff, bytes);  // NaN
  device.fill(c, 0, 0xffffffff, bytes);
  device.launch(device.kernel("stream", "dp", "fill"), {1024}, {kThreads}, a, n, salt);

  const device::Size3 blocks{n / (2 * kThreads * kPerThread)}, threads{kThreads};
  const auto measure = [&](const char* name, int arrays, const auto&... arguments) {
    const device::Kernel kernel = device.kernel("stream", "dp", name);
    run.sample({std::string("stream_") + name, "GB/s"},
               rates(static_cast<double>(bytes) * arrays * repeats / 1e9, run.device_seconds([&] {
                 for (int i = 0; i < repeats; ++i) device.launch(kernel, blocks, threads, arguments...);
               })));
  };
  measure("copy", 2, a, c);
  measure("mul", 2, b, c, kScale);
  measure("add", 3, a, b, c);
  measure("triad", 3, a, b, c, kScale);

  const uint32_t sums = run.pick<uint32_t>(16, 1024, 1024);
  const device::Buffer parts = device.allocate(sums * sizeof(double));
  device.fill(parts, 0, 0xffffffff, parts.bytes());
  const device::Kernel dot = device.kernel("stream", "dp", "dot_product");
  run.sample({"stream_dot", "GB/s"}, rates(static_cast<double>(bytes) * 2 * repeats / 1e9, run.device_seconds([&] {
               for (int i = 0; i < repeats; ++i) device.launch(dot, {sums}, threads, a, b, parts, n / 2);
             })));
  long double sum = 0, reference = 0;
  for (const double part : device.download<double>(parts, sums)) sum += part;
  for (uint32_t i = 0; i < n; ++i) {
    const Values v = expected(i, salt);
    reference += static_cast<long double>(v.a) * v.b;
  }
  // All terms are positive; a thread has four running sums, whose length bounds the relative error; then come pairs.
  const double length = static_cast<double>(n) / (4.0 * sums * kThreads) + 16;
  run.check("dot", static_cast<double>(std::abs(sum - reference) / reference),
            length * std::numeric_limits<double>::epsilon());

  // All of small arrays; of large ones both ends and pieces in between.
  const uint32_t piece = std::min<uint32_t>(n, 1 << 14);
  size_t wrong[3] = {};
  const int pieces = n <= 1 << 20 ? static_cast<int>(n / piece) : 64;
  for (int i = 0; i < pieces; ++i) {
    const uint32_t first = n <= 1 << 20 || i == 0 ? static_cast<uint32_t>(i) * piece
                           : i == 1               ? n - piece
                                                  : static_cast<uint32_t>(run.random()() % (n - piece));
    std::vector<double> values(piece);
    const auto compare = [&](const device::Buffer& array, double Values::*member) {
      device.read(array, size_t{first} * sizeof(double), values.data(), piece * sizeof(double));
      size_t count = 0;
      for (uint32_t k = 0; k < piece; ++k) count += !(values[k] == expected(first + k, salt).*member);
      return count;
    };
    wrong[0] += compare(a, &Values::a), wrong[1] += compare(b, &Values::b), wrong[2] += compare(c, &Values::c);
  }
  run.check("triad: wrong values of a", static_cast<double>(wrong[0]), 0);
  run.check("mul: wrong values of b", static_cast<double>(wrong[1]), 0);
  run.check("add: wrong values of c", static_cast<double>(wrong[2]), 0);
}

}  // namespace nm::workload::path
