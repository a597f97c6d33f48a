// QueueDelay: four kernels that do nothing, queued at once, the same four times, two in turn, or four; how long each
// one waits between being handed to the device and its start, on average, in ms as SHOC has it (ocl_queue: the best of
// the three). Also how long the device is idle between two of them. Bound by the driver and the device's front end.
//
// OpenCL's events tell when a kernel was handed over and when it started. CUDA's do not: there the delay is the time
// between events recorded right before and right behind a launch, which has the kernel's own microsecond in it, and the
// idle time is not to be had.
#include <algorithm>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {

void queue_delay(Run& run) {
  device::Device& device = run.device();
  constexpr int kLaunches = 4;
  constexpr device::Size3 kBlocks{256}, kBlock{256};
  const int repeats = run.pick(4, 32, 32);
  const char* const names[] = {"one", "two", "three", "four"};
  const device::Buffer counters = device.allocate(kLaunches * 4);
  device.fill(counters, 0, 0, counters.bytes());
  device::Kernel kernels[kLaunches];
  for (int i = 0; i < kLaunches; ++i) kernels[i] = device.kernel("latency", "plain", names[i]);

  std::vector<double> best;
  int64_t launched[kLaunches] = {};
  for (const int different : {1, 2, 4}) {
    std::vector<device::Kernel> turn;
    for (int i = 0; i < kLaunches; ++i) turn.push_back(kernels[i % different]);
    std::vector<double> delays, gaps;
    for (int pass = -1; pass < run.passes(); ++pass) {
      double delay = 0, gap = 0;
      for (int repeat = 0; repeat < repeats; ++repeat) {
        for (int i = 0; i < kLaunches; ++i) ++launched[i % different];
        if (run.cuda()) {
          std::vector<std::unique_ptr<device::Mark>> before, behind;
          for (const device::Kernel& kernel : turn) {
            before.push_back(device.mark());
            device.launch(kernel, kBlocks, kBlock, counters);
            behind.push_back(device.mark());
          }
          for (int i = 0; i < kLaunches; ++i) delay += device.seconds_between(*before[i], *behind[i]);
        } else {
          const std::vector<device::LaunchTimes> times = device.launch_recorded(turn, kBlocks, kBlock, counters);
          for (const device::LaunchTimes& t : times) delay += t.started - t.submitted;
          for (int i = 1; i < kLaunches; ++i) gap += times[i].started - times[i - 1].ended;
        }
      }
      if (pass < 0) continue;
      delays.push_back(1e3 * delay / (repeats * kLaunches));
      gaps.push_back(1e3 * gap / (repeats * (kLaunches - 1)));
    }
    const std::string kind = std::to_string(different) + (different == 1 ? "_kernel" : "_kernels");
    run.sample(Figure{"SSDelay/" + kind, "ms", false}.as_detail(), delays);
    if (!run.cuda()) run.sample(Figure{"IdleDelay/" + kind, "ms", false}.as_detail(), gaps);
    best.resize(delays.size(), delays.front());
    for (size_t i = 0; i < delays.size(); ++i) best[i] = different == 1 ? delays[i] : std::min(best[i], delays[i]);
  }
  if (run.cuda()) run.skip("IdleDelay", "CUDA does not tell when a kernel started and ended.");
  run.sample({"ocl_queue", "ms", false}, best);
  const std::vector<int> counted = device.download<int>(counters, kLaunches);
  for (int i = 0; i < kLaunches; ++i) {
    run.check(std::string("launches of kernel ") + names[i], static_cast<double>(std::abs(counted[i] - launched[i])),
              0);
  }
}

}  // namespace nm::workload::shoc
