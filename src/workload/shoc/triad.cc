// Triad: a = b + s * c over data on the host, in blocks that go to the device, are computed and come back, on two
// streams in turns: one block's transfers overlap the other's. Bound by the bus, small blocks by what it takes to start
// a transfer. SHOC's figure is that of the best block size of 64 KiB to 16 MiB.
#include <algorithm>
#include <cmath>
#include <limits>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 128;
constexpr float kScale = 1.75f;

// A stream, and buffers for the block that is on its way through it.
struct Lane {
  device::Device& device;
  device::Kernel kernel;
  device::Buffer b, c, a;

  Lane(device::Device& on, size_t block)
      : device(on),
        kernel(on.kernel("triad", "sp", "triad")),
        b(on.allocate(block)),
        c(on.allocate(block)),
        a(on.allocate(block)) {}
};

std::string size_name(size_t bytes) {
  return bytes >= 1 << 20 ? std::to_string(bytes >> 20) + "MiB" : std::to_string(bytes >> 10) + "KiB";
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

void triad(Run& run) {
  device::Device& device = run.device();
  // SHOC's problem has 16 MiB, as has its largest block.
  const size_t total = run.pick<size_t>(1 << 20, 16 << 20, 256 << 20);
  const size_t largest = run.pick<size_t>(1 << 20, 16 << 20, 64 << 20);
  const size_t n = total / sizeof(float);
  const std::unique_ptr<device::Device> second = device.again();
  {
    Lane lanes[] = {Lane(device, largest), Lane(*second, largest)};
    const device::PinnedMemory pinned_b = device.allocate_pinned(total), pinned_c = device.allocate_pinned(total),
                               pinned_a = device.allocate_pinned(total);
    const auto b = pinned_b.as<float>(), c = pinned_c.as<float>(), a = pinned_a.as<float>();
    for (size_t i = 0; i < n; ++i) {
      const uint64_t bits = run.random()();
      b[i] = static_cast<float>(bits >> 40) / (1 << 24), c[i] = static_cast<float>(bits & 0xffffff) / (1 << 24);
    }
    std::vector<double> best;
    for (size_t block = 64 << 10; block <= largest; block *= run.pick(4, 2, 2)) {
      std::fill(a.begin(), a.end(), -1.0f);
      const auto values = static_cast<int>(block / sizeof(float));
      const auto seconds = run.wall_seconds([&] {
        for (size_t i = 0; i * block < total; ++i) {
          Lane& lane = lanes[i % 2];
          const size_t at = i * static_cast<size_t>(values);
          lane.device.write(lane.b, 0, &b[at], block, false);
          lane.device.write(lane.c, 0, &c[at], block, false);
          lane.device.launch(lane.kernel, {static_cast<uint32_t>((values + kThreads - 1) / kThreads)}, {kThreads},
                             lane.b, lane.c, lane.a, kScale, values);
          lane.device.read(lane.a, 0, &a[at], block, false);
          lane.device.flush();
        }
        second->finish();
        device.finish();
      });
      const auto bandwidth = rates(3.0 * static_cast<double>(total) / 1e9, seconds);
      run.sample(Figure{"triad_bw/" + size_name(block), "GB/s", true, true, "triad_bw", static_cast<double>(block), "B"}
                     .as_detail(),
                 bandwidth);
      if (best.empty() || median(bandwidth) > median(best)) best = bandwidth;

      double worst = 0;
      for (size_t i = 0; i < n; ++i) {
        const double right = static_cast<double>(b[i]) + static_cast<double>(kScale) * static_cast<double>(c[i]);
        const double error = std::abs(static_cast<double>(a[i]) - right);
        if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      }
      // One or two roundings of numbers below 4.
      run.check("triad in blocks of " + size_name(block), worst, 4e-7);
    }
    run.sample({"triad_bw", "GB/s", true, true}, best);
  }
}

}  // namespace nm::workload::shoc
