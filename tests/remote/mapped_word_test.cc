// A few bytes of mapped memory, as CUDA's libraries keep them, beside which a program launches kernels all the time.
#include "../driver/driver_test.h"
#include "../driver/kernels.h"

namespace {

class MappedWord : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    CUmodule module;
    OK(cuModuleLoadData(&module, kKernels));
    OK(cuModuleGetFunction(&fill_, module, "fill"));
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    void* p;
    OK(cuMemHostAlloc(&p, 8 * sizeof(uint32_t), CU_MEMHOSTALLOC_DEVICEMAP));
    words_ = static_cast<volatile uint32_t*>(p);
    for (int i = 0; i < 8; i++) words_[i] = 0;
  }
  void fill(CUdeviceptr p, uint32_t value) {
    void* params[] = {&p, &value};
    ASSERT_EQ(CUDA_SUCCESS, cuLaunchKernel(fill_, 1, 1, 1, 1, 1, 1, 0, stream_, params, nullptr));
  }
  CUdeviceptr word(int i) { return reinterpret_cast<CUdeviceptr>(&words_[i]); }

  CUfunction fill_ = nullptr;
  CUstream stream_ = nullptr;
  volatile uint32_t* words_ = nullptr;
};

// Counted by tests/remote/round_trips.sh.
TEST_F(MappedWord, ManyLaunchesBesideIt) {
  CUdeviceptr p;
  OK(cuMemAlloc_v2(&p, 64));
  for (uint32_t i = 0; i < 2000; i++) fill(p, i);
  OK(cuStreamSynchronize(stream_));
}

// Neither side's bytes are lost to old ones of the other, though nobody waits in between.
TEST_F(MappedWord, BothSidesWriteTheirOwnBytes) {
  for (uint32_t round = 1; round <= 50; round++) {
    for (int i = 0; i < 4; i++) {
      fill(word(2 * i), round * 10 + static_cast<uint32_t>(i));
      words_[2 * i + 1] = round * 100 + static_cast<uint32_t>(i);
    }
    OK(cuStreamSynchronize(stream_));
    for (uint32_t i = 0; i < 4; i++) {
      ASSERT_EQ(round * 10 + i, words_[2 * i]) << round;
      ASSERT_EQ(round * 100 + i, words_[2 * i + 1]) << round;
    }
  }
}

// What the program wrote before a launch is what its kernel finds, also in many places at once.
TEST_F(MappedWord, AKernelFindsWhatWasWrittenBeforeIt) {
  CUdeviceptr copy;
  void* p;
  constexpr size_t kBytes = 64 << 10;
  OK(cuMemHostAlloc(&p, kBytes, CU_MEMHOSTALLOC_DEVICEMAP));
  OK(cuMemAlloc_v2(&copy, kBytes));
  auto* bytes = static_cast<uint8_t*>(p);
  memset(bytes, 0, kBytes);
  for (uint32_t round = 1; round <= 20; round++) {
    fill(word(0), round);  // the device may have written anywhere
    for (size_t i = round % 7; i < kBytes; i += round % 2 ? 3 : 8000) bytes[i] = static_cast<uint8_t>(round);
    OK(cuMemcpyDtoDAsync_v2(copy, reinterpret_cast<CUdeviceptr>(p), kBytes, stream_));
    OK(cuStreamSynchronize(stream_));
    std::vector<uint8_t> there(kBytes);
    OK(cuMemcpyDtoH_v2(there.data(), copy, kBytes));
    ASSERT_EQ(0, memcmp(there.data(), bytes, kBytes)) << round;
  }
}

}  // namespace
