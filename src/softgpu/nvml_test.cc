// The library is loaded as programs load it.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace {

class Nvml : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("NEARMETAL_SOFTGPU_DEVICES", "2", 1);
    setenv("NEARMETAL_SOFTGPU_MEMORY", "512M", 1);
    library_ = dlopen(NM_NVML_PATH, RTLD_NOW);
    ASSERT_NE(nullptr, library_) << dlerror();
  }
  template <class... Args>
  int call(const char* name, Args... args) {
    auto* function = reinterpret_cast<int (*)(Args...)>(dlsym(library_, name));
    EXPECT_NE(nullptr, function) << name;
    return function ? function(args...) : -1;
  }
  static void* library_;
};
void* Nvml::library_ = nullptr;

TEST_F(Nvml, NeedsInitAndCountsIt) {
  unsigned count = 0;
  EXPECT_EQ(1, call("nvmlDeviceGetCount_v2", &count));
  EXPECT_EQ(1, call("nvmlShutdown"));
  EXPECT_EQ(0, call("nvmlInit_v2"));
  EXPECT_EQ(0, call("nvmlInitWithFlags", 0u));
  EXPECT_EQ(0, call("nvmlShutdown"));
  EXPECT_EQ(0, call("nvmlDeviceGetCount_v2", &count));
  EXPECT_EQ(2u, count);
  EXPECT_EQ(0, call("nvmlShutdown"));
  EXPECT_EQ(1, call("nvmlDeviceGetCount_v2", &count));
}

TEST_F(Nvml, DevicesAreFoundByIndexUuidAndPciAddress) {
  ASSERT_EQ(0, call("nvmlInit_v2"));
  void *device = nullptr, *again = nullptr;
  ASSERT_EQ(0, call("nvmlDeviceGetHandleByIndex_v2", 1u, &device));
  EXPECT_EQ(2, call("nvmlDeviceGetHandleByIndex_v2", 2u, &again));
  char text[96];
  ASSERT_EQ(0, call("nvmlDeviceGetUUID", device, text, 96u));
  EXPECT_EQ(0, std::strncmp("GPU-", text, 4));
  EXPECT_EQ(0, call("nvmlDeviceGetHandleByUUID", static_cast<const char*>(text), &again));
  EXPECT_EQ(device, again);
  EXPECT_EQ(6, call("nvmlDeviceGetHandleByUUID", "GPU-0", &again));
  struct {
    char legacy[16];
    unsigned numbers[5];
    char bus_id[32];
  } pci;
  ASSERT_EQ(0, call("nvmlDeviceGetPciInfo_v3", device, static_cast<void*>(&pci)));
  EXPECT_EQ(0, call("nvmlDeviceGetHandleByPciBusId_v2", static_cast<const char*>(pci.bus_id), &again));
  EXPECT_EQ(device, again);
  EXPECT_EQ(7, call("nvmlDeviceGetName", device, text, 4u));
  EXPECT_EQ(0, call("nvmlDeviceGetName", device, text, 96u));
  EXPECT_STREQ("nearmetal software GPU", text);
  unsigned index = 9;
  EXPECT_EQ(0, call("nvmlDeviceGetIndex", device, &index));
  EXPECT_EQ(1u, index);
  EXPECT_EQ(0, call("nvmlShutdown"));
}

TEST_F(Nvml, MemoryIsAnsweredAndSensorsAreNot) {
  ASSERT_EQ(0, call("nvmlInit_v2"));
  void* device = nullptr;
  ASSERT_EQ(0, call("nvmlDeviceGetHandleByIndex_v2", 0u, &device));
  unsigned long long memory[3] = {};
  EXPECT_EQ(0, call("nvmlDeviceGetMemoryInfo", device, static_cast<void*>(memory)));
  EXPECT_EQ(512ull << 20, memory[0]);
  unsigned out[2] = {};
  EXPECT_EQ(3, call("nvmlDeviceGetUtilizationRates", device, static_cast<void*>(out)));
  EXPECT_EQ(3, call("nvmlDeviceGetTemperature", device, 0u, out));
  unsigned processes = 9;
  EXPECT_EQ(0, call("nvmlDeviceGetComputeRunningProcesses_v3", device, &processes, static_cast<void*>(nullptr)));
  EXPECT_EQ(0u, processes);
  EXPECT_EQ(2, call("nvmlDeviceGetIndex", static_cast<void*>(nullptr), out));
  EXPECT_EQ(0, call("nvmlShutdown"));
}

TEST_F(Nvml, ASetOfEventsStaysEmpty) {
  ASSERT_EQ(0, call("nvmlInit_v2"));
  void *device = nullptr, *set = nullptr;
  ASSERT_EQ(0, call("nvmlDeviceGetHandleByIndex_v2", 0u, &device));
  unsigned long long types = 9;
  EXPECT_EQ(0, call("nvmlDeviceGetSupportedEventTypes", device, &types));
  EXPECT_EQ(0u, types);
  ASSERT_EQ(0, call("nvmlEventSetCreate", &set));
  EXPECT_EQ(3, call("nvmlDeviceRegisterEvents", device, 8ull, set));
  char data[32];
  EXPECT_EQ(10, call("nvmlEventSetWait_v2", set, static_cast<void*>(data), 5u));
  EXPECT_EQ(0, call("nvmlEventSetFree", set));
  EXPECT_EQ(0, call("nvmlShutdown"));
}

}  // namespace
