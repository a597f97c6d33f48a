// Advice about managed memory and prefetches. Over a network host and device cannot use such memory at the same time,
// which an attribute of the device says; then a device is no place that may be named.
#include "../driver/driver_test.h"

namespace {

constexpr int kHost = -1, kNowhere = -2;
constexpr size_t kPage = 4096, kSize = 16 * kPage;

class Managed : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuMemAllocManaged(&p_, kSize, CU_MEM_ATTACH_GLOBAL));
    int concurrent = 0;
    OK(cuDeviceGetAttribute(&concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, device_));
    on_device_ = concurrent ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
  }
  int ask(CUmem_range_attribute attribute, CUdeviceptr p, size_t size) {
    int value = 0x77;
    EXPECT_EQ(CUDA_SUCCESS, cuMemRangeGetAttribute(&value, sizeof value, attribute, p, size)) << attribute;
    return value;
  }

  CUdeviceptr p_ = 0;
  CUresult on_device_ = CUDA_SUCCESS;
};

TEST_F(Managed, NothingWasAdvisedAtFirst) {
  EXPECT_EQ(0, ask(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p_, kSize));
  EXPECT_EQ(kNowhere, ask(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p_, kSize));
  EXPECT_EQ(kNowhere, ask(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p_, kSize));
  EXPECT_EQ(kNowhere, ask(CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY, p_, kSize));
  EXPECT_EQ(CU_MEM_LOCATION_TYPE_INVALID, ask(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE, p_, kSize));
}

TEST_F(Managed, AdviceIsAnsweredForTheWholeRange) {
  OK(cuMemAdvise(p_, kSize, CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
  EXPECT_EQ(1, ask(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p_, kSize));
  OK(cuMemAdvise(p_, kSize, CU_MEM_ADVISE_UNSET_READ_MOSTLY, 0));
  EXPECT_EQ(0, ask(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p_, kSize));
  OK(cuMemAdvise(p_, kSize, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, kHost));
  EXPECT_EQ(kHost, ask(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p_, kSize));
  EXPECT_EQ(CU_MEM_LOCATION_TYPE_HOST, ask(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE, p_, kSize));
  OK(cuMemAdvise(p_, kSize, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, 0));
  EXPECT_EQ(kNowhere, ask(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p_, kSize));
}

TEST_F(Managed, DevicesAreNamedWhereTheyMayUseItAtTheSameTime) {
  FAILS(on_device_, cuMemAdvise_v2(p_, kSize, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, {CU_MEM_LOCATION_TYPE_DEVICE, 0}));
  FAILS(on_device_, cuMemAdvise_v2(p_, kSize, CU_MEM_ADVISE_SET_ACCESSED_BY, {CU_MEM_LOCATION_TYPE_DEVICE, 1}));
  FAILS(on_device_, cuMemPrefetchAsync(p_, kSize, 1, nullptr));
  const bool there = on_device_ == CUDA_SUCCESS;
  EXPECT_EQ(there ? 0 : kNowhere, ask(CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, p_, kSize));
  EXPECT_EQ(there ? 1 : kNowhere, ask(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p_, kSize));
  int by[3] = {7, 7, 7};
  OK(cuMemRangeGetAttribute(by, sizeof by, CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY, p_, kSize));
  EXPECT_EQ(there ? 1 : kNowhere, by[0]);
  EXPECT_EQ(kNowhere, by[1]);
  EXPECT_EQ(kNowhere, by[2]);
}

TEST_F(Managed, PartsOfARangeMayDiffer) {
  OK(cuMemAdvise(p_ + 4 * kPage, 4 * kPage, CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
  EXPECT_EQ(0, ask(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p_, kSize));
  EXPECT_EQ(1, ask(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p_ + 4 * kPage, 4 * kPage));
  EXPECT_EQ(1, ask(CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p_ + 5 * kPage + 7, 1));
}

TEST_F(Managed, PrefetchesAreRememberedAndKeepTheBytes) {
  auto* bytes = reinterpret_cast<unsigned char*>(p_);
  for (size_t i = 0; i < kSize; i++) bytes[i] = static_cast<unsigned char>(i * 7);
  OK(cuMemPrefetchAsync_v2(p_, kSize, {CU_MEM_LOCATION_TYPE_HOST, 0}, 0, nullptr));
  EXPECT_EQ(kHost, ask(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, p_, kSize));
  OK(cuCtxSynchronize());
  for (size_t i = 0; i < kSize; i++) ASSERT_EQ(static_cast<unsigned char>(i * 7), bytes[i]);
}

TEST_F(Managed, SeveralRangesInOneCall) {
  CUdeviceptr ranges[] = {p_, p_ + 4 * kPage, p_ + 8 * kPage};
  size_t sizes[] = {kPage, kPage, kPage}, first[] = {0, 2};
  CUmemLocation places[] = {{CU_MEM_LOCATION_TYPE_HOST, 0}, {CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT, 0}};
  OK(cuMemPrefetchBatchAsync(ranges, sizes, 3, places, first, 2, 0, nullptr));
  EXPECT_EQ(CU_MEM_LOCATION_TYPE_HOST, ask(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE, ranges[1], kPage));
  EXPECT_EQ(CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT,
            ask(CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE, ranges[2], kPage));
  OK(cuMemDiscardBatchAsync(ranges, sizes, 3, 0, nullptr));
  OK(cuMemDiscardAndPrefetchBatchAsync(ranges, sizes, 3, places, first, 2, 0, nullptr));
  first[1] = 3;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchBatchAsync(ranges, sizes, 3, places, first, 2, 0, nullptr));
  first[0] = 1, first[1] = 2;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchBatchAsync(ranges, sizes, 3, places, first, 2, 0, nullptr));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemDiscardBatchAsync(ranges, sizes, 0, 0, nullptr));
  sizes[2] = kSize;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemDiscardBatchAsync(ranges, sizes, 3, 0, nullptr));
}

TEST_F(Managed, OnlyManagedMemoryTakesAdvice) {
  CUdeviceptr device = 0;
  OK(cuMemAlloc_v2(&device, kSize));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAdvise(device, kSize, CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchAsync(device, kSize, kHost, nullptr));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAdvise(p_, 0, CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAdvise(p_, kSize + 1, CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAdvise(p_, kSize, static_cast<CUmem_advise>(99), 0));
  FAILS(CUDA_ERROR_INVALID_DEVICE, cuMemPrefetchAsync(p_, kSize, 99, nullptr));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPrefetchAsync_v2(p_, kSize, {CU_MEM_LOCATION_TYPE_HOST, 0}, 1, nullptr));
  int value;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemRangeGetAttribute(&value, 3, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p_, kSize));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemRangeGetAttribute(nullptr, 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p_, kSize));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, device, 16));
}

TEST_F(Managed, ManyAttributesInOneCall) {
  OK(cuMemAdvise(p_, kSize, CU_MEM_ADVISE_SET_READ_MOSTLY, 0));
  int mostly = 7, preferred = 7, by[2] = {7, 7};
  void* where[] = {&mostly, &preferred, by};
  size_t sizes[] = {4, 4, 8};
  CUmem_range_attribute what[] = {CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION,
                                  CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY};
  OK(cuMemRangeGetAttributes(where, sizes, what, 3, p_, kSize));
  EXPECT_EQ(1, mostly);
  EXPECT_EQ(kNowhere, preferred);
  EXPECT_EQ(kNowhere, by[0]);
  EXPECT_EQ(kNowhere, by[1]);
}

TEST_F(Managed, MemoryIsAttachedToAStreamAsAWhole) {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  OK(cuStreamAttachMemAsync(stream, p_, 0, CU_MEM_ATTACH_SINGLE));
  OK(cuStreamAttachMemAsync(stream, p_, kSize, CU_MEM_ATTACH_GLOBAL));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamAttachMemAsync(stream, p_, kPage, CU_MEM_ATTACH_GLOBAL));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamAttachMemAsync(stream, p_, 0, 7));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamAttachMemAsync(stream, p_ + 8, 0, CU_MEM_ATTACH_HOST));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamAttachMemAsync(nullptr, p_, 0, CU_MEM_ATTACH_SINGLE));
  OK(cuStreamDestroy_v2(stream));
}

}  // namespace
