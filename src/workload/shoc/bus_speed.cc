// BusSpeedDownload and BusSpeedReadback: copies of 1 KiB to 64 MiB between page-locked host memory and the device, each
// timed by the device's clock between marks around it. Bound by the bus and, for the small ones, by what starting a
// copy costs. SHOC's one figure is the best rate over the sizes; the whole curve is here as a series.
#include <algorithm>

#include "workload/pattern.h"
#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

std::string text_of(size_t bytes) {
  return bytes >= 1 << 20 ? std::to_string(bytes >> 20) + "MiB" : std::to_string(bytes >> 10) + "KiB";
}

void measure(Run& run, bool to_device, const std::string& metric) {
  device::Device& device = run.device();
  const size_t largest = run.pick<size_t>(1 << 20, 64 << 20, 512 << 20);
  const device::PinnedMemory host = device.allocate_pinned(largest);
  const device::Buffer buffer = device.allocate(largest);
  const auto salt = static_cast<uint32_t>(run.random()());
  // The data is where the copy begins, and nothing like it where it ends.
  if (to_device) {
    fill_pattern(host.as<uint32_t>(), salt);
    device.fill(buffer, 0, 0xdeadbeef, largest);
  } else {
    device.launch(device.kernel("pattern", "u32", "fill_pattern"), {256}, {256}, buffer,
                  static_cast<uint32_t>(largest / 4), salt);
    std::fill(host.as<uint32_t>().begin(), host.as<uint32_t>().end(), 0xdeadbeef);
  }
  device.finish();

  std::vector<double> best;
  for (size_t bytes = 1 << 10; bytes <= largest; bytes *= 2) {
    const std::vector<double> speeds = rates(static_cast<double>(bytes) / 1e9, run.device_seconds([&] {
      if (to_device) {
        device.write(buffer, 0, host.data(), bytes, false);
      } else {
        device.read(buffer, 0, host.data(), bytes, false);
      }
    }));
    run.sample(
        Figure{metric + "/" + text_of(bytes), "GB/s", true, true, metric, static_cast<double>(bytes), "B"}.as_detail(),
        speeds);
    best.resize(speeds.size());
    for (size_t i = 0; i < speeds.size(); ++i) best[i] = std::max(best[i], speeds[i]);
  }
  run.sample({metric, "GB/s", true, true}, best);

  size_t wrong = 0;
  if (to_device) {
    const device::Buffer found = device.allocate(4);
    device.fill(found, 0, 0, 4);
    device.launch(device.kernel("pattern", "u32", "count_wrong"), {256}, {256}, buffer, found,
                  static_cast<uint32_t>(largest / 4), salt);
    wrong = device.download<uint32_t>(found, 1)[0];
  } else {
    wrong = count_wrong(host.as<uint32_t>(), salt);
  }
  run.check(metric + ": wrong words", static_cast<double>(wrong), 0);
}

}  // namespace

void bus_speed_download(Run& run) { measure(run, true, "bspeed_download"); }
void bus_speed_readback(Run& run) { measure(run, false, "bspeed_readback"); }

}  // namespace nm::workload::shoc
