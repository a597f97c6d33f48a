// Sort: pairs of a 32-bit key and a 32-bit value by radix sort, eight bits a pass on CUDA, four in OpenCL. Bound by
// memory and by how fast threads rank keys. SHOC counts each pair once, however often it is moved; its own takes eight
// passes of four bits.
#include <algorithm>
#include <chrono>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 256;

class Sort {
 public:
  Sort(Run& run, size_t n) : device_(run.device()), cuda_(run.cuda()), n_(static_cast<int>(n)) {
    other_keys_ = device_.allocate(n * 4), other_values_ = device_.allocate(n * 4);
    const auto multiprocessors = static_cast<uint32_t>(std::max(1, run.info().multiprocessors));
    if (cuda_) {
      constexpr uint32_t kTile = 16 * kThreads;
      blocks_ = static_cast<uint32_t>((n + kTile - 1) / kTile);
      histogram_ = device_.kernel("sort", "u32", "sort_histogram");
      starts_ = device_.kernel("sort", "u32", "sort_starts");
      sweep_ = device_.kernel("sort", "u32", "sort_sweep");
      histogram_blocks_ = std::min(blocks_, 8 * multiprocessors);
      counts_ = device_.allocate(4 * 256 * 4);
      for (device::Buffer& state : states_) state = device_.allocate((1 + size_t{blocks_} * 256) * 4);
      return;
    }
    constexpr uint32_t kTile = 4 * kThreads;
    const uint32_t tiles = static_cast<uint32_t>((n + kTile - 1) / kTile), wanted = 8 * multiprocessors;
    chunk_ = static_cast<int>((tiles + wanted - 1) / wanted * kTile);
    blocks_ = static_cast<uint32_t>((n + static_cast<size_t>(chunk_) - 1) / static_cast<size_t>(chunk_));
    count_ = device_.kernel("sort", "u32", "sort_count");
    scan_ = device_.kernel("sort", "u32", "sort_scan");
    scatter_ = device_.kernel("sort", "u32", "sort_scatter");
    counts_ = device_.allocate(size_t{blocks_} * 16 * 4);
  }

  // In place. The number of passes is even, so that the last one ends where the first began.
  void launch(const device::Buffer& keys, const device::Buffer& values) {
    const device::Buffer* key_buffers[] = {&keys, &other_keys_};
    const device::Buffer* value_buffers[] = {&values, &other_values_};
    if (cuda_) {
      device_.fill(counts_, 0, 0, counts_.bytes());
      for (device::Buffer& state : states_) device_.fill(state, 0, 0, state.bytes());
      device_.launch(histogram_, {histogram_blocks_}, {kThreads}, keys, counts_, n_);
      device_.launch(starts_, {4}, {kThreads}, counts_);
      for (int pass = 0; pass < 4; ++pass) {
        const int from = pass % 2, to = 1 - from;
        device_.launch(sweep_, {blocks_}, {kThreads}, *key_buffers[from], *value_buffers[from], *key_buffers[to],
                       *value_buffers[to], counts_, states_[pass], n_, 8 * pass);
      }
      return;
    }
    for (int pass = 0; pass < 8; ++pass) {
      const int from = pass % 2, to = 1 - from, shift = 4 * pass;
      device_.launch(count_, {blocks_}, {kThreads}, *key_buffers[from], counts_, n_, chunk_, shift);
      device_.launch(scan_, {1}, {kThreads}, counts_, static_cast<int>(16 * blocks_));
      device_.launch(scatter_, {blocks_}, {kThreads}, *key_buffers[from], *value_buffers[from], *key_buffers[to],
                     *value_buffers[to], counts_, n_, chunk_, shift);
    }
  }

 private:
  device::Device& device_;
  bool cuda_;
  int n_, chunk_ = 0;
  uint32_t blocks_ = 0, histogram_blocks_ = 0;
  device::Kernel histogram_, starts_, sweep_, count_, scan_, scatter_;
  device::Buffer other_keys_, other_values_, counts_, states_[4];
};

}  // namespace

void sort(Run& run) {
  device::Device& device = run.device();
  // SHOC's largest has 96 MiB of keys and as many of values. Not a whole number of tiles at ci.
  const size_t bytes = run.pick<size_t>((128 << 10) + 444, 96 << 20, 256 << 20), n = bytes / 4;
  const device::PinnedMemory host_in = device.allocate_pinned(bytes), host_places = device.allocate_pinned(bytes),
                             host_keys = device.allocate_pinned(bytes), host_values = device.allocate_pinned(bytes);
  const auto in = host_in.as<uint32_t>(), places = host_places.as<uint32_t>(), keys = host_keys.as<uint32_t>(),
             values = host_values.as<uint32_t>();
  for (size_t i = 0; i < n; ++i) {
    // One in eight takes few values: equal keys, whose order shows whether the sort is stable.
    const uint64_t bits = run.random()();
    in[i] = static_cast<uint32_t>(bits % 8 == 0 ? bits >> 32 & 0xff0000ff : bits >> 32);
    places[i] = static_cast<uint32_t>(i);
  }
  // A value is its key's place before. Pairs of (key, place) that only rise, each with the key of that place, are all
  // different: the result is a permutation, sorted and stable.
  const auto wrong = [&] {
    size_t count = 0;
    for (size_t i = 0; i < n; ++i) {
      const bool right = values[i] < n && in[values[i]] == keys[i] &&
                         (i == 0 || keys[i - 1] < keys[i] || (keys[i - 1] == keys[i] && values[i - 1] < values[i]));
      count += !right;
    }
    return static_cast<double>(count);
  };

  Sort program(run, n);
  const device::Buffer device_keys = device.allocate(bytes), device_values = device.allocate(bytes);
  const double gigabytes = 2.0 * static_cast<double>(bytes) / 1e9;
  // Kernels alone and with transfers, from the same passes: each has to put the input back.
  using Clock = std::chrono::steady_clock;
  std::fill(keys.begin(), keys.end(), 0);
  std::vector<double> seconds, in_kernels;
  for (int pass = -1; pass < run.passes(); ++pass) {
    const auto begin = Clock::now();
    device.write(device_keys, 0, host_in.data(), bytes, false);
    device.write(device_values, 0, host_places.data(), bytes, false);
    const auto kernels_begin = device.mark();
    program.launch(device_keys, device_values);
    const auto kernels_end = device.mark();
    device.read(device_keys, 0, host_keys.data(), bytes, false);
    device.read(device_values, 0, host_values.data(), bytes);
    const double all = std::chrono::duration<double>(Clock::now() - begin).count();
    const double kernels = device.seconds_between(*kernels_begin, *kernels_end);
    if (pass >= 0) seconds.push_back(all), in_kernels.push_back(kernels);
  }
  run.sample({"sort", "GB/s"}, rates(gigabytes, in_kernels));
  run.sample({"sort_pcie", "GB/s", true, true}, rates(gigabytes, seconds));
  run.check("pairs of sort that are wrong", wrong(), 0);
}

}  // namespace nm::workload::shoc
