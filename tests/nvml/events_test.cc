// Sets of events, and samples of GPM: what a program makes, uses and frees.
#include <string.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "nvml_test.h"

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct SetTest : NvmlTest {
  void SetUp() override {
    NvmlTest::SetUp();
    OK(nvmlEventSetCreate(&set));
  }
  void TearDown() override {
    if (set) {
      EXPECT_EQ(NVML_SUCCESS, nvmlEventSetFree(set));
    }
    NvmlTest::TearDown();
  }
  nvmlEventSet_t set = nullptr;
};

TEST_F(SetTest, AnEventNamesTheProgramsDevice) {
  OK(nvmlDeviceRegisterEvents(device(1), 8, set));
  nvmlEventData_t data{};
  OK(nvmlEventSetWait_v2(set, &data, 1000));
  EXPECT_EQ(device(1), data.device);
  EXPECT_EQ(8u, data.eventType);
  EXPECT_EQ(79u, data.eventData);
  EXPECT_EQ(5u, data.gpuInstanceId);
  EXPECT_EQ(~0u, data.computeInstanceId);
  FAILS(NVML_ERROR_TIMEOUT, nvmlEventSetWait_v2(set, &data, 0)) << "it happened once";
}

TEST_F(SetTest, AnOlderProgramsStructIsShorter) {
  struct {
    nvmlEventData_v1_t data;
    unsigned long behind;
  } old{{}, 0x1234};
  OK(nvmlDeviceRegisterEvents(device(0), 3, set));
  OK(nvmlEventSetWait(set, &old.data, 1000));
  EXPECT_EQ(device(0), old.data.device);
  EXPECT_EQ(3u, old.data.eventType);
  EXPECT_EQ(0x1234u, old.behind);
}

TEST_F(SetTest, ARegistrationThatIsRefusedLeavesTheSetAsItWas) {
  FAILS(NVML_ERROR_NOT_SUPPORTED, nvmlDeviceRegisterEvents(device(0), 0, set));
  OK(nvmlDeviceRegisterEvents(device(0), 1, set));
  nvmlEventData_t data{};
  OK(nvmlEventSetWait_v2(set, &data, 1000));
  EXPECT_EQ(1u, data.eventType);
}

TEST_F(SetTest, AWaitThatTimesOutLastsAsLongAsItWasToldAndWritesNothing) {
  const auto start = steady_clock::now();
  nvmlEventData_t data{nullptr, 77, 78, 79, 80};
  EXPECT_EQ(NVML_ERROR_TIMEOUT, nvmlEventSetWait_v2(set, &data, 300));
  EXPECT_GE(steady_clock::now() - start, milliseconds(300));
  EXPECT_EQ(nullptr, data.device);
  EXPECT_EQ(77u, data.eventType);
  EXPECT_EQ(78u, data.eventData);
  EXPECT_EQ(79u, data.gpuInstanceId);
  EXPECT_EQ(80u, data.computeInstanceId);
}

// Were they kept out until the wait is over, the event would come too late for it.
TEST_F(SetTest, TheOtherThreadsAreHeardDuringAWait) {
  std::atomic<bool> started{false};
  nvmlReturn_t result = NVML_ERROR_UNKNOWN;
  nvmlEventData_t data{};
  std::thread waiting([&] {
    started = true;
    result = nvmlEventSetWait_v2(set, &data, 60'000);
  });
  while (!started) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(20));
  for (int i = 0; i < 100; i++) {
    unsigned index = 9;
    EXPECT_EQ(NVML_SUCCESS, nvmlDeviceGetIndex(device(1), &index));
    EXPECT_EQ(1u, index);
  }
  EXPECT_EQ(NVML_SUCCESS, nvmlDeviceRegisterEvents(device(0), 4, set));
  waiting.join();
  EXPECT_EQ(NVML_SUCCESS, result);
  EXPECT_EQ(4u, data.eventType);
}

TEST_F(SetTest, AnEventEndsAWaitThatIsUnderWay) {
  std::thread late([&] {
    std::this_thread::sleep_for(milliseconds(100));
    EXPECT_EQ(NVML_SUCCESS, nvmlDeviceRegisterEvents(device(0), 4, set));
  });
  const auto start = steady_clock::now();
  nvmlEventData_t data{};
  EXPECT_EQ(NVML_SUCCESS, nvmlEventSetWait_v2(set, &data, 20000));
  EXPECT_LT(steady_clock::now() - start, milliseconds(10000));
  EXPECT_EQ(4u, data.eventType);
  late.join();
}

TEST_F(SetTest, ASetThatIsFreedIsNoSetAnyMore) {
  nvmlEventData_t data{};
  nvmlEventSet_t freed = set;
  set = nullptr;
  OK(nvmlEventSetFree(freed));
  for (nvmlEventSet_t none : {freed, nvmlEventSet_t{}, reinterpret_cast<nvmlEventSet_t>(&data),
                              reinterpret_cast<nvmlEventSet_t>(device(0))}) {
    FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlEventSetFree(none));
    FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlEventSetWait_v2(none, &data, 5000));
    FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlDeviceRegisterEvents(device(0), 8, none));
  }
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlEventSetWait_v2(freed, nullptr, 5000));
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlEventSetCreate(nullptr));
}

// The struct as a program's header has it.
struct Metrics {
  nvmlGpmMetricsGet_t get{};
  nvmlGpmMetric_t metrics[333] = {};
};

TEST_F(NvmlTest, TwoSamplesTellWhatHappenedBetweenThem) {
  nvmlGpmSupport_t support{1, 9};
  OK(nvmlGpmQueryDeviceSupport(device(0), &support));
  EXPECT_EQ(1u, support.isSupportedDevice);
  nvmlGpmSample_t first = nullptr, second = nullptr;
  OK(nvmlGpmSampleAlloc(&first));
  OK(nvmlGpmSampleAlloc(&second));
  OK(nvmlGpmSampleGet(device(0), first));
  OK(nvmlGpmSampleGet(device(0), second));
  Metrics all;
  all.get = {1, 2, first, second};
  all.metrics[0].metricId = 2;
  all.metrics[1].metricId = 5;
  all.metrics[2].metricId = 6;
  all.metrics[2].value = 7;
  OK(nvmlGpmMetricsGet(&all.get));
  EXPECT_EQ(NVML_SUCCESS, all.metrics[0].nvmlReturn);
  EXPECT_EQ(1.5, all.metrics[0].value);
  EXPECT_STREQ("smUtil", all.metrics[0].shortName);
  EXPECT_EQ(nullptr, all.metrics[0].longName);
  EXPECT_STREQ("%", all.metrics[0].unit);
  EXPECT_EQ(NVML_ERROR_NOT_SUPPORTED, all.metrics[1].nvmlReturn);
  EXPECT_EQ(nullptr, all.metrics[1].shortName);
  EXPECT_EQ(7, all.metrics[2].value) << "nobody asked for this one";
  const char* name = all.metrics[0].shortName;
  OK(nvmlGpmMetricsGet(&all.get));
  EXPECT_EQ(name, all.metrics[0].shortName) << "the text is the library's";
  all.get.version = 2;
  FAILS(NVML_ERROR_ARGUMENT_VERSION_MISMATCH, nvmlGpmMetricsGet(&all.get));
  all.get = {1, ~0u, first, second};
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlGpmMetricsGet(&all.get));
  OK(nvmlGpmSampleFree(second));
  all.get = {1, 1, first, second};
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlGpmMetricsGet(&all.get)) << "it is freed";
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlGpmSampleGet(device(0), second));
  OK(nvmlGpmSampleFree(first));
}

}  // namespace
