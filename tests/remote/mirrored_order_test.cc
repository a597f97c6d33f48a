// Host memory of which the server has only a copy: what copies, host functions and graphs do to it keeps its order.
// Pinned memory is such over a network, registered memory there and where it cannot be moved.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "../driver/driver_test.h"

namespace {

class MirroredOrder : public DriverTest, public ::testing::WithParamInterface<bool> {
 protected:
  static constexpr size_t kSize = 4 << 20;

  void SetUp() override {
    DriverTest::SetUp();
    void* p = nullptr;
    if (GetParam()) {
      p = aligned_alloc(4096, kSize);
      OK(cuMemHostRegister_v2(p, kSize, 0));
    } else {
      OK(cuMemHostAlloc(&p, kSize, 0));
    }
    host_ = static_cast<uint8_t*>(p);
    memset(host_, 0, kSize);
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc_v2(&device_memory_, kSize));
    OK(cuMemsetD8_v2(device_memory_, 0, kSize));
    OK(cuCtxSynchronize());
  }
  void TearDown() override {
    cuCtxSynchronize();
    if (GetParam()) {
      EXPECT_EQ(CUDA_SUCCESS, cuMemHostUnregister(host_));
      free(host_);
    } else {
      EXPECT_EQ(CUDA_SUCCESS, cuMemFreeHost(host_));
    }
    DriverTest::TearDown();
  }
  // Device memory of one value.
  CUdeviceptr filled(uint8_t value, size_t size) {
    CUdeviceptr p = 0;
    EXPECT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&p, size));
    EXPECT_EQ(CUDA_SUCCESS, cuMemsetD8_v2(p, value, size));
    EXPECT_EQ(CUDA_SUCCESS, cuCtxSynchronize());
    return p;
  }
  bool holds(const uint8_t* p, size_t size, uint8_t value) {
    for (size_t i = 0; i < size; i++) {
      if (p[i] != value) return false;
    }
    return true;
  }

  uint8_t* host_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr device_memory_ = 0;
};

void sleep_a_while(void*) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }
void write_seven(void* data) {
  sleep_a_while(nullptr);
  memset(data, 7, 64);
}

TEST_P(MirroredOrder, AWaitingCopyToTheDeviceIsOverWhenItReturns) {
  for (size_t size : {size_t{64}, size_t{64} << 10, kSize}) {
    OK(cuLaunchHostFunc(nullptr, sleep_a_while, nullptr));
    OK(cuMemcpyHtoD_v2(device_memory_, host_, size));
    EXPECT_EQ(CUDA_SUCCESS, cuStreamQuery(nullptr)) << size;
  }
}

TEST_P(MirroredOrder, ACopyReadsWhatAnEarlierHostFunctionWrites) {
  OK(cuLaunchHostFunc(stream_, write_seven, host_));
  OK(cuMemcpyHtoDAsync_v2(device_memory_, host_, 64, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(std::vector<uint8_t>(64, 7), read<uint8_t>(device_memory_, 64));

  memset(host_, 0, 64);
  CUDA_MEMCPY2D rows{};
  rows.srcMemoryType = CU_MEMORYTYPE_HOST;
  rows.srcHost = host_;
  rows.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  rows.dstDevice = device_memory_ + 64;
  rows.srcPitch = rows.dstPitch = 16;
  rows.WidthInBytes = 16;
  rows.Height = 4;
  OK(cuLaunchHostFunc(stream_, write_seven, host_));
  OK(cuMemcpy2DAsync_v2(&rows, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(std::vector<uint8_t>(64, 7), read<uint8_t>(device_memory_ + 64, 64)) << "in rows";
}

struct Seen {
  const uint8_t* from;
  uint8_t first, last;
};
void look(void* data) {
  auto* seen = static_cast<Seen*>(data);
  seen->first = seen->from[0];
  seen->last = seen->from[(1 << 20) - 1];
}

TEST_P(MirroredOrder, AHostFunctionReadsWhatAnEarlierCopyWrites) {
  for (int i = 1; i <= 50; i++) {
    const auto value = static_cast<uint8_t>(i);
    Seen seen{host_, 0, 0};
    OK(cuMemsetD8Async(device_memory_, value, 1 << 20, stream_));
    OK(cuMemcpyDtoHAsync_v2(host_, device_memory_, 1 << 20, stream_));
    OK(cuLaunchHostFunc(stream_, look, &seen));
    OK(cuStreamSynchronize(stream_));
    ASSERT_EQ(value, seen.first) << "round " << i;
    ASSERT_EQ(value, seen.last) << "round " << i;
  }
}

TEST_P(MirroredOrder, AWaitingCopyToTheProgramComesAfterAnEarlierOneThatDoesNot) {
  CUdeviceptr ones = filled(1, kSize), twos = filled(2, kSize);
  for (size_t size : {size_t{1} << 10, size_t{64} << 10, size_t{1} << 20}) {
    for (int i = 0; i < 30; i++) {
      OK(cuMemcpyDtoHAsync_v2(host_, ones, size, nullptr));
      OK(cuMemcpyDtoH_v2(host_, twos, size));
      OK(cuCtxSynchronize());
      ASSERT_TRUE(holds(host_, size, 2)) << size << " bytes, round " << i;
    }
  }
}

TEST_P(MirroredOrder, ALargeCopyToTheProgramComesAfterAnEarlierSmallOne) {
  CUdeviceptr ones = filled(1, kSize), twos = filled(2, kSize);
  for (int i = 0; i < 50; i++) {
    OK(cuMemcpyDtoHAsync_v2(host_ + 1000, ones, 12'000, stream_));
    OK(cuMemcpyDtoHAsync_v2(host_, twos, 1 << 20, stream_));
    OK(cuStreamSynchronize(stream_));
    ASSERT_TRUE(holds(host_, 1 << 20, 2)) << "round " << i;
  }
}

TEST_P(MirroredOrder, WhatAnotherStreamCapturesIsNoHindranceToACopy) {
  CUstream capturing = nullptr;
  CUgraph graph = nullptr;
  OK(cuStreamCreate(&capturing, CU_STREAM_NON_BLOCKING));
  OK(cuMemcpyDtoHAsync_v2(host_, device_memory_, 4096, nullptr));
  OK(cuStreamBeginCapture_v2(capturing, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT_EQ(CUDA_SUCCESS, cuMemcpyHtoDAsync_v2(device_memory_ + 4096, host_, 4096, nullptr));
  OK(cuStreamEndCapture(capturing, &graph));
  OK(cuGraphDestroy(graph));
}

INSTANTIATE_TEST_SUITE_P(Memory, MirroredOrder, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Registered" : "Pinned"; });

class GraphOutputs : public DriverTest {
 protected:
  CUgraphExec capture(std::initializer_list<std::pair<uint8_t*, std::pair<CUdeviceptr, size_t>>> copies) {
    CUgraph graph = nullptr;
    CUgraphExec exec = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
    for (auto& [to, from] : copies) EXPECT_EQ(CUDA_SUCCESS, cuMemcpyDtoHAsync_v2(to, from.first, from.second, stream_));
    EXPECT_EQ(CUDA_SUCCESS, cuStreamEndCapture(stream_, &graph));
    EXPECT_EQ(CUDA_SUCCESS, cuGraphInstantiateWithFlags(&exec, graph, 0));
    return exec;
  }
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc_v2(&ones_, 4096));
    OK(cuMemAlloc_v2(&twos_, 4096));
    OK(cuMemsetD8_v2(ones_, 1, 4096));
    OK(cuMemsetD8_v2(twos_, 2, 4096));
    OK(cuCtxSynchronize());
  }
  CUstream stream_ = nullptr;
  CUdeviceptr ones_ = 0, twos_ = 0;
  std::vector<uint8_t> host_ = std::vector<uint8_t>(4096);
};

TEST_F(GraphOutputs, OfTwoToOnePlaceTheLaterOneStays) {
  CUgraphExec exec = capture({{host_.data(), {ones_, 4096}}, {host_.data(), {twos_, 4096}}});
  for (int i = 0; i < 3; i++) {
    OK(cuGraphLaunch(exec, stream_));
    OK(cuStreamSynchronize(stream_));
    EXPECT_EQ(2, host_[0]) << "launch " << i;
  }
}

TEST_F(GraphOutputs, OfTwoGraphsThatOverlapTheLaterOneStays) {
  CUgraphExec part = capture({{host_.data() + 100, {ones_, 50}}}), all = capture({{host_.data(), {twos_, 4096}}});
  for (int i = 0; i < 20; i++) {
    OK(cuGraphLaunch(part, stream_));
    OK(cuStreamSynchronize(stream_));
    OK(cuGraphLaunch(all, stream_));
    OK(cuGraphLaunch(part, stream_));  // writes what is there still
    OK(cuStreamSynchronize(stream_));
    ASSERT_EQ(2, host_[99]) << "round " << i;
    ASSERT_EQ(1, host_[100]) << "round " << i;
  }
}

// The function gets the outputs of all graphs that are under way, over a connection of its own; that large one comes
// before the small one and takes its time.
TEST_F(GraphOutputs, AreThereAfterAWaitAlsoWhenAFunctionInAnotherStreamIsHandedThem) {
  constexpr size_t kLarge = 64 << 20, kWork = 16 << 20;
  CUdeviceptr large = 0, work = 0, written = 0;
  OK(cuMemAlloc_v2(&large, kLarge));
  OK(cuMemAlloc_v2(&work, kWork));
  OK(cuMemAlloc_v2(&written, 1));
  static std::vector<uint8_t> large_host(kLarge);  // it outlives a failure
  CUstream functions = nullptr, looks = nullptr;
  OK(cuStreamCreate(&functions, CU_STREAM_NON_BLOCKING));
  OK(cuStreamCreate(&looks, CU_STREAM_NON_BLOCKING));
  for (int i = 1; i <= 5; i++) {
    const auto value = static_cast<uint8_t>(i);
    OK(cuMemsetD8_v2(large, value, kLarge));
    OK(cuMemsetD8_v2(ones_, value, 4096));
    OK(cuMemsetD8_v2(written, 0, 1));
    OK(cuCtxSynchronize());
    CUgraph graph = nullptr;
    CUgraphExec exec = nullptr;
    OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(cuMemcpyDtoHAsync_v2(large_host.data(), large, kLarge, stream_));
    OK(cuMemcpyDtoHAsync_v2(host_.data(), ones_, 4096, stream_));
    OK(cuMemsetD8Async(written, 1, 1, stream_));
    for (int k = 0; k < 2; k++) OK(cuMemsetD8Async(work, value, kWork, stream_));
    OK(cuStreamEndCapture(stream_, &graph));
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    OK(cuGraphLaunch(exec, stream_));
    for (uint8_t is_written = 0; !is_written;) OK(cuMemcpyDtoHAsync_v2(&is_written, written, 1, looks));
    OK(cuLaunchHostFunc(
        functions, [](void*) {}, nullptr));
    OK(cuStreamSynchronize(stream_));
    ASSERT_EQ(value, host_[0]) << "round " << i;
    ASSERT_EQ(value, host_[4095]) << "round " << i;
    memset(host_.data(), 99, host_.size());
    OK(cuStreamSynchronize(functions));
    ASSERT_EQ(99, host_[0]) << "round " << i << ": what comes late changes nothing";
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
  }
}

// A program may wait by looking at mapped memory, which over a network is fetched for it all the time.
TEST_F(GraphOutputs, AndCopiesAreThereWhenAFlagInMappedMemorySaysSo) {
  constexpr size_t kSize = 64 << 10, kWork = 1 << 20;
  CUdeviceptr memory = 0, flag_device = 0;
  void *host = nullptr, *flag = nullptr;
  OK(cuMemAlloc_v2(&memory, kWork));
  OK(cuMemHostAlloc(&host, kSize, 0));
  OK(cuMemHostAlloc(&flag, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
  OK(cuMemHostGetDevicePointer_v2(&flag_device, flag, 0));
  memset(flag, 0, 4096);
  for (uint32_t i = 1; i <= 40; i++) {
    OK(cuMemsetD8Async(memory, static_cast<uint8_t>(i), kWork, stream_));
    OK(cuMemcpyDtoHAsync_v2(host, memory, kSize, stream_));
    OK(cuStreamWriteValue32_v2(stream_, flag_device, i, 0));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (*static_cast<volatile uint32_t*>(flag) != i) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "round " << i;
      std::this_thread::yield();
    }
    ASSERT_EQ(i, static_cast<uint8_t*>(host)[0]) << "round " << i;
    ASSERT_EQ(i, static_cast<uint8_t*>(host)[kSize - 1]) << "round " << i;
  }
  OK(cuStreamSynchronize(stream_));
}

}  // namespace
