#include "client/advice.h"

#include <gtest/gtest.h>

#include <vector>

namespace nm::client {
namespace {

constexpr uint64_t kBase = 0x200000000000, kPage = 4096;

std::vector<bool> read_mostly(const AdviceMap& map, uint64_t begin, uint64_t end) {
  std::vector<bool> out;
  map.each(begin, end, [&](const Advice& a) { out.push_back(a.read_mostly); });
  return out;
}

TEST(Advice, NothingWasSaidAtFirst) {
  AdviceMap map;
  EXPECT_EQ(std::vector<bool>{false}, read_mostly(map, kBase, kBase + 100 * kPage));
}

TEST(Advice, HoldsForItsPagesOnly) {
  AdviceMap map;
  map.update(kBase + kPage, kBase + 3 * kPage, [](Advice& a) { a.read_mostly = true; });
  EXPECT_EQ((std::vector<bool>{false, true, false}), read_mostly(map, kBase, kBase + 4 * kPage));
  EXPECT_EQ(std::vector<bool>{true}, read_mostly(map, kBase + kPage, kBase + 3 * kPage));
  EXPECT_EQ(std::vector<bool>{false}, read_mostly(map, kBase, kBase + kPage));
  EXPECT_EQ(std::vector<bool>{false}, read_mostly(map, kBase + 3 * kPage, kBase + 4 * kPage));
}

TEST(Advice, IsWidenedToWholePages) {
  AdviceMap map;
  map.update(kBase + 10, kBase + kPage + 1, [](Advice& a) { a.read_mostly = true; });
  EXPECT_EQ(std::vector<bool>{true}, read_mostly(map, kBase, kBase + 2 * kPage));
}

TEST(Advice, LaterAdviceLeavesTheRestOfEarlierAdvice) {
  AdviceMap map;
  map.update(kBase, kBase + 4 * kPage, [](Advice& a) { a.accessed_by |= 1; });
  map.update(kBase + 2 * kPage, kBase + 6 * kPage, [](Advice& a) { a.read_mostly = true; });
  std::vector<uint64_t> by;
  map.each(kBase, kBase + 6 * kPage, [&](const Advice& a) { by.push_back(a.accessed_by); });
  EXPECT_EQ((std::vector<uint64_t>{1, 1, 0}), by);
  EXPECT_EQ((std::vector<bool>{false, true, true}), read_mostly(map, kBase, kBase + 6 * kPage));
}

}  // namespace
}  // namespace nm::client
