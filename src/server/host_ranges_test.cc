// Memory that a client shares: at the address it names, and only what the file really has.
#include "server/host_ranges.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory_file.h"

namespace nm::server {
namespace {

constexpr uint64_t kAt = 0x2100'0000'0000, kPage = 4096;
const auto kContext = reinterpret_cast<CUcontext>(0x10);
int g_registered = 0;

class HostRangesTest : public ::testing::Test {
 protected:
  HostRangesTest() {
    g_registered = 0;
    driver_.cuMemHostRegister_v2 = [](void*, size_t, unsigned) {
      g_registered++;
      return CUDA_SUCCESS;
    };
    driver_.cuMemHostUnregister = [](void*) {
      g_registered--;
      return CUDA_SUCCESS;
    };
    driver_.cuMemHostGetDevicePointer_v2 = [](CUdeviceptr* out, void* p, unsigned) {
      *out = reinterpret_cast<CUdeviceptr>(p);
      return CUDA_SUCCESS;
    };
  }
  CUresult share(uint64_t size, uint64_t offset) {
    return ranges_.share(kAt, size, offset, Fd(fcntl(file_.get(), F_DUPFD_CLOEXEC, 0)), kContext, &there_);
  }

  DriverTable driver_{};
  HostRanges ranges_{driver_};
  Fd file_ = make_memory_file("test", 4 * kPage);
  CUdeviceptr there_ = 0;
};

TEST_F(HostRangesTest, APartOfAFileIsMappedWhereTheClientHasIt) {
  ASSERT_EQ(4, pwrite(file_.get(), "part", 4, 2 * kPage));
  ASSERT_EQ(CUDA_SUCCESS, share(2 * kPage, 2 * kPage));
  EXPECT_EQ(kAt, there_);
  EXPECT_EQ(1, g_registered);
  EXPECT_STREQ("part", reinterpret_cast<const char*>(ranges_.find(kAt, 2 * kPage)));
  EXPECT_EQ(nullptr, ranges_.find(kAt + 1, 2 * kPage));
  EXPECT_EQ(CUDA_SUCCESS, ranges_.release(kAt));
  EXPECT_EQ(0, g_registered);
}

TEST_F(HostRangesTest, WhatTheFileDoesNotHaveIsRefused) {
  for (auto [size, offset] : std::initializer_list<std::pair<uint64_t, uint64_t>>{{5 * kPage, 0},
                                                                                  {kPage, 4 * kPage},
                                                                                  {2 * kPage, 3 * kPage},
                                                                                  {kPage, ~0ull - kPage + 1},
                                                                                  {kPage, 100},
                                                                                  {0, 0}}) {
    EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, share(size, offset)) << size << " from " << offset;
  }
  EXPECT_EQ(0, g_registered);
}

TEST_F(HostRangesTest, AContextTakesItsMemoryWithIt) {
  ASSERT_EQ(CUDA_SUCCESS, share(kPage, 0));
  ranges_.forget(reinterpret_cast<CUcontext>(0x20));
  EXPECT_NE(nullptr, ranges_.find(kAt, kPage));
  ranges_.forget(kContext);
  EXPECT_EQ(nullptr, ranges_.find(kAt, kPage));
  EXPECT_EQ(CUDA_SUCCESS, share(kPage, 0)) << "its place is free again";
}

}  // namespace
}  // namespace nm::server
