// PointerChase: one thread goes round a random ring of nodes, each load's address being the value of the one before:
// the latency of the device's memory, by how much memory the ring lies in. Bound by that latency, and, beyond the
// caches, by the reach of the address translation. Nodes are 256 bytes apart, so that none shares a sector of memory
// with another.
#include <numeric>

#include "workload/path/programs.h"

namespace nm::workload::path {

void pointer_chase(Run& run) {
  device::Device& device = run.device();
  constexpr uint32_t kSpacing = 64;  // words
  const int steps = run.pick(2000, 20000, 20000);
  const size_t largest = run.pick<size_t>(1 << 20, 64 << 20, 1 << 30);
  const device::Kernel chase = device.kernel("chase", "plain", "chase");
  const device::Kernel lay_out = device.kernel("chase", "plain", "lay_out");
  const device::Buffer memory = device.allocate(largest), out = device.allocate(4);
  for (size_t bytes = 16 << 10; bytes <= largest; bytes *= 4) {
    const auto n = static_cast<uint32_t>(bytes / (kSpacing * 4));
    // Sattolo's shuffle: a permutation that is one ring.
    std::vector<uint32_t> next(n);
    std::iota(next.begin(), next.end(), 0);
    for (uint32_t i = n - 1; i > 0; --i) std::swap(next[i], next[run.random()() % i]);
    const device::Buffer device_next = device.upload(next);
    device.fill(memory, 0, 0, bytes);
    device.launch(lay_out, {64}, {256}, device_next, memory, n, kSpacing);

    // Where one walk ended the next begins: a ring larger than the caches is not met there again.
    uint32_t at = 0, host_at = 0;
    int wrong = 0;
    const auto walk = [&](int length) {
      device.fill(out, 0, 0xffffffff, 4);
      const auto begin = device.mark();
      device.launch(chase, {1}, {1}, memory, out, at, length);
      const auto end = device.mark();
      const double seconds = device.seconds_between(*begin, *end);
      at = device.download<uint32_t>(out, 1)[0];
      for (int i = 0; i < length; ++i) host_at = next[host_at];
      wrong += at != host_at * kSpacing;
      return seconds;
    };
    // Once round, so that what fits into a cache is there.
    walk(static_cast<int>(std::min<uint32_t>(n, 1 << 18)));
    std::vector<double> nanoseconds;
    for (int pass = 0; pass < run.passes() && wrong == 0; ++pass) nanoseconds.push_back(1e9 * walk(steps) / steps);
    run.check("ring of " + text_of(bytes) + ": walks that ended elsewhere", wrong, 0);
    if (wrong == 0) {
      run.sample({"chase/" + text_of(bytes), "ns", false, false, "chase", static_cast<double>(bytes), "B"},
                 nanoseconds);
    }
  }
}

}  // namespace nm::workload::path
