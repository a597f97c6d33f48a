// Scan: the exclusive prefix sum of an array. Bound by memory: each number is read and written once (three times
// through memory where it takes three launches). SHOC counts each number once: at a memory rate of B the best figure is
// B / 2. SHOC's own takes three launches of 64 blocks.
#include <algorithm>
#include <cmath>
#include <limits>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 256;
// On CUDA: what a block scans at a time, and how many of these it has in shared memory.
constexpr uint32_t kTileBytes = 32 << 10, kBuffers = 3;

template <typename T>
class Scan {
 public:
  Scan(Run& run, const char* variant, size_t n) : device_(run.device()), cuda_(run.cuda()), n_(static_cast<int>(n)) {
    const uint32_t tile = cuda_ ? kTileBytes / sizeof(T) : 16 * kThreads;  // numbers
    const auto tiles = static_cast<uint32_t>((n + tile - 1) / tile);
    if (cuda_) {
      tiles_ = static_cast<int>(tiles);
      blocks_ = std::min(tiles, 2 * static_cast<uint32_t>(run.info().multiprocessors));
      once_ = device_.kernel("scan", variant, "scan_once");
      state_ = device_.allocate((2 + 2 * size_t{tiles}) * sizeof(uint64_t));
      device_.fill(state_, 0, 0, state_.bytes());
      return;
    }
    // As many chunks as keep the device busy, and no more than one block can scan.
    const uint32_t wanted = std::clamp(8u * static_cast<uint32_t>(run.info().multiprocessors), 1u, tile);
    chunk_ = static_cast<int>((tiles + wanted - 1) / wanted * tile);
    blocks_ = static_cast<uint32_t>((n + static_cast<size_t>(chunk_) - 1) / static_cast<size_t>(chunk_));
    sum_ = device_.kernel("scan", variant, "scan_sum");
    top_ = device_.kernel("scan", variant, "scan_top");
    down_ = device_.kernel("scan", variant, "scan_down");
    // Read in fours.
    state_ = device_.allocate((blocks_ + 3) / 4 * 4 * sizeof(T));
    device_.fill(state_, 0, 0, state_.bytes());
  }

  void launch(const device::Buffer& in, const device::Buffer& out) {
    if (cuda_) {
      const uint32_t draws = static_cast<uint32_t>(tiles_) + (kBuffers + 1) * blocks_;
      device_.launch_shared(once_, {blocks_}, {kThreads}, kBuffers * kTileBytes, in, out, state_, n_, tiles_, draws,
                            launches_++);
      return;
    }
    device_.launch(sum_, {blocks_}, {kThreads}, in, state_, n_, chunk_);
    device_.launch(top_, {1}, {kThreads}, state_, static_cast<int>(blocks_));
    device_.launch(down_, {blocks_}, {kThreads}, in, state_, out, n_, chunk_);
  }

 private:
  device::Device& device_;
  bool cuda_;
  int n_, tiles_ = 0, chunk_ = 0;
  uint32_t blocks_ = 0, launches_ = 0;
  device::Kernel once_, sum_, top_, down_;
  device::Buffer state_;
};

template <typename T>
void scan(Run& run, const char* variant, const std::string& suffix) {
  device::Device& device = run.device();
  // SHOC's largest is 64 MiB. Not a whole number of tiles at ci, so that the last one is seen to.
  const size_t bytes = run.pick<size_t>((1 << 20) + 608, 64 << 20, size_t{1} << 30);
  const size_t n = bytes / sizeof(T);
  const int repeats = run.pick(1, 32, 4);

  // Small whole numbers of both signs. Any sum of neighbours stays far below 2^24, so that every order of addition
  // gives the one right answer; if not, the run says so.
  const device::PinnedMemory host_in = device.allocate_pinned(bytes), host_out = device.allocate_pinned(bytes);
  const auto in = host_in.as<T>(), out = host_out.as<T>();
  int64_t sum = 0, low = 0, high = 0;
  uint64_t bits = 0;
  for (size_t i = 0; i < n; ++i, bits >>= 4) {
    if (i % 16 == 0) bits = run.random()();
    const int value = static_cast<int>(bits % 16) - static_cast<int>(bits >> 3 & 1) - 7;  // -7 … 7
    in[i] = static_cast<T>(value);
    sum += value;
    low = std::min(low, sum), high = std::max(high, sum);
  }
  if (high - low >= 1 << 24) throw std::runtime_error("The numbers to scan add up to more than a float can hold.");
  const auto wrong = [&] {
    size_t count = 0;
    int64_t before = 0;
    for (size_t i = 0; i < n; ++i) {
      count += static_cast<double>(out[i]) != static_cast<double>(before);
      before += static_cast<int64_t>(in[i]);
    }
    return static_cast<double>(count);
  };

  Scan<T> program(run, variant, n);
  const device::Buffer device_in = device.allocate(bytes), device_out = device.allocate(bytes);
  device.write(device_in, 0, host_in.data(), bytes);
  device.fill(device_out, 0, 0x7fc00000, bytes);
  const double gigabytes = static_cast<double>(bytes) / 1e9;
  run.sample({"scan" + suffix, "GB/s"}, rates(gigabytes * repeats, run.device_seconds([&] {
               for (int i = 0; i < repeats; ++i) program.launch(device_in, device_out);
             })));
  device.read(device_out, 0, host_out.data(), bytes);
  run.check("numbers of scan" + suffix + " that are wrong", wrong(), 0);

  device.fill(device_in, 0, 0, bytes);
  device.fill(device_out, 0, 0x7fc00000, bytes);
  run.sample({"scan" + suffix + "_pcie", "GB/s", true, true}, rates(gigabytes, run.wall_seconds([&] {
               device.write(device_in, 0, host_in.data(), bytes, false);
               program.launch(device_in, device_out);
               device.read(device_out, 0, host_out.data(), bytes);
             })));
  run.check("numbers of scan" + suffix + "_pcie that are wrong", wrong(), 0);
}

}  // namespace

void scan(Run& run) {
  scan<float>(run, "sp", "");
  if (run.info().fp64) {
    scan<double>(run, "dp", "_dp");
  } else {
    run.skip("scan_dp", "The device has no double precision.");
  }
}

}  // namespace nm::workload::shoc
