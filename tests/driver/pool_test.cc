#include "driver_test.h"

#include <atomic>

namespace {

class PoolTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  }
  uint64_t attribute(CUmemoryPool pool, CUmemPool_attribute attr) {
    uint64_t value = 0;
    EXPECT_EQ(CUDA_SUCCESS, cuMemPoolGetAttribute(pool, attr, &value));
    return value;
  }
  CUmemPoolProps props() {
    CUmemPoolProps p = {};
    p.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    p.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
    return p;
  }
  CUstream stream_ = nullptr;
};

TEST_F(PoolTest, AllocatesAndFreesInTheOrderOfTheStream) {
  CUdeviceptr p = 0;
  OK(cuMemAllocAsync(&p, 1 << 20, stream_));
  OK(cuMemsetD8Async(p, 6, 1 << 20, stream_));
  uint8_t last = 0;
  OK(cuMemcpyDtoHAsync_v2(&last, p + (1 << 20) - 1, 1, stream_));
  OK(cuMemFreeAsync(p, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(6, last);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(p, stream_));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(&last, p, 1));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAllocAsync(&p, 0, stream_));
}

TEST_F(PoolTest, DefaultPoolIsCurrentUntilAnotherIsSet) {
  CUmemoryPool standard = nullptr, current = nullptr, mine = nullptr;
  OK(cuDeviceGetDefaultMemPool(&standard, device_));
  OK(cuDeviceGetMemPool(&current, device_));
  EXPECT_EQ(standard, current);
  const CUmemPoolProps p = props();
  OK(cuMemPoolCreate(&mine, &p));
  OK(cuDeviceSetMemPool(device_, mine));
  CUdeviceptr a = 0;
  OK(cuMemAllocAsync(&a, 4096, stream_));
  EXPECT_GE(attribute(mine, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 4096u);
  CUmemoryPool of_pointer = nullptr;
  OK(cuPointerGetAttribute(&of_pointer, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, a));
  EXPECT_EQ(mine, of_pointer);
  OK(cuMemFreeAsync(a, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(0u, attribute(mine, CU_MEMPOOL_ATTR_USED_MEM_CURRENT));
  EXPECT_GE(attribute(mine, CU_MEMPOOL_ATTR_USED_MEM_HIGH), 4096u);
  uint64_t zero = 0;
  OK(cuMemPoolSetAttribute(mine, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &zero));
  EXPECT_EQ(0u, attribute(mine, CU_MEMPOOL_ATTR_USED_MEM_HIGH));
  OK(cuMemPoolDestroy(mine));
  OK(cuDeviceGetMemPool(&current, device_));
  EXPECT_EQ(standard, current);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPoolDestroy(standard));
}

TEST_F(PoolTest, KeepsWhatTheThresholdAllows) {
  CUmemoryPool pool = nullptr;
  const CUmemPoolProps p = props();
  OK(cuMemPoolCreate(&pool, &p));
  uint64_t threshold = 64 << 20;
  OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
  CUdeviceptr a = 0;
  OK(cuMemAllocFromPoolAsync(&a, 32 << 20, pool, stream_));
  OK(cuMemFreeAsync(a, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_GE(attribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 32u << 20);
  OK(cuMemPoolTrimTo(pool, 0));
  EXPECT_EQ(0u, attribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT));
  int reuse = 0;
  OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &reuse));
  reuse = 9;
  OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &reuse));
  EXPECT_EQ(0, reuse);
  OK(cuMemPoolDestroy(pool));
}

TEST_F(PoolTest, MemoryBeingFreedCountsAsFree) {
  size_t free_bytes = 0, total = 0;
  OK(cuMemGetInfo_v2(&free_bytes, &total));
  const size_t most = free_bytes / 4 * 3;
  CUdeviceptr p = 0;
  for (int i = 0; i < 4; ++i) {
    OK(cuMemAllocAsync(&p, most, stream_));
    OK(cuMemFreeAsync(p, stream_));
  }
  FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocAsync(&p, total * 2, stream_));
  OK(cuStreamSynchronize(stream_));
}

TEST_F(PoolTest, AccessIsGivenByDevice) {
  int count = 0;
  OK(cuDeviceGetCount(&count));
  if (count < 2) GTEST_SKIP() << "one device";
  CUmemoryPool pool = nullptr;
  const CUmemPoolProps p = props();
  OK(cuMemPoolCreate(&pool, &p));
  CUmemLocation other = {CU_MEM_LOCATION_TYPE_DEVICE, 1};
  CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
  OK(cuMemPoolGetAccess(&flags, pool, &other));
  EXPECT_EQ(CU_MEM_ACCESS_FLAGS_PROT_NONE, flags);
  CUmemAccessDesc desc = {other, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  OK(cuMemPoolSetAccess(pool, &desc, 1));
  OK(cuMemPoolGetAccess(&flags, pool, &other));
  EXPECT_EQ(CU_MEM_ACCESS_FLAGS_PROT_READWRITE, flags);
  OK(cuMemPoolDestroy(pool));
}

TEST_F(PoolTest, BadHandlesAndPropertiesAreRefused) {
  CUmemoryPool pool = nullptr;
  CUmemPoolProps p = props();
  p.location.id = 77;
  EXPECT_NE(CUDA_SUCCESS, cuMemPoolCreate(&pool, &p));
  uint64_t value = 0;
  EXPECT_NE(CUDA_SUCCESS, cuMemPoolGetAttribute(nullptr, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &value));
  OK(cuDeviceGetDefaultMemPool(&pool, device_));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPoolGetAttribute(pool, static_cast<CUmemPool_attribute>(88), &value));
}

}  // namespace
