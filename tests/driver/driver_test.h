// What the driver tests share: a primary context that is current, and nothing left of it afterwards.
#pragma once

#include <cuda_abi.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#define OK(call) ASSERT_EQ(CUDA_SUCCESS, (call))
#define FAILS(code, call) ASSERT_EQ(code, (call))

class DriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    OK(cuInit(0));
    OK(cuDeviceGet(&device_, 0));
    OK(cuDevicePrimaryCtxRetain(&context_, device_));
    OK(cuCtxSetCurrent(context_));
  }
  void TearDown() override {
    cuCtxSetCurrent(nullptr);
    EXPECT_EQ(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2(device_));
  }

  // Device memory with `bytes` counting up from `first`.
  CUdeviceptr counted(size_t bytes, uint8_t first = 0) {
    std::vector<uint8_t> data(bytes);
    std::iota(data.begin(), data.end(), first);
    CUdeviceptr p = 0;
    EXPECT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&p, bytes));
    EXPECT_EQ(CUDA_SUCCESS, cuMemcpyHtoD_v2(p, data.data(), bytes));
    return p;
  }
  template <class T>
  std::vector<T> read(CUdeviceptr p, size_t n) {
    std::vector<T> data(n);
    EXPECT_EQ(CUDA_SUCCESS, cuMemcpyDtoH_v2(data.data(), p, n * sizeof(T)));
    return data;
  }

  CUdevice device_ = -1;
  CUcontext context_ = nullptr;
};
