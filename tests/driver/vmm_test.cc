#include "driver_test.h"
#include "kernels.h"

#include <unistd.h>

namespace {

class Vmm : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    prop_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    prop_.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
    OK(cuMemGetAllocationGranularity(&unit_, &prop_, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  }
  void allow(CUdeviceptr p, size_t bytes, CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
    CUmemAccessDesc desc = {prop_.location, flags};
    OK(cuMemSetAccess(p, bytes, &desc, 1));
  }
  CUmemAllocationProp prop_ = {};
  size_t unit_ = 0;
};

TEST_F(Vmm, ReserveCreateMapAccess) {
  CUdeviceptr p = 0;
  OK(cuMemAddressReserve(&p, 4 * unit_, 0, 0, 0));
  CUmemGenericAllocationHandle a = 0, b = 0;
  OK(cuMemCreate(&a, unit_, &prop_, 0));
  OK(cuMemCreate(&b, unit_, &prop_, 0));
  OK(cuMemMap(p, unit_, 0, a, 0));
  OK(cuMemMap(p + unit_, unit_, 0, b, 0));
  uint8_t byte = 0;
  EXPECT_NE(CUDA_SUCCESS, cuMemcpyDtoH_v2(&byte, p, 1)) << "no access yet";
  allow(p, 2 * unit_);
  // One buffer over two allocations.
  OK(cuMemsetD8_v2(p + unit_ - 8, 5, 16));
  EXPECT_EQ(5, read<uint8_t>(p + unit_ - 8, 16)[15]);
  OK(cuMemRelease(a));  // the mapping keeps the memory
  EXPECT_EQ(5, read<uint8_t>(p + unit_ - 1, 1)[0]);
  EXPECT_NE(CUDA_SUCCESS, cuMemAddressFree(p, 4 * unit_)) << "still mapped";
  OK(cuMemUnmap(p, 2 * unit_));
  EXPECT_NE(CUDA_SUCCESS, cuMemcpyDtoH_v2(&byte, p, 1));
  OK(cuMemRelease(b));
  EXPECT_NE(CUDA_SUCCESS, cuMemRelease(b));
  OK(cuMemAddressFree(p, 4 * unit_));
}

TEST_F(Vmm, AddressesAreGivenWhereTheyAreWished) {
  CUdeviceptr p = 0, q = 0;
  const CUdeviceptr wish = 0x520000000000ull;
  OK(cuMemAddressReserve(&p, 16 * unit_, 0, wish, 0));
  EXPECT_EQ(wish, p);
  OK(cuMemAddressReserve(&q, 16 * unit_, 0, wish, 0));
  EXPECT_NE(wish, q) << "taken already";
  OK(cuMemAddressFree(p, 16 * unit_));
  OK(cuMemAddressFree(q, 16 * unit_));
  OK(cuMemAddressReserve(&p, unit_, 1ull << 30, 0, 0));
  EXPECT_EQ(0u, p % (1ull << 30));
  OK(cuMemAddressFree(p, unit_));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&p, unit_ + 1, 0, 0, 0));
}

TEST_F(Vmm, TheSameMemoryAtTwoAddresses) {
  CUdeviceptr p = 0;
  OK(cuMemAddressReserve(&p, 2 * unit_, 0, 0, 0));
  CUmemGenericAllocationHandle a = 0;
  OK(cuMemCreate(&a, unit_, &prop_, 0));
  OK(cuMemMap(p, unit_, 0, a, 0));
  OK(cuMemMap(p + unit_, unit_, 0, a, 0));
  allow(p, 2 * unit_);
  OK(cuMemsetD32_v2(p, 77, 1));
  EXPECT_EQ(77u, read<uint32_t>(p + unit_, 1)[0]);
  OK(cuMemUnmap(p, 2 * unit_));
  OK(cuMemRelease(a));
  OK(cuMemAddressFree(p, 2 * unit_));
}

TEST_F(Vmm, KernelsAreHeldToTheAccess) {
  CUmodule module = nullptr;
  CUfunction fill = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  OK(cuModuleGetFunction(&fill, module, "fill"));
  CUdeviceptr p = 0;
  OK(cuMemAddressReserve(&p, unit_, 0, 0, 0));
  CUmemGenericAllocationHandle a = 0;
  OK(cuMemCreate(&a, unit_, &prop_, 0));
  OK(cuMemMap(p, unit_, 0, a, 0));
  allow(p, unit_);
  unsigned value = 3;
  void* params[] = {&p, &value};
  OK(cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  OK(cuCtxSynchronize());
  EXPECT_EQ(3u, read<uint32_t>(p, 1)[0]);
  unsigned long long flags = 0;
  OK(cuMemGetAccess(&flags, &prop_.location, p));
  EXPECT_EQ(3u, flags);
  OK(cuMemUnmap(p, unit_));
  OK(cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
  OK(cuMemRelease(a));
  OK(cuMemAddressFree(p, unit_));
}

TEST_F(Vmm, PhysicalMemoryCountsAndIsGivenBack) {
  size_t before = 0, during = 0, after = 0, total = 0;
  OK(cuMemGetInfo_v2(&before, &total));
  CUmemGenericAllocationHandle a = 0;
  OK(cuMemCreate(&a, 32 * unit_, &prop_, 0));
  OK(cuMemGetInfo_v2(&during, &total));
  EXPECT_LE(during + 32 * unit_, before);
  OK(cuMemRelease(a));
  OK(cuMemGetInfo_v2(&after, &total));
  EXPECT_EQ(before, after);
  FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate(&a, (total / unit_ + 1) * unit_, &prop_, 0));
}

TEST_F(Vmm, DescriptorsCarryTheMemory) {
  prop_.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  CUmemGenericAllocationHandle a = 0, b = 0;
  OK(cuMemCreate(&a, unit_, &prop_, 0));
  CUmemAllocationProp got = {};
  OK(cuMemGetAllocationPropertiesFromHandle(&got, a));
  EXPECT_EQ(CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, got.requestedHandleTypes);
  int fd = -1;
  OK(cuMemExportToShareableHandle(&fd, a, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  OK(cuMemImportFromShareableHandle(&b, reinterpret_cast<void*>(static_cast<intptr_t>(fd)),
                                    CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
  close(fd);
  CUdeviceptr p = 0;
  OK(cuMemAddressReserve(&p, 2 * unit_, 0, 0, 0));
  OK(cuMemMap(p, unit_, 0, a, 0));
  OK(cuMemMap(p + unit_, unit_, 0, b, 0));
  allow(p, 2 * unit_);
  OK(cuMemsetD32_v2(p, 123, 4));
  EXPECT_EQ(123u, read<uint32_t>(p + unit_, 1)[0]);
  OK(cuMemUnmap(p, 2 * unit_));
  OK(cuMemRelease(a));
  OK(cuMemRelease(b));
  OK(cuMemAddressFree(p, 2 * unit_));
}

TEST_F(Vmm, AHandleIsFoundByAnAddress) {
  CUdeviceptr p = 0;
  OK(cuMemAddressReserve(&p, unit_, 0, 0, 0));
  CUmemGenericAllocationHandle a = 0, again = 0;
  OK(cuMemCreate(&a, unit_, &prop_, 0));
  OK(cuMemMap(p, unit_, 0, a, 0));
  OK(cuMemRetainAllocationHandle(&again, p + 100));
  EXPECT_EQ(a, again);
  OK(cuMemRelease(a));
  OK(cuMemRelease(again));
  EXPECT_NE(CUDA_SUCCESS, cuMemRelease(again));
  OK(cuMemUnmap(p, unit_));
  OK(cuMemAddressFree(p, unit_));
}

TEST_F(Vmm, WhatDoesNotFitIsRefused) {
  CUdeviceptr p = 0;
  OK(cuMemAddressReserve(&p, 2 * unit_, 0, 0, 0));
  CUmemGenericAllocationHandle a = 0;
  OK(cuMemCreate(&a, unit_, &prop_, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemMap(p, 2 * unit_, 0, a, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemMap(p + 4096, unit_, 0, a, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemMap(p + 2 * unit_, unit_, 0, a, 0));
  OK(cuMemMap(p, unit_, 0, a, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemMap(p, unit_, 0, a, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(p, 2 * unit_));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&a, unit_ / 2, &prop_, 0));
  OK(cuMemUnmap(p, unit_));
  OK(cuMemRelease(a));
  OK(cuMemAddressFree(p, 2 * unit_));
}

}  // namespace
