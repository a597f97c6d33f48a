#include "guest/address_space.h"

#include <algorithm>
#include <bit>

#include "guest/topology.h"

namespace nm::guest {
namespace {

constexpr uint64_t kGranule = kMiB;  // of a bridge's window
constexpr uint64_t kFourGiB = 4 * kGiB, kTiB = 1024 * kGiB;
constexpr uint64_t kLowRam = 0x8000'0000, kMostLowRam = 0xb000'0000;  // q35
constexpr uint64_t kHyperTransport = 0xfd'0000'0000;
// A BAR is a power of two; one beyond this comes from a broken resource file, not from a device.
constexpr uint64_t kLargestBar = uint64_t{1} << 43;

uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

AddressSpace above(uint64_t ram_end, uint64_t window) {
  AddressSpace space{.ram_end = ram_end, .window_size = round_up(window, kGiB)};
  const uint64_t start = round_up(ram_end, kGiB);
  space.window_base = space.window_size ? round_up(start, std::bit_floor(space.window_size)) : start;
  space.hole64_size = space.end() - start;
  return space;
}

}  // namespace

PortWindow window_for(const std::vector<inventory::Bar>& bars) {
  PortWindow window;
  uint64_t largest = 0, largest_low = 0;
  for (const inventory::Bar& bar : bars) {
    const uint64_t size = std::bit_ceil(std::min(bar.size, kLargestBar));
    if (bar.io) {
      window.io = true;
    } else if (bar.wide && bar.prefetchable) {
      window.prefetchable += size;
      largest = std::max(largest, size);
    } else {
      window.low += size;
      largest_low = std::max(largest_low, size);
    }
  }
  // Firmware aligns a window by the largest BAR in it and makes it a multiple of that.
  window.prefetchable = round_up(window.prefetchable, std::max(largest, kGranule));
  window.low = round_up(window.low, std::max(largest_low, kGranule));
  return window;
}

int AddressSpace::bits() const { return std::bit_width(end() - 1); }

AddressSpace lay_out(uint64_t memory, uint64_t window, bool amd) {
  const uint64_t low = memory >= kMostLowRam ? kLowRam : memory;
  AddressSpace space = above(kFourGiB + memory - low, window);
  if (amd && space.end() > kHyperTransport) space = above(kTiB + memory - low, window);
  return space;
}

uint64_t window_of(const std::vector<std::vector<PortWindow>>& roots, bool exact) {
  uint64_t sum = 0;
  for (const auto& ports : roots) {
    uint64_t below = 0, alignment = kMiB;
    for (const PortWindow& port : ports) {
      below += port.prefetchable;
      // The lowest bit of a multiple of the largest BAR is that BAR's size, or more.
      if (port.prefetchable) alignment = std::max(alignment, uint64_t{1} << std::countr_zero(port.prefetchable));
    }
    // Of several root buses each begins where its largest BAR may.
    sum += roots.size() > 1 ? round_up(below, alignment) : below;
  }
  // Some for the bridges' and virtio's own registers.
  sum = round_up(sum + 64 * kMiB, kGiB);
  return exact ? sum : std::max(std::bit_ceil(sum), 32 * kGiB);
}

}  // namespace nm::guest
