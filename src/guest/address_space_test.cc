#include "guest/address_space.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "guest/test_hosts.h"

namespace nm::guest {
namespace {

TEST(AddressSpace, SortsBarsIntoABridgesTwoWindows) {
  const PortWindow window = window_for(
      {test_bar(16 * kMiB, false, false), test_bar(256 * kMiB), test_bar(32 * kMiB), {.size = 128, .io = true}});
  EXPECT_EQ(window.prefetchable, 512 * kMiB);  // a multiple of 256 MiB, with 288 in it
  EXPECT_EQ(window.low, 16 * kMiB);
  EXPECT_TRUE(window.io);
  // Without both marks a bridge forwards it below 4 GiB alone.
  EXPECT_EQ(window_for({test_bar(64 * kMiB, true, false)}).low, 64 * kMiB);
  EXPECT_EQ(window_for({test_bar(64 * kMiB, false, true)}).low, 64 * kMiB);
  EXPECT_EQ(window_for({}), (PortWindow{}));
}

TEST(AddressSpace, AbsurdBarsStayNumbers) {
  const PortWindow window = window_for({test_bar(~uint64_t{0}), test_bar(~uint64_t{0} / 3), test_bar(12345)});
  EXPECT_GE(window.prefetchable, uint64_t{1} << 43);
  EXPECT_LT(window.prefetchable, uint64_t{1} << 46);
}

TEST(AddressSpace, KeepsTheHyperTransportRangeFree) {
  const AddressSpace intel = lay_out(64 * kGiB, 1024 * kGiB, false), amd = lay_out(64 * kGiB, 1024 * kGiB, true);
  EXPECT_EQ(intel.ram_end, 66 * kGiB);
  EXPECT_GE(amd.ram_end, 1024 * kGiB);
  EXPECT_EQ(lay_out(64 * kGiB, 64 * kGiB, true).ram_end, 66 * kGiB) << "a small guest is not moved";
}

// For any memory, and any GPUs: the ports' windows find room in it, one after the other, largest first, as firmware
// packs them; and it lies above the memory and below what hole64_size says.
TEST(AddressSpace, TheWindowHoldsAllPortsForAnyGpus) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::vector<PortWindow>> roots(1 + random() % 4);
    for (auto& ports : roots) {
      ports.resize(random() % 6);
      for (PortWindow& port : ports) {
        std::vector<inventory::Bar> bars;
        for (size_t i = random() % 4; i > 0; --i) bars.push_back(test_bar(uint64_t{1} << (12 + random() % 27)));
        port = window_for(bars);
      }
    }
    for (const bool exact : {false, true}) {
      const uint64_t memory = (64 + random() % (1 << 20)) * 2 * kMiB;
      const AddressSpace space = lay_out(memory, window_of(roots, exact), round % 2);
      ASSERT_GE(space.window_base, space.ram_end);
      ASSERT_EQ(space.window_base % std::bit_floor(space.window_size), 0u);
      ASSERT_EQ((space.ram_end + kGiB - 1) / kGiB * kGiB + space.hole64_size, space.end());
      ASSERT_LE(space.end() - 1, ~uint64_t{0} >> (64 - space.bits()));
      uint64_t at = space.window_base;
      for (const auto& ports : roots) {
        std::vector<uint64_t> sizes;
        for (const PortWindow& port : ports) sizes.push_back(port.prefetchable);
        const auto alignment = [](uint64_t size) { return size ? uint64_t{1} << std::countr_zero(size) : 1; };
        std::sort(sizes.begin(), sizes.end(), [&](uint64_t a, uint64_t b) { return alignment(a) > alignment(b); });
        uint64_t largest = 1;
        for (const uint64_t size : sizes) largest = std::max(largest, alignment(size));
        at = (at + largest - 1) / largest * largest;
        for (const uint64_t size : sizes) at += size;
      }
      // Root buses are packed by their largest BAR, too: those that need most alignment first would do with less.
      if (roots.size() == 1) {
        ASSERT_LE(at, space.end());
      } else if (exact) {
        ASSERT_LE(at - space.window_base, 2 * space.window_size);
      }
    }
  }
}

}  // namespace
}  // namespace nm::guest
