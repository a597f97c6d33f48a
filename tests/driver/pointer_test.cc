#include "driver_test.h"

namespace {

class Pointer : public DriverTest {
 protected:
  template <class T>
  T get(CUpointer_attribute attribute, CUdeviceptr p) {
    T value = {};
    EXPECT_EQ(CUDA_SUCCESS, cuPointerGetAttribute(&value, attribute, p)) << attribute;
    return value;
  }
};

TEST_F(Pointer, DeviceMemory) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4096));
  EXPECT_EQ(CU_MEMORYTYPE_DEVICE, get<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p + 5));
  EXPECT_EQ(context_, get<CUcontext>(CU_POINTER_ATTRIBUTE_CONTEXT, p));
  EXPECT_EQ(p + 5, get<CUdeviceptr>(CU_POINTER_ATTRIBUTE_DEVICE_POINTER, p + 5));
  EXPECT_EQ(0u, get<unsigned>(CU_POINTER_ATTRIBUTE_IS_MANAGED, p));
  EXPECT_EQ(device_, get<int>(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, p));
  EXPECT_EQ(p, get<CUdeviceptr>(CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, p + 100));
  EXPECT_GE(get<size_t>(CU_POINTER_ATTRIBUTE_RANGE_SIZE, p), 4096u);
  EXPECT_EQ(1u, get<unsigned>(CU_POINTER_ATTRIBUTE_MAPPED, p));
  void* host = nullptr;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, p));
  CUdeviceptr q = 0;
  OK(cuMemAlloc_v2(&q, 16));
  EXPECT_NE(get<unsigned long long>(CU_POINTER_ATTRIBUTE_BUFFER_ID, p),
            get<unsigned long long>(CU_POINTER_ATTRIBUTE_BUFFER_ID, q));
  unsigned on = 1;
  OK(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
  EXPECT_EQ(1u, get<unsigned>(CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
  OK(cuMemFree_v2(p));
  unsigned type = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
}

TEST_F(Pointer, PinnedMemory) {
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, 4096, 0));
  const auto p = reinterpret_cast<CUdeviceptr>(host);
  EXPECT_EQ(CU_MEMORYTYPE_HOST, get<unsigned>(CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
  EXPECT_EQ(host, get<void*>(CU_POINTER_ATTRIBUTE_HOST_POINTER, p));
  OK(cuMemFreeHost(host));
}

TEST_F(Pointer, ManagedMemory) {
  CUdeviceptr p = 0;
  OK(cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL));
  EXPECT_EQ(1u, get<unsigned>(CU_POINTER_ATTRIBUTE_IS_MANAGED, p));
  OK(cuMemFree_v2(p));
}

TEST_F(Pointer, ManyAtOnceAnswerNullsForWhatIsUnknown) {
  int local = 0;
  CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
                                      CU_POINTER_ATTRIBUTE_CONTEXT};
  unsigned type = 9;
  CUdeviceptr device = 9;
  CUcontext context = reinterpret_cast<CUcontext>(9);
  void* data[] = {&type, &device, &context};
  OK(cuPointerGetAttributes(3, attributes, data, reinterpret_cast<CUdeviceptr>(&local)));
  EXPECT_EQ(0u, type);
  EXPECT_EQ(0u, device);
  EXPECT_EQ(nullptr, context);
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 16));
  OK(cuPointerGetAttributes(3, attributes, data, p));
  EXPECT_EQ(CU_MEMORYTYPE_DEVICE, type);
  EXPECT_EQ(context_, context);
  attributes[0] = static_cast<CUpointer_attribute>(99);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttributes(3, attributes, data, p));
}

TEST_F(Pointer, AdviceIsRemembered) {
  int concurrent = 0;
  OK(cuDeviceGetAttribute(&concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, device_));
  if (!concurrent) GTEST_SKIP() << "managed memory takes no advice here";
  CUdeviceptr p = 0;
  OK(cuMemAllocManaged(&p, 1 << 20, CU_MEM_ATTACH_GLOBAL));
  const CUmemLocation here = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  OK(cuMemAdvise_v2(p, 1 << 20, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
  OK(cuMemAdvise_v2(p, 1 << 20, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, here));
  OK(cuMemPrefetchAsync_v2(p, 1 << 20, here, 0, nullptr));
  OK(cuCtxSynchronize());
  int value = -9;
  OK(cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, 1 << 20));
  EXPECT_EQ(1, value);
  OK(cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p, 1 << 20));
  EXPECT_EQ(device_, value);
  OK(cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p, 1 << 20));
  EXPECT_EQ(device_, value);
  OK(cuMemFree_v2(p));
  CUdeviceptr device_memory = 0;
  OK(cuMemAlloc_v2(&device_memory, 4096));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAdvise_v2(device_memory, 4096, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
}

}  // namespace
