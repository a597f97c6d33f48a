#include "server/staging.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace nm::server {
namespace {

int g_made = 0, g_freed = 0;

class StagingTest : public testing::Test {
 protected:
  void SetUp() override {
    g_made = g_freed = 0;
    driver_.cuMemHostAlloc = [](void** out, size_t, unsigned) {
      *out = reinterpret_cast<void*>(static_cast<uintptr_t>(0x1000 * ++g_made));
      return CUDA_SUCCESS;
    };
    driver_.cuMemFreeHost = [](void*) {
      g_freed++;
      return CUDA_SUCCESS;
    };
  }
  void* take(size_t size, CUcontext context = kOne) {
    void* out = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, staging_.take_whole(size, context, &out));
    return out;
  }
  static inline const auto kOne = reinterpret_cast<CUcontext>(1), kTwo = reinterpret_cast<CUcontext>(2);
  DriverTable driver_{};
  Staging staging_{driver_};
};

TEST_F(StagingTest, ABufferThatWasGivenBackServesAgain) {
  void* first = take(100 << 20);
  staging_.give_back_whole(first);
  EXPECT_EQ(first, take(90 << 20));
  EXPECT_NE(first, take(90 << 20));
  EXPECT_EQ(2, g_made);
  EXPECT_EQ(0, g_freed);
}

TEST_F(StagingTest, NoMoreIsKeptThanTheLimit) {
  void* all[6];
  for (void*& one : all) one = take(128 << 20);
  for (void* one : all) staging_.give_back_whole(one);
  EXPECT_EQ(2, g_freed);
  staging_.give_back_whole(take(1ull << 31));
  EXPECT_EQ(3, g_freed);
}

TEST_F(StagingTest, AContextTakesItsBuffersWithIt) {
  void* used = take(1 << 20);
  staging_.give_back_whole(take(4 << 20));
  void* other = take(2 << 20, kTwo);
  staging_.give_back_whole(other);
  staging_.forget(kOne);
  staging_.give_back_whole(used);  // too late, and nobody minds
  EXPECT_EQ(0, g_freed);
  EXPECT_EQ(other, take(2 << 20));
  EXPECT_EQ(3, g_made);
  take(4 << 20);
  EXPECT_EQ(4, g_made);
}

}  // namespace
}  // namespace nm::server
