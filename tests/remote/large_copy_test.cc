// Large copies where the bytes travel beside the calls (src/wire/lanes.h): pinned and pageable, both ways, from several
// threads, and when they are refused.
#include <thread>

#include "../driver/driver_test.h"
#include "../driver/kernels.h"

namespace {

constexpr size_t kMiB = 1 << 20;

std::vector<uint32_t> pattern(size_t bytes, uint32_t seed) {
  std::vector<uint32_t> out(bytes / 4);
  for (size_t i = 0; i < out.size(); i++) out[i] = static_cast<uint32_t>(i) * 2654435761u + seed;
  return out;
}

class LargeCopy : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  }
  CUdeviceptr device(size_t bytes) {
    CUdeviceptr p = 0;
    EXPECT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&p, bytes));
    return p;
  }
  uint32_t* pinned(size_t bytes) {
    void* p = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuMemHostAlloc(&p, bytes, 0));
    return static_cast<uint32_t*>(p);
  }
  CUstream stream_ = nullptr;
};

// 150 MiB: more than the server copies through memory that it keeps ready.
TEST_F(LargeCopy, ArrivesWholeWhateverItsSize) {
  const CUdeviceptr p = device(151 * kMiB);
  for (size_t bytes :
       {kMiB / 2, kMiB / 2 + 4, kMiB, 4 * kMiB, 16 * kMiB, 16 * kMiB + 4, 17 * kMiB + 12, 65 * kMiB, 150 * kMiB}) {
    auto in = pattern(bytes, static_cast<uint32_t>(bytes));
    OK(cuMemcpyHtoD_v2(p + 4, in.data(), bytes));
    std::vector<uint32_t> out(in.size());
    OK(cuMemcpyDtoH_v2(out.data(), p + 4, bytes));
    ASSERT_TRUE(in == out) << bytes;
  }
}

TEST_F(LargeCopy, PinnedBytesComeInStreamOrder) {
  constexpr size_t kBytes = 9 * kMiB;
  const CUdeviceptr a = device(kBytes), b = device(kBytes);
  uint32_t* in = pinned(kBytes);
  uint32_t* out = pinned(kBytes);
  for (uint32_t round = 0; round < 6; round++) {
    const auto expected = pattern(kBytes, round);
    memcpy(in, expected.data(), kBytes);
    memset(out, 0, kBytes);
    OK(cuMemcpyHtoDAsync_v2(a, in, kBytes, stream_));
    OK(cuMemcpyDtoDAsync_v2(b, a, kBytes, stream_));
    OK(cuMemsetD32Async(a, 7, kBytes / 4, stream_));
    OK(cuMemcpyDtoHAsync_v2(out, b, kBytes, stream_));
    OK(cuMemsetD32Async(b, 8, kBytes / 4, stream_));
    OK(cuStreamSynchronize(stream_));
    ASSERT_EQ(0, memcmp(expected.data(), out, kBytes)) << round;
  }
}

// More than 64 MiB on their way at once, to be overwritten behind the copy.
TEST_F(LargeCopy, AnAsynchronousCopyReadsWhatWasThereInItsTurn) {
  constexpr size_t kBytes = 100 * kMiB;
  const CUdeviceptr p = device(kBytes);
  uint32_t* out = pinned(kBytes);
  OK(cuMemsetD32Async(p, 1, kBytes / 4, stream_));
  OK(cuMemcpyDtoHAsync_v2(out, p, kBytes, stream_));
  OK(cuMemsetD32Async(p, 2, kBytes / 4, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(kBytes / 4, static_cast<size_t>(std::count(out, out + kBytes / 4, 1u)));
}

TEST_F(LargeCopy, ThreadsCopyBothWaysAtOnce) {
  constexpr size_t kBytes = 5 * kMiB;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      EXPECT_EQ(CUDA_SUCCESS, cuCtxSetCurrent(context_));
      CUstream mine;
      EXPECT_EQ(CUDA_SUCCESS, cuStreamCreate(&mine, CU_STREAM_NON_BLOCKING));
      const CUdeviceptr p = device(kBytes);
      uint32_t* memory = pinned(kBytes);
      std::vector<uint32_t> out(kBytes / 4);
      for (uint32_t i = 0; i < 5; i++) {
        const auto in = pattern(kBytes, t * 100 + i);
        memcpy(memory, in.data(), kBytes);
        EXPECT_EQ(CUDA_SUCCESS, cuMemcpyHtoDAsync_v2(p, t % 2 ? memory : in.data(), kBytes, mine));
        if (i % 2) {
          EXPECT_EQ(CUDA_SUCCESS, cuMemcpyDtoHAsync_v2(out.data(), p, kBytes, mine));
        } else {
          memset(memory, 0, t % 2 ? 0 : kBytes);
          EXPECT_EQ(CUDA_SUCCESS, cuMemcpyDtoHAsync_v2(memory, p, kBytes, mine));
          EXPECT_EQ(CUDA_SUCCESS, cuStreamSynchronize(mine));
          memcpy(out.data(), memory, kBytes);
        }
        ASSERT_TRUE(in == out) << t << " " << i;
      }
    });
  }
  for (auto& t : threads) t.join();
}

// A reply about one stream comes behind the bytes that were pushed before it.
TEST_F(LargeCopy, AnEventBehindACopyMeansThatTheBytesAreThere) {
  constexpr size_t kBytes = 20 * kMiB;
  const CUdeviceptr p = device(kBytes);
  uint32_t* out = pinned(kBytes);
  CUevent event;
  OK(cuEventCreate(&event, CU_EVENT_DEFAULT));
  for (uint32_t round = 1; round < 5; round++) {
    OK(cuMemsetD32Async(p, round, kBytes / 4, stream_));
    OK(cuMemcpyDtoHAsync_v2(out, p, kBytes, stream_));
    OK(cuEventRecord(event, stream_));
    CUresult e;
    while ((e = cuEventQuery(event)) == CUDA_ERROR_NOT_READY) std::this_thread::yield();
    OK(e);
    ASSERT_EQ(round, out[0]);
    ASSERT_EQ(round, out[kBytes / 4 - 1]);
  }
}

// The one that comes last in its stream, all of it.
TEST_F(LargeCopy, OfTwoCopiesToOnePlaceTheLaterOneStays) {
  constexpr size_t kBytes = 6 * kMiB;
  const CUdeviceptr p = device(kBytes);
  uint32_t* out = pinned(kBytes);
  for (uint32_t round = 0; round < 20; round++) {
    for (uint32_t copy = 0; copy < 4; copy++) {
      OK(cuMemsetD32Async(p, round * 4 + copy, kBytes / 4, stream_));
      const size_t from = copy % 2 ? 0 : kMiB;
      OK(cuMemcpyDtoHAsync_v2(reinterpret_cast<char*>(out) + from, p, kBytes - from, stream_));
    }
    OK(cuStreamSynchronize(stream_));
    ASSERT_EQ(kBytes / 4, static_cast<size_t>(std::count(out, out + kBytes / 4, round * 4 + 3))) << round;
  }
}

// The memory may be somebody else's as soon as it is freed.
TEST_F(LargeCopy, FreeingPinnedMemoryWaitsForItsCopies) {
  constexpr size_t kBytes = 12 * kMiB;
  const CUdeviceptr p = device(kBytes);
  for (uint32_t round = 0; round < 4; round++) {
    uint32_t* memory = pinned(kBytes);
    const auto in = pattern(kBytes, round);
    memcpy(memory, in.data(), kBytes);
    OK(cuMemcpyHtoDAsync_v2(p, memory, kBytes, stream_));
    OK(cuMemFreeHost(memory));
    std::vector<uint32_t> out(in.size());
    OK(cuMemcpyDtoH_v2(out.data(), p, kBytes));
    ASSERT_TRUE(in == out);
  }
}

TEST_F(LargeCopy, ARefusedCopyChangesNothingAndTheNextOneWorks) {
  constexpr size_t kBytes = 6 * kMiB;
  const CUdeviceptr p = device(kBytes);
  const auto in = pattern(kBytes, 3);
  std::vector<uint32_t> out(in.size(), 5);
  EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(p, in.data(), kBytes + 4));
  EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(out.data(), p + 4, kBytes));
  EXPECT_EQ(5u, out[0]);
  CUstream gone;
  OK(cuStreamCreate(&gone, CU_STREAM_NON_BLOCKING));
  OK(cuStreamDestroy_v2(gone));
  EXPECT_NE(CUDA_SUCCESS, cuMemcpyHtoDAsync_v2(p, in.data(), kBytes, gone));
  EXPECT_NE(CUDA_SUCCESS, cuMemcpyDtoHAsync_v2(out.data(), p, kBytes, gone));
  OK(cuMemcpyHtoD_v2(p, in.data(), kBytes));
  OK(cuMemcpyDtoH_v2(out.data(), p, kBytes));
  EXPECT_TRUE(in == out);
}

// What only the server finds out: it is told of the copies before anybody has heard of the fault.
TEST_F(LargeCopy, CopiesBehindAFaultFailAndTheNextContextCopiesAgain) {
  constexpr size_t kBytes = 6 * kMiB;
  CUdeviceptr p = device(kBytes);
  const auto in = pattern(kBytes, 3);
  uint32_t* memory = pinned(kBytes);
  CUmodule module;
  CUfunction trap;
  OK(cuModuleLoadData(&module, kKernels));
  OK(cuModuleGetFunction(&trap, module, "trap_kernel"));
  OK(cuLaunchKernel(trap, 1, 1, 1, 1, 1, 1, 0, stream_, nullptr, nullptr));
  for (int i = 0; i < 3; i++) {
    cuMemcpyHtoDAsync_v2(p, i % 2 ? in.data() : memory, kBytes, stream_);
    cuMemcpyDtoHAsync_v2(memory, p, kBytes, stream_);
  }
  std::vector<uint32_t> out(in.size());
  EXPECT_NE(CUDA_SUCCESS, cuMemcpyDtoH_v2(out.data(), p, kBytes));
  OK(cuDevicePrimaryCtxReset_v2(device_));
  if (cuDevicePrimaryCtxRetain(&context_, device_) == CUDA_ERROR_LAUNCH_FAILED) {
    GTEST_SKIP() << "for this driver a trap is the end of the process's work";
  }
  OK(cuCtxSetCurrent(context_));
  p = device(kBytes);
  OK(cuMemcpyHtoD_v2(p, in.data(), kBytes));
  OK(cuMemcpyDtoH_v2(out.data(), p, kBytes));
  EXPECT_TRUE(in == out);
}

}  // namespace
