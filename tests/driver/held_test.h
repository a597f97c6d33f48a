// A driver test that can hold a stream and let it go.
#pragma once

#include <atomic>

#include "driver_test.h"

class HeldTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    void* flag = nullptr;
    OK(cuMemHostAlloc(&flag, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
    flag_ = static_cast<std::atomic<uint32_t>*>(flag);
    *flag_ = 0;
    OK(cuMemHostGetDevicePointer_v2(&flag_address_, flag, 0));
  }
  // The stream goes no further until release().
  void hold(CUstream stream) { OK(cuStreamWaitValue32_v2(stream, flag_address_, 1, CU_STREAM_WAIT_VALUE_GEQ)); }
  void release() { *flag_ = 1; }

  std::atomic<uint32_t>* flag_ = nullptr;
  CUdeviceptr flag_address_ = 0;
};
