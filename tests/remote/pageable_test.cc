// Copies between the device and memory that is not pinned: every byte, in stream order, and no bytes that are not right.
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "../driver/driver_test.h"
#include "../driver/kernels.h"

namespace {

std::vector<uint8_t> noise(size_t size, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<uint8_t> out(size);
  for (auto& b : out) b = static_cast<uint8_t>(random() >> 8);
  return out;
}

class Pageable : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuMemAlloc_v2(&p_, kSize));
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  }
  // Holds the stream up until release().
  void hold() {
    CUmodule module;
    CUfunction spin;
    OK(cuMemHostAlloc(reinterpret_cast<void**>(const_cast<uint32_t**>(&flag_)), sizeof *flag_, CU_MEMHOSTALLOC_DEVICEMAP));
    *flag_ = 0;
    OK(cuModuleLoadData(&module, kKernels));
    OK(cuModuleGetFunction(&spin, module, "spin"));
    CUdeviceptr flag = reinterpret_cast<CUdeviceptr>(flag_);
    void* params[] = {&flag};
    OK(cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream_, params, nullptr));
  }
  void release() { __atomic_store_n(flag_, 1, __ATOMIC_SEQ_CST); }

  static constexpr size_t kSize = 64 << 20;
  CUdeviceptr p_ = 0;
  CUstream stream_ = nullptr;
  volatile uint32_t* flag_ = nullptr;
};

TEST_F(Pageable, EverySizeAndOffsetArrivesWhole) {
  unsigned seed = 1;
  for (size_t size : {1ul, 4096ul, 16383ul, 16384ul, 65537ul, 262145ul, (1ul << 20) + 1, (2ul << 20) + 262144, 9'000'003ul}) {
    auto in = noise(size + 3, seed++);
    OK(cuMemcpyHtoDAsync_v2(p_ + 5, in.data() + 3, size, stream_));
    auto sent = in;
    std::fill(in.begin(), in.end(), 0);  // the program's bytes are its own again
    std::vector<uint8_t> out(size + 2, 0x5a);
    OK(cuMemcpyDtoHAsync_v2(out.data() + 1, p_ + 5, size, stream_));
    ASSERT_TRUE(std::equal(out.begin() + 1, out.end() - 1, sent.begin() + 3)) << size;
    EXPECT_EQ(0x5a, out.front());
    EXPECT_EQ(0x5a, out.back());
  }
}

TEST_F(Pageable, CopiesKeepTheirOrderInAStream) {
  constexpr size_t kPart = 3 << 20;
  for (unsigned i = 0; i < 12; i++) {
    auto in = noise(kPart, i);
    OK(cuMemcpyHtoDAsync_v2(p_, in.data(), kPart, stream_));
    OK(cuMemcpyDtoDAsync_v2(p_ + (i + 1) * kPart, p_, kPart, stream_));
  }
  std::vector<uint8_t> out(kPart);
  for (unsigned i = 0; i < 12; i++) {
    OK(cuMemcpyDtoHAsync_v2(out.data(), p_ + (i + 1) * kPart, kPart, stream_));
    ASSERT_EQ(noise(kPart, i), out) << i;
  }
}

TEST_F(Pageable, ThreadsDoNotMixTheirBytes) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (unsigned t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      cuCtxSetCurrent(context_);
      CUstream stream;
      if (cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING)) wrong++;
      const CUdeviceptr mine = p_ + t * (16 << 20);
      for (unsigned i = 0; i < 10; i++) {
        auto in = noise(5'000'000 + 1000 * i + t, 100 * t + i);
        std::vector<uint8_t> out(in.size());
        if (cuMemcpyHtoDAsync_v2(mine, in.data(), in.size(), stream)) wrong++;
        if (cuMemcpyDtoHAsync_v2(out.data(), mine, out.size(), stream)) wrong++;
        if (in != out) wrong++;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(0, wrong);
}

// More than there is room for on the way, behind a kernel that takes its time.
TEST_F(Pageable, AStreamThatIsHeldUpOnlyDelaysThem) {
  hold();
  std::thread releaser([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    release();
  });
  auto in = noise(kSize, 3);
  OK(cuMemcpyHtoDAsync_v2(p_, in.data(), kSize, stream_));
  std::vector<uint8_t> out(kSize);
  OK(cuMemcpyDtoHAsync_v2(out.data(), p_, kSize, stream_));
  releaser.join();
  EXPECT_EQ(in, out);
}

TEST_F(Pageable, AContextThatEndsTakesNothingWithItThatTheNextOneNeeds) {
  for (unsigned i = 0; i < 3; i++) {
    CUcontext other;
    OK(cuCtxCreate_v2(&other, 0, device_));
    CUdeviceptr q;
    OK(cuMemAlloc_v2(&q, 4 << 20));
    auto in = noise(4 << 20, i);
    OK(cuMemcpyHtoD_v2(q, in.data(), in.size()));
    EXPECT_EQ(in, read<uint8_t>(q, in.size()));
    OK(cuCtxDestroy_v2(other));
    OK(cuCtxSetCurrent(context_));
    OK(cuMemcpyHtoD_v2(p_, in.data(), in.size()));
    EXPECT_EQ(in, read<uint8_t>(p_, in.size()));
  }
}

TEST_F(Pageable, BytesBehindAFaultAreAnErrorAndNotASuccess) {
  CUmodule module;
  CUfunction spin;
  OK(cuModuleLoadData(&module, kKernels));
  OK(cuModuleGetFunction(&spin, module, "spin"));
  CUdeviceptr nowhere = 0x10;
  void* params[] = {&nowhere};
  std::vector<uint8_t> out(8 << 20);
  OK(cuMemcpyDtoHAsync_v2(out.data(), p_, out.size(), stream_));  // it works until then
  OK(cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream_, params, nullptr));
  auto start = std::chrono::steady_clock::now();
  FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyDtoHAsync_v2(out.data(), p_, out.size(), stream_));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
