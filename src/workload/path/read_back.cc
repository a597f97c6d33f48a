// ReadBack: a launch, and the host reads the four bytes that it leaves: what frameworks do for every scalar that a
// program looks at (`.item()`). Bound by latencies only: one launch, one small copy, one wait.
#include "workload/path/programs.h"
#include "workload/timing.h"

namespace nm::workload::path {

void read_back(Run& run) {
  device::Device& device = run.device();
  const int calls = run.pick(64, 256, 256);
  const device::Kernel kernel = device.kernel("latency", "plain", "store");
  const device::Buffer out = device.allocate(4);
  const device::PinnedMemory pinned = device.allocate_pinned(4);
  int pageable = 0, expected = static_cast<int>(run.random()() & 0xffff);
  for (const bool pin : {false, true}) {
    int& value = pin ? pinned.as<int>()[0] : pageable;
    value = -1;
    int wrong = 0;
    run.sample({pin ? "read_back_pinned" : "read_back_pageable", "us", false, true}, each_pass(run.passes(), [&] {
                 std::vector<double> each;
                 for (int i = 0; i < calls; ++i) {
                   ++expected;
                   each.push_back(seconds_of([&] {
                     device.launch(kernel, {1}, {1}, out, expected);
                     device.read(out, 0, &value, sizeof value);
                   }));
                   wrong += value != expected;
                 }
                 return 1e6 * median(each);
               }));
    run.check(std::string("values read back, ") + (pin ? "pinned" : "pageable") + ": wrong", wrong, 0);
  }
}

}  // namespace nm::workload::path
