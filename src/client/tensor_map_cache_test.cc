#include "client/tensor_map_cache.h"

#include <gtest/gtest.h>

#include <cstring>

namespace nm::client {
namespace {

constexpr uint64_t kAddress = 0x7f12'3456'7800;

// What a driver might make: `address` at byte `at`, and bytes that depend on the shape.
TensorMapBytes encode(const wire::TensorMapRequest& r, uint64_t address, size_t at) {
  TensorMapBytes map;
  for (size_t i = 0; i < map.size(); i++) map[i] = static_cast<uint8_t>(r.dim[0] * 31 + i);
  std::memcpy(map.data() + at, &address, sizeof address);
  return map;
}

wire::TensorMapRequest request(uint64_t dim, uint64_t address) {
  wire::TensorMapRequest r{};
  r.rank = 1;
  r.dim[0] = dim;
  r.address = address;
  r.probe = probe_address(address);
  return r;
}

void teach(TensorMapCache& cache, uint64_t dim, size_t at) {
  auto r = request(dim, kAddress);
  cache.learn(r, encode(r, r.address, at), encode(r, r.probe, at));
}

TEST(TensorMapCache, MakesMapsOfAKnownShape) {
  TensorMapCache cache;
  TensorMapBytes map;
  auto wanted = request(64, 0x7f99'0000'0040);
  EXPECT_FALSE(cache.make(wanted, &map));
  teach(cache, 64, 16);
  ASSERT_TRUE(cache.make(wanted, &map));
  EXPECT_EQ(encode(wanted, wanted.address, 16), map);
  EXPECT_FALSE(cache.make(request(65, 0x7f99'0000'0040), &map));
}

TEST(TensorMapCache, LeavesOddAddressesToTheDriver) {
  TensorMapCache cache;
  TensorMapBytes map;
  teach(cache, 64, 0);
  EXPECT_FALSE(cache.make(request(64, kAddress + 16), &map));  // some shapes want 32, and the driver says no
  EXPECT_FALSE(cache.make(request(64, kAddress + 1), &map));
  EXPECT_FALSE(cache.make(request(64, 0), &map));
  EXPECT_FALSE(cache.make(request(64, 1ull << 60), &map));
}

TEST(TensorMapCache, DoesNotLearnWhereMoreThanTheAddressChanges) {
  TensorMapCache cache;
  TensorMapBytes map;
  auto r = request(64, kAddress);
  auto changed = encode(r, r.probe, 0);
  changed[100] ^= 1;
  cache.learn(r, encode(r, r.address, 0), changed);
  EXPECT_FALSE(cache.make(r, &map));
}

TEST(TensorMapCache, DoesNotLearnAnAddressThatIsNotPlain) {
  TensorMapCache cache;
  TensorMapBytes map;
  auto r = request(64, kAddress);
  cache.learn(r, encode(r, r.address >> 4, 0), encode(r, r.probe >> 4, 0));
  EXPECT_FALSE(cache.make(r, &map));
}

TEST(TensorMapCache, ReplacesTheAddressOfAKnownMap) {
  TensorMapCache cache;
  teach(cache, 64, 8);
  auto r = request(64, kAddress);
  TensorMapBytes map = encode(r, kAddress, 8);
  ASSERT_TRUE(cache.replace_address(&map, 0x7f00'0000'1000));
  EXPECT_EQ(encode(r, 0x7f00'0000'1000, 8), map);
  TensorMapBytes other = encode(request(65, kAddress), kAddress, 8);
  EXPECT_FALSE(cache.replace_address(&other, 0x7f00'0000'1000));
}

TEST(TensorMapCache, ProbeKeepsTheAlignmentAndChangesTheRest) {
  uint64_t probe = probe_address(kAddress);
  EXPECT_EQ(kAddress % 32, probe % 32);
  EXPECT_LT(probe, 1ull << 47);
  for (int byte = 0; byte < 6; byte++) EXPECT_NE(kAddress >> 8 * byte & 0xff, probe >> 8 * byte & 0xff) << byte;
}

}  // namespace
}  // namespace nm::client
