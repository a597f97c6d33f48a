// LaunchLatency: what it costs to launch a kernel that does nothing: launched and waited for, one by one; many in a
// row; the host's part of it alone. Bound by the driver on the host and the device's front end.
//
// In a row, both ways: unblocked, where the host queues while the device already works, so the slower of the two is
// seen; and blocked, where a kernel holds the stream until all are queued (hold.h), so the device alone is seen. A
// blocked figure by itself would hide what queueing costs.
#include <cstdlib>

#include "workload/path/hold.h"
#include "workload/path/programs.h"
#include "workload/timing.h"

namespace nm::workload::path {

void launch_latency(Run& run) {
  device::Device& device = run.device();
  const int calls = run.pick(64, 256, 256), rows = run.pick(1, 8, 8);
  const device::Kernel kernel = device.kernel("latency", "plain", "count_1");
  const device::Buffer counter = device.allocate(4);
  device.fill(counter, 0, 0, 4);
  const auto launch = [&](int by) { device.launch(kernel, {1}, {1}, counter, by); };
  const auto counted = [&] { return device.download<int>(counter, 1)[0]; };

  run.sample({"launch_sync", "us", false}, each_pass(run.passes(), [&] {
               std::vector<double> each;
               for (int i = 0; i < calls; ++i) {
                 each.push_back(seconds_of([&] {
                   launch(0);
                   device.finish();
                 }));
               }
               return 1e6 * median(each);
             }));

  std::vector<double> issue, stream;
  for (int pass = -1; pass < run.passes(); ++pass) {
    std::vector<double> issues, totals;
    for (int row = 0; row < rows; ++row) {
      double issued = 0;
      totals.push_back(seconds_of([&] {
        issued = seconds_of([&] {
          for (int i = 0; i < calls; ++i) launch(0);
          device.flush();
        });
        device.finish();
      }));
      issues.push_back(issued);
    }
    if (pass < 0) continue;
    issue.push_back(1e6 * median(issues) / calls);
    stream.push_back(1e6 * median(totals) / calls);
  }
  run.sample({"launch_issue", "us", false}, issue);
  run.sample({"launch_stream_unblocked", "us", false}, stream);

  for (int i = 0; i < calls; ++i) launch(1);
  run.check("launches that ran, unblocked", std::abs(counted() - calls), 0);
  if (!run.cuda()) {
    run.skip("launch_stream_blocked", "Holding a queue is written for CUDA only.");
    return;
  }

  Hold hold(device);
  const auto blocked = [&](int by, double& issued) {
    hold.begin();
    const auto begin = device.mark();
    issued = seconds_of([&] {
      for (int i = 0; i < calls; ++i) launch(by);
    });
    const auto end = device.mark();
    hold.release();
    return device.seconds_between(*begin, *end);
  };
  std::vector<double> issue_blocked, stream_blocked;
  for (int pass = -1; pass < run.passes(); ++pass) {
    std::vector<double> issues, totals;
    for (int row = 0; row < rows; ++row) {
      double issued = 0;
      totals.push_back(blocked(0, issued));
      issues.push_back(issued);
    }
    if (pass < 0) continue;
    issue_blocked.push_back(1e6 * median(issues) / calls);
    stream_blocked.push_back(1e6 * median(totals) / calls);
  }
  run.sample({"launch_issue_blocked", "us", false}, issue_blocked);
  run.sample({"launch_stream_blocked", "us", false}, stream_blocked);
  double unused = 0;
  blocked(1, unused);
  run.check("launches that ran, blocked", std::abs(counted() - 2 * calls), 0);
  run.check("the stream was held until all launches were queued", !hold.failed());
}

}  // namespace nm::workload::path
