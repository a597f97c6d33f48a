// Address space of the device's: taken where it is free, given back where it was taken, and nowhere else.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "client/memory.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;

// Where nothing lies.
uint64_t free_space(uint64_t size) {
  void* at = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(at, size);
  return reinterpret_cast<uint64_t>(at);
}
// Memory of the program's at that place; null: something is there.
uint8_t* map_at(uint64_t base, uint64_t size) {
  void* at = mmap(reinterpret_cast<void*>(base), size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<uint8_t*>(at);
}
bool is_free(uint64_t base, uint64_t size) {
  uint8_t* at = map_at(base, size);
  if (at) munmap(at, size);
  return at;
}

TEST(Guards, WhatIsGuardedIsNobodysUntilItIsReleased) {
  const uint64_t base = free_space(8 * kPage), size = 8 * kPage;
  ASSERT_TRUE(guard_range(base, size));
  for (uint64_t page = 0; page < 8; page++) EXPECT_FALSE(is_free(base + page * kPage, kPage)) << page;
  EXPECT_FALSE(guard_range(base + 2 * kPage, kPage));
  release_guard(base, size);
  EXPECT_TRUE(is_free(base, size));
}

TEST(Guards, MemoryOfTheProgramIsNeitherCoveredNorUnmapped) {
  const uint64_t base = free_space(8 * kPage);
  uint8_t* mine = map_at(base + 3 * kPage, kPage);
  ASSERT_TRUE(mine);
  memset(mine, 7, kPage);
  EXPECT_FALSE(guard_range(base, 8 * kPage));      // in its middle
  EXPECT_FALSE(guard_range(base, 4 * kPage));      // at its end
  EXPECT_FALSE(guard_range(base + 3 * kPage, 1));  // nothing else
  // A server says that its memory lies here, and later that it is gone.
  release_guard(base, 8 * kPage);
  release_guard(base, 4 * kPage);
  release_guard(base + 3 * kPage, 1);
  release_guard(base + 3 * kPage, kPage);
  ASSERT_EQ(msync(mine, kPage, MS_ASYNC), 0);
  EXPECT_EQ(mine[kPage - 1], 7);
  munmap(mine, kPage);
  EXPECT_TRUE(is_free(base, 8 * kPage));  // nothing of the failed attempts is left
}

TEST(Guards, OnlyWhatWasGuardedIsReleasedAndOnce) {
  const uint64_t base = free_space(8 * kPage);
  ASSERT_TRUE(guard_range(base, 8 * kPage));
  release_guard(base, 4 * kPage);
  release_guard(base + kPage, 7 * kPage);
  EXPECT_FALSE(is_free(base + 5 * kPage, kPage));
  release_guard(base, 8 * kPage);
  uint8_t* mine = map_at(base, 8 * kPage);
  ASSERT_TRUE(mine);
  release_guard(base, 8 * kPage);
  EXPECT_EQ(msync(mine, 8 * kPage, MS_ASYNC), 0);
  munmap(mine, 8 * kPage);
}

TEST(Guards, AllocationsMayShareThePagesAtTheirEnds) {
  const uint64_t base = free_space(4 * kPage);
  ASSERT_TRUE(guard_range(base, kPage + 100));
  ASSERT_TRUE(guard_range(base + kPage + 512, 2 * kPage));
  ASSERT_TRUE(guard_range(base + kPage + 256, 64));
  release_guard(base, kPage + 100);
  EXPECT_TRUE(is_free(base, kPage));
  EXPECT_FALSE(is_free(base + kPage, kPage));
  release_guard(base + kPage + 512, 2 * kPage);
  EXPECT_FALSE(is_free(base + kPage, kPage));
  release_guard(base + kPage + 256, 64);
  EXPECT_TRUE(is_free(base, 4 * kPage));
}

TEST(Guards, NumbersThatNoMemoryHasAreRefused) {
  const uint64_t base = free_space(kPage);
  EXPECT_FALSE(guard_range(base, 0));
  EXPECT_FALSE(guard_range(base, ~0ull));
  EXPECT_FALSE(guard_range(~0ull - 100, 50));
  EXPECT_FALSE(guard_range(~0ull - 100, 5000));
  EXPECT_FALSE(guard_range((1ull << 47) - kPage, 2 * kPage));
  EXPECT_TRUE(is_free(base, kPage));
}

}  // namespace
}  // namespace nm::client
