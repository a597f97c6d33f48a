// What the NVML tests share: an open session with the fake of fake_nvml.cc behind a server.
#pragma once

#include <gtest/gtest.h>
#include <nvml_abi.h>
#include <stdlib.h>

#include <string>
#include <vector>

// Exported, but without a prototype: they are refused whatever their arguments.
extern "C" nvmlReturn_t nvmlDeviceSetPersistenceMode(nvmlDevice_t device, unsigned mode);
extern "C" nvmlReturn_t nvmlGetVgpuVersion(void* supported, void* current);

#define OK(call) ASSERT_EQ(NVML_SUCCESS, (call))
#define FAILS(code, call) ASSERT_EQ(code, (call))

class NvmlTest : public ::testing::Test {
 protected:
  void SetUp() override { OK(nvmlInit_v2()); }
  void TearDown() override { EXPECT_EQ(NVML_SUCCESS, nvmlShutdown()); }

  nvmlDevice_t device(unsigned index) {
    nvmlDevice_t d = nullptr;
    EXPECT_EQ(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(index, &d));
    return d;
  }
  std::string name(nvmlDevice_t d) {
    char text[96] = "";
    EXPECT_EQ(NVML_SUCCESS, nvmlDeviceGetName(d, text, sizeof text));
    return text;
  }
};
