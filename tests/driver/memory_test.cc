#include "driver_test.h"

#include <sys/mman.h>

namespace {

class Memory : public DriverTest {};

TEST_F(Memory, FreeMemoryFollowsAllocations) {
  size_t before = 0, during = 0, after = 0, total = 0;
  OK(cuMemGetInfo_v2(&before, &total));
  EXPECT_LE(before, total);
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 64 << 20));
  EXPECT_EQ(0u, p % 256);
  OK(cuMemGetInfo_v2(&during, &total));
  EXPECT_LE(during + (64u << 20), before);
  OK(cuMemFree_v2(p));
  OK(cuMemGetInfo_v2(&after, &total));
  EXPECT_EQ(before, after);
}

TEST_F(Memory, BadFreesAndSizesAreRefused) {
  CUdeviceptr p = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAlloc_v2(&p, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAlloc_v2(nullptr, 16));
  OK(cuMemFree_v2(0));
  OK(cuMemAlloc_v2(&p, 4096));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(p + 256));
  OK(cuMemFree_v2(p));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(p));
}

TEST_F(Memory, OutOfMemoryIsSaidAtOnceAndLeavesTheContextFine) {
  size_t free_bytes = 0, total = 0;
  OK(cuMemGetInfo_v2(&free_bytes, &total));
  CUdeviceptr p = 0, q = 0;
  FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&p, total + 1));
  OK(cuMemAlloc_v2(&p, free_bytes / 2));
  FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&q, free_bytes / 4 * 3));
  OK(cuMemAlloc_v2(&q, 1 << 20));
  OK(cuMemFree_v2(p));
  OK(cuMemAlloc_v2(&p, free_bytes / 4 * 3));
}

TEST_F(Memory, RangeAnswersForEveryAddressInside) {
  CUdeviceptr p = 0, base = 0;
  size_t size = 0;
  OK(cuMemAlloc_v2(&p, 10000));
  OK(cuMemGetAddressRange_v2(&base, &size, p + 9999));
  EXPECT_EQ(p, base);
  EXPECT_GE(size, 10000u);
  OK(cuMemFree_v2(p));
  EXPECT_NE(CUDA_SUCCESS, cuMemGetAddressRange_v2(&base, &size, p));
}

TEST_F(Memory, PitchHoldsTheRow) {
  CUdeviceptr p = 0;
  size_t pitch = 0;
  OK(cuMemAllocPitch_v2(&p, &pitch, 1000, 7, 4));
  EXPECT_GE(pitch, 1000u);
  EXPECT_EQ(0u, pitch % 32);
  OK(cuMemsetD2D8_v2(p, pitch, 5, 1000, 7));
  OK(cuMemFree_v2(p));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAllocPitch_v2(&p, &pitch, 1000, 7, 3));
}

TEST_F(Memory, FillsOfEveryWidth) {
  CUdeviceptr p = counted(64);
  OK(cuMemsetD8_v2(p, 0xab, 3));
  OK(cuMemsetD16_v2(p + 4, 0x1234, 2));
  OK(cuMemsetD32_v2(p + 8, 0xdeadbeef, 2));
  const auto bytes = read<uint8_t>(p, 17);
  const uint8_t want[17] = {0xab, 0xab, 0xab, 3,    0x34, 0x12, 0x34, 0x12, 0xef,
                            0xbe, 0xad, 0xde, 0xef, 0xbe, 0xad, 0xde, 16};
  EXPECT_EQ(0, std::memcmp(want, bytes.data(), sizeof want));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2(p + 2, 0, 1));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(0, 0, 1));
  CUdeviceptr grid = counted(100);
  OK(cuMemsetD2D16_v2(grid, 10, 0xffff, 2, 10));
  const auto rows = read<uint8_t>(grid, 100);
  for (int y = 0; y < 10; ++y) {
    EXPECT_EQ(0xff, rows[y * 10 + 3]);
    EXPECT_EQ(y * 10 + 4, rows[y * 10 + 4]);
  }
}

TEST_F(Memory, PinnedMemoryIsTheSameAtBothEnds) {
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, 4096, 2));
  std::memset(host, 7, 4096);
  CUdeviceptr device = 0;
  OK(cuMemHostGetDevicePointer_v2(&device, host, 0));
  OK(cuMemsetD8_v2(device, 9, 100));
  OK(cuCtxSynchronize());
  EXPECT_EQ(9, static_cast<uint8_t*>(host)[99]);
  EXPECT_EQ(7, static_cast<uint8_t*>(host)[100]);
  unsigned flags = 0;
  OK(cuMemHostGetFlags(&flags, host));
  EXPECT_EQ(2u, flags & 2u);
  OK(cuMemFreeHost(host));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemHostGetFlags(&flags, host));
}

TEST_F(Memory, RegisteredMemoryIsPinnedUntilItIsUnregistered) {
  const size_t bytes = 64 << 10;
  void* host = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  OK(cuMemHostRegister_v2(host, bytes, 2));
  FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2(host, bytes, 2));
  CUdeviceptr device = 0;
  OK(cuMemHostGetDevicePointer_v2(&device, host, 0));
  OK(cuMemsetD32_v2(device, 42, bytes / 4));
  OK(cuCtxSynchronize());
  EXPECT_EQ(42, static_cast<int*>(host)[bytes / 4 - 1]);
  OK(cuMemHostUnregister(host));
  FAILS(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(host));
  munmap(host, bytes);
}

TEST_F(Memory, ManagedMemoryIsUsedFromBothSides) {
  CUdeviceptr p = 0;
  OK(cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL));
  auto* host = reinterpret_cast<int*>(p);
  host[5] = 77;
  int value = 0;
  OK(cuMemcpyDtoH_v2(&value, p + 20, 4));
  EXPECT_EQ(77, value);
  OK(cuMemsetD32_v2(p, 3, 1024));
  OK(cuCtxSynchronize());
  EXPECT_EQ(3, host[1023]);
  OK(cuMemFree_v2(p));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAllocManaged(&p, 4096, 99));
}

}  // namespace
