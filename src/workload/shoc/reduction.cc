// Reduction: the sum of an array, in one launch that leaves a sum a block and a second that adds those. Bound by
// memory.
#include <cmath>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 256;

template <typename T>
void reduce(Run& run, const char* variant, const std::string& suffix) {
  device::Device& device = run.device();
  // SHOC's largest is 64 MB.
  const size_t bytes = run.pick<size_t>(1 << 20, 64 << 20, size_t{2} << 30);
  const size_t n = bytes / sizeof(T);
  const uint32_t blocks = run.pick<uint32_t>(16, 512, 4096);

  std::vector<T> in(n);
  double reference = 0;
  for (T& value : in) {
    value = static_cast<T>(static_cast<double>(run.random()() >> 40) / (1 << 24));
    reference += static_cast<double>(value);
  }
  const device::Buffer device_in = device.upload(in);
  const device::Buffer parts = device.allocate(blocks * sizeof(T));
  const device::Buffer out = device.allocate(sizeof(T));
  const device::Kernel kernel = device.kernel("reduction", variant, "reduce");
  T sum = 0;
  const auto launch = [&] {
    device.launch(kernel, {blocks}, {kThreads}, device_in, parts, static_cast<int>(n));
    device.launch(kernel, {1}, {kThreads}, parts, out, static_cast<int>(blocks));
  };
  const auto verify = [&] {
    device.read(out, 0, &sum, sizeof sum);
    // Sums of pairs, four running sums a thread: the error grows with the length of one running sum.
    const double length = std::max(16.0, static_cast<double>(n) / (4.0 * blocks * kThreads));
    run.check("sum" + suffix, std::abs(static_cast<double>(sum) - reference) / reference,
              length * std::numeric_limits<T>::epsilon());
  };

  const double gigabytes = static_cast<double>(bytes) / 1e9;
  run.sample({"reduction" + suffix, "GB/s"}, rates(gigabytes, run.device_seconds(launch)));
  verify();
  const device::PinnedMemory host = device.allocate_pinned(bytes);
  std::copy(in.begin(), in.end(), host.as<T>().begin());
  device.fill(device_in, 0, 0, bytes);
  device.fill(out, 0, 0, sizeof(T) / 4 * 4);
  run.sample({"reduction" + suffix + "_pcie", "GB/s", true, true}, rates(gigabytes, run.wall_seconds([&] {
               device.write(device_in, 0, host.data(), bytes, false);
               launch();
               device.read(out, 0, &sum, sizeof sum);
             })));
  verify();
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
