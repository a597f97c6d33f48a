// Reduction: the sum of an array. Each block of a grid that fills the device leaves a sum, and the last to finish adds
// those up (in OpenCL a second launch). Bound by memory; SHOC's largest, 64 MiB, partly by an L2 cache that holds most
// of it.
#include <algorithm>
#include <cmath>
#include <limits>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 256;

template <typename T>
void reduce(Run& run, const char* variant, const std::string& suffix) {
  device::Device& device = run.device();
  const size_t bytes = run.pick<size_t>(1 << 20, 64 << 20, size_t{1} << 30);
  const size_t n = bytes / sizeof(T);
  // Every multiprocessor full of threads, and no block to come after the others.
  const auto blocks = run.pick<uint32_t>(16, 8, 8) *
                      (run.size() == Size::ci ? 1 : static_cast<uint32_t>(std::max(1, run.info().multiprocessors)));
  const int repeats = run.pick(1, 64, 8);

  const device::PinnedMemory host = device.allocate_pinned(bytes);
  double reference = 0;
  uint64_t bits = 0;
  for (size_t i = 0; i < n; ++i) {
    bits = i % 2 == 0 ? run.random()() : bits << 32;
    const T value = static_cast<T>(static_cast<double>(bits >> 40) / (1 << 24));
    host.as<T>()[i] = value;
    reference += static_cast<double>(value);
  }
  const device::Buffer in = device.allocate(bytes), sums = device.allocate(blocks * sizeof(T)),
                       out = device.allocate(sizeof(T)), done = device.allocate(4);
  device.write(in, 0, host.data(), bytes);
  device.fill(done, 0, 0, 4);
  const device::Kernel kernel = device.kernel("reduction", variant, "reduce");
  const device::Kernel finish = run.cuda() ? device::Kernel{} : device.kernel("reduction", variant, "finish");
  const auto count = static_cast<int>(n);
  const auto launch = [&] {
    if (run.cuda()) {
      device.launch(kernel, {blocks}, {kThreads}, in, sums, out, done, count);
    } else {
      device.launch(kernel, {blocks}, {kThreads}, in, sums, count);
      device.launch(finish, {1}, {kThreads}, sums, out, static_cast<int>(blocks));
    }
  };
  T sum = 0;
  const auto verify = [&](const std::string& what) {
    device.read(out, 0, &sum, sizeof sum);
    // All numbers are positive. A number is in no more additions than a thread's running sum is long (a thread has 128
    // bytes of them), and some thirty where sums are added up.
    const double length = static_cast<double>(bytes) / (128.0 * blocks * kThreads) + 32;
    run.check(what, std::abs(static_cast<double>(sum) - reference) / reference,
              length * static_cast<double>(std::numeric_limits<T>::epsilon()));
  };

  const double gigabytes = static_cast<double>(bytes) / 1e9;
  device.fill(out, 0, 0x7fc00000, sizeof(T));
  run.sample({"reduction" + suffix, "GB/s"}, rates(gigabytes * repeats, run.device_seconds([&] {
               for (int i = 0; i < repeats; ++i) launch();
             })));
  verify("reduction" + suffix);
  device.fill(in, 0, 0, bytes);
  device.fill(out, 0, 0x7fc00000, sizeof(T));
  run.sample({"reduction" + suffix + "_pcie", "GB/s", true, true}, rates(gigabytes, run.wall_seconds([&] {
               device.write(in, 0, host.data(), bytes, false);
               launch();
               device.read(out, 0, &sum, sizeof sum);
             })));
  verify("reduction" + suffix + "_pcie");
}

}  // namespace

void reduction(Run& run) {
  reduce<float>(run, "sp", "");
  if (run.info().fp64) {
    reduce<double>(run, "dp", "_dp");
  } else {
    run.skip("reduction_dp", "The device has no double precision.");
  }
}

}  // namespace nm::workload::shoc
