// Triad: a = b + s * c over data on the host, in blocks whose transfers and kernels follow each other in one stream, as
// SHOC has it: the rate is that of the way to the device and back.
#include "workload/shoc/programs.h"

namespace nm::workload::shoc {

void triad(Run& run) {
  device::Device& device = run.device();
  constexpr uint32_t kThreads = 128;
  constexpr float kScale = 1.75f;
  // SHOC: blocks of 64 KiB to 16 MiB of a problem of 16 MiB.
  const size_t total = run.pick<size_t>(1 << 20, 16 << 20, 256 << 20);
  const size_t n = total / sizeof(float);
  const device::PinnedMemory b = device.allocate_pinned(total), c = device.allocate_pinned(total),
                             a = device.allocate_pinned(total);
  for (size_t i = 0; i < n; ++i) {
    b.as<float>()[i] = static_cast<float>(run.random()() >> 40) / (1 << 24);
    c.as<float>()[i] = static_cast<float>(run.random()() >> 40) / (1 << 24);
  }
  const device::Kernel kernel = device.kernel("triad", "sp", "triad");
  const size_t block = run.pick<size_t>(256 << 10, 16 << 20, 64 << 20);
  const device::Buffer device_b = device.allocate(block), device_c = device.allocate(block),
                       device_a = device.allocate(block);
  const auto values = static_cast<int>(block / sizeof(float));
  std::fill(a.as<float>().begin(), a.as<float>().end(), -1.0f);
  const auto seconds = run.wall_seconds([&] {
    for (size_t at = 0; at < total; at += block) {
      device.write(device_b, 0, static_cast<const char*>(b.data()) + at, block, false);
      device.write(device_c, 0, static_cast<const char*>(c.data()) + at, block, false);
      device.launch(kernel, {static_cast<uint32_t>((values + kThreads - 1) / kThreads)}, {kThreads}, device_b, device_c,
                    device_a, kScale, values);
      device.read(device_a, 0, static_cast<char*>(a.data()) + at, block, false);
    }
    device.finish();
  });
  run.sample({"triad_bw", "GB/s", true, true}, rates(3.0 * static_cast<double>(total) / 1e9, seconds));

  std::vector<double> reference(n);
  for (size_t i = 0; i < n; ++i) {
    reference[i] =
        static_cast<double>(b.as<float>()[i]) + static_cast<double>(kScale) * static_cast<double>(c.as<float>()[i]);
  }
  run.check("triad", largest_error(std::vector<float>(a.as<float>().begin(), a.as<float>().end()), reference), 1e-6);
}

}  // namespace nm::workload::shoc
