// What the driver says about an address, asked through the client.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "../driver/driver_test.h"

namespace {

class Pointer : public DriverTest {
 protected:
  template <class T>
  T ask(CUpointer_attribute attribute, CUdeviceptr p) {
    T value;
    std::memset(&value, 0xee, sizeof value);
    EXPECT_EQ(CUDA_SUCCESS, cuPointerGetAttribute(&value, attribute, p)) << attribute;
    return value;
  }
  CUresult try_ask(CUpointer_attribute attribute, CUdeviceptr p) {
    uint64_t value[8];
    return cuPointerGetAttribute(value, attribute, p);
  }
  static CUdeviceptr address(const void* p) { return reinterpret_cast<CUdeviceptr>(p); }
};

TEST_F(Pointer, DeviceMemoryIsDescribedAtEveryByte) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 10000));
  for (CUdeviceptr at : {p, p + 1, p + 9999}) {
    EXPECT_EQ(context_, ask<CUcontext>(CU_POINTER_ATTRIBUTE_CONTEXT, at));
    EXPECT_EQ(unsigned{CU_MEMORYTYPE_DEVICE}, ask<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at));
    EXPECT_EQ(at, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, at));
    EXPECT_EQ(0u, ask<unsigned>(CU_POINTER_ATTRIBUTE_IS_MANAGED, at));
    EXPECT_EQ(0, ask<int>(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, at));
    EXPECT_EQ(p, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, at));
    EXPECT_EQ(10000u, ask<size_t>(CU_POINTER_ATTRIBUTE_RANGE_SIZE, at));
    EXPECT_EQ(1u, ask<unsigned>(CU_POINTER_ATTRIBUTE_MAPPED, at));
    EXPECT_EQ(1u, ask<unsigned>(CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, at));
    FAILS(CUDA_ERROR_INVALID_VALUE, try_ask(CU_POINTER_ATTRIBUTE_HOST_POINTER, at));
  }
  OK(cuMemFree_v2(p));
  FAILS(CUDA_ERROR_INVALID_VALUE, try_ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
}

TEST_F(Pointer, BufferNumbersTellAllocationsApart) {
  CUdeviceptr p = 0, q = 0;
  OK(cuMemAlloc_v2(&p, 4096));
  OK(cuMemAlloc_v2(&q, 4096));
  auto number = [&](CUdeviceptr at) { return ask<uint64_t>(CU_POINTER_ATTRIBUTE_BUFFER_ID, at); };
  const uint64_t first = number(p);
  EXPECT_EQ(first, number(p + 4095));
  EXPECT_NE(first, number(q));
  OK(cuMemFree_v2(p));
  OK(cuMemAlloc_v2(&p, 4096));
  EXPECT_NE(first, number(p));
}

TEST_F(Pointer, PinnedMemoryIsHostMemoryWithADeviceAddress) {
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, 10000, 0));
  CUdeviceptr device = 0;
  OK(cuMemHostGetDevicePointer_v2(&device, host, 0));
  const CUdeviceptr at = address(host) + 5000;
  EXPECT_EQ(unsigned{CU_MEMORYTYPE_HOST}, ask<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at));
  EXPECT_EQ(at, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_HOST_POINTER, at));
  EXPECT_EQ(device + 5000, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, at));
  EXPECT_EQ(context_, ask<CUcontext>(CU_POINTER_ATTRIBUTE_CONTEXT, at));
  EXPECT_EQ(address(host), ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, at));
  EXPECT_EQ(10000u, ask<size_t>(CU_POINTER_ATTRIBUTE_RANGE_SIZE, at));
  EXPECT_EQ(0u, ask<unsigned>(CU_POINTER_ATTRIBUTE_IS_MANAGED, at));
  OK(cuMemFreeHost(host));
  FAILS(CUDA_ERROR_INVALID_VALUE, try_ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at));
}

TEST_F(Pointer, RegisteredMemoryIsKnownByBothItsAddresses) {
  std::vector<char> memory(100000);
  OK(cuMemHostRegister_v2(memory.data(), memory.size(), CU_MEMHOSTREGISTER_DEVICEMAP));
  CUdeviceptr device = 0;
  OK(cuMemHostGetDevicePointer_v2(&device, memory.data(), 0));
  const CUdeviceptr at = address(memory.data()) + 77777;
  EXPECT_EQ(device + 77777, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, at));
  EXPECT_EQ(unsigned{CU_MEMORYTYPE_HOST}, ask<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device + 77777));
  EXPECT_EQ(at, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_HOST_POINTER, device + 77777));
  OK(cuMemHostUnregister(memory.data()));
  FAILS(CUDA_ERROR_INVALID_VALUE, try_ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at));
}

TEST_F(Pointer, ManagedMemoryIsOneAddressForBoth) {
  CUdeviceptr p = 0;
  OK(cuMemAllocManaged(&p, 8192, CU_MEM_ATTACH_GLOBAL));
  EXPECT_EQ(1u, ask<unsigned>(CU_POINTER_ATTRIBUTE_IS_MANAGED, p + 100));
  EXPECT_EQ(unsigned{CU_MEMORYTYPE_DEVICE}, ask<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p + 100));
  EXPECT_EQ(p + 100, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_HOST_POINTER, p + 100));
  EXPECT_EQ(p + 100, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, p + 100));
  OK(cuMemFree_v2(p));
}

TEST_F(Pointer, TheProgramsOwnMemoryIsNobodys) {
  int on_stack = 0;
  std::vector<char> on_heap(1 << 20);
  void* unmapped = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(unmapped, 4096);
  for (const void* p : {static_cast<const void*>(&on_stack), static_cast<const void*>(on_heap.data()),
                        reinterpret_cast<const void*>(&cuInit), static_cast<const void*>(nullptr),
                        static_cast<const void*>(unmapped)}) {
    FAILS(CUDA_ERROR_INVALID_VALUE, try_ask(CU_POINTER_ATTRIBUTE_CONTEXT, address(p)));
    FAILS(CUDA_ERROR_INVALID_VALUE, try_ask(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address(p)));
    FAILS(CUDA_ERROR_INVALID_VALUE, try_ask(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, address(p)));
    // All at once it is no error: there is nothing to say.
    CUcontext context = context_;
    unsigned type = 9;
    int ordinal = 9;
    CUdeviceptr device = 9;
    CUpointer_attribute what[] = {CU_POINTER_ATTRIBUTE_CONTEXT, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_DEVICE_POINTER};
    void* where[] = {&context, &type, &ordinal, &device};
    OK(cuPointerGetAttributes(4, what, where, address(p)));
    EXPECT_EQ(nullptr, context);
    EXPECT_EQ(0u, type);
    EXPECT_EQ(-2, ordinal);
    EXPECT_EQ(0u, device);
  }
}

TEST_F(Pointer, SeveralAttributesInOneCall) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 512));
  unsigned type = 0;
  int ordinal = -1;
  CUdeviceptr host = 9;
  CUpointer_attribute what[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                CU_POINTER_ATTRIBUTE_HOST_POINTER};
  void* where[] = {&type, &ordinal, &host};
  OK(cuPointerGetAttributes(3, what, where, p));
  EXPECT_EQ(unsigned{CU_MEMORYTYPE_DEVICE}, type);
  EXPECT_EQ(0, ordinal);
  EXPECT_EQ(0u, host);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttributes(0, what, where, p));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttributes(3, nullptr, where, p));
  what[1] = static_cast<CUpointer_attribute>(1000);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttributes(3, what, where, p));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttribute(nullptr, CU_POINTER_ATTRIBUTE_CONTEXT, p));
}

TEST_F(Pointer, StreamOrderedMemoryNamesItsPool) {
  CUmemoryPool pool = nullptr;
  OK(cuDeviceGetDefaultMemPool(&pool, device_));
  CUdeviceptr p = 0;
  OK(cuMemAllocAsync(&p, 4096, nullptr));
  EXPECT_EQ(pool, ask<CUmemoryPool>(CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, p + 5));
  EXPECT_EQ(0, ask<int>(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p));
  OK(cuMemFreeAsync(p, nullptr));
}

TEST_F(Pointer, ReservedAddressesAreMappedOrNot) {
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  size_t piece = 0;
  OK(cuMemGetAllocationGranularity(&piece, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  CUdeviceptr base = 0, start = 0;
  size_t size = 0;
  OK(cuMemAddressReserve(&base, 4 * piece, 0, 0, 0));
  EXPECT_EQ(0u, ask<unsigned>(CU_POINTER_ATTRIBUTE_MAPPED, base + piece));
  CUmemGenericAllocationHandle memory;
  OK(cuMemCreate(&memory, piece, &prop, 0));
  OK(cuMemMap(base + piece, piece, 0, memory, 0));
  const CUdeviceptr at = base + piece + 100;
  EXPECT_EQ(1u, ask<unsigned>(CU_POINTER_ATTRIBUTE_MAPPED, at));
  EXPECT_EQ(unsigned{CU_MEMORYTYPE_DEVICE}, ask<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at));
  EXPECT_EQ(at, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, at));
  EXPECT_EQ(base + piece, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, at));
  EXPECT_EQ(piece, ask<size_t>(CU_POINTER_ATTRIBUTE_RANGE_SIZE, at));
  OK(cuMemGetAddressRange_v2(&start, &size, at));
  EXPECT_EQ(base + piece, start);
  EXPECT_EQ(piece, size);
  EXPECT_EQ(0u, ask<unsigned>(CU_POINTER_ATTRIBUTE_MAPPED, base));
  OK(cuMemUnmap(base + piece, piece));
  EXPECT_EQ(0u, ask<unsigned>(CU_POINTER_ATTRIBUTE_MAPPED, at));
  FAILS(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange_v2(&start, &size, at));
  OK(cuMemRelease(memory));
  OK(cuMemAddressFree(base, 4 * piece));
}

TEST_F(Pointer, SynchronousCopiesCanBeAskedFor) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 512));
  EXPECT_EQ(0u, ask<unsigned>(CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
  unsigned on = 1;
  OK(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
  EXPECT_EQ(1u, ask<unsigned>(CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p + 511));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, address(&on)));
}

// What Triton asks before each launch; round_trips.sh counts what it costs.
TEST_F(Pointer, ManyQuestions) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 1 << 20));
  for (unsigned i = 0; i < 20000; i++) {
    ASSERT_EQ(p + i, ask<CUdeviceptr>(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, p + i));
    ASSERT_NE(0u, ask<uint64_t>(CU_POINTER_ATTRIBUTE_BUFFER_ID, p + i));
  }
}

}  // namespace
