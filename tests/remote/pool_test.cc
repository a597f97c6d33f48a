// Attributes of memory pools, and memory that another process opens by a descriptor.
#include "../driver/driver_test.h"
#include "child.h"

namespace {

constexpr auto kFd = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

// What the exporter writes and the importer reads, and the other way round.
uint32_t pattern(uint32_t i) { return i * 2654435761u; }
constexpr uint32_t kAnswer = 0x600d600d;

// Descriptors pass between processes of one host only; the device says whether they do.
bool passes_descriptors(CUdevice device) {
  int yes = 0;
  return cuDeviceGetAttribute(&yes, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, device) ==
             CUDA_SUCCESS &&
         yes;
}

CUmemAllocationProp shareable() {
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  prop.requestedHandleTypes = kFd;
  return prop;
}

CUmemPoolProps shareable_pool() {
  CUmemPoolProps props{};
  props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  props.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  props.handleTypes = kFd;
  return props;
}

CUresult map_whole(CUmemGenericAllocationHandle memory, size_t size, CUdeviceptr* p) {
  if (CUresult e = cuMemAddressReserve(p, size, 0, 0, 0)) return e;
  if (CUresult e = cuMemMap(*p, size, 0, memory, 0)) return e;
  CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  return cuMemSetAccess(*p, size, &access, 1);
}

size_t granularity() {
  CUmemAllocationProp prop = shareable();
  size_t size = 0;
  EXPECT_EQ(CUDA_SUCCESS, cuMemGetAllocationGranularity(&size, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  return size;
}

class Pool : public DriverTest {};

TEST_F(Pool, AttributesAreWordsOrSizes) {
  CUmemoryPool pool = nullptr;
  OK(cuDeviceGetDefaultMemPool(&pool, device_));
  struct {
    int value = -1;
    int untouched = 0x5a5a;
  } reuse;
  OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, &reuse));
  EXPECT_EQ(1, reuse.value);
  EXPECT_EQ(0x5a5a, reuse.untouched);
  reuse.value = 0;
  OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, &reuse));
  reuse.value = -1;
  OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, &reuse));
  EXPECT_EQ(0, reuse.value);
  reuse.value = 1;
  OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, &reuse));

  uint64_t threshold = 0x1'2345'6789;
  OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
  threshold = 0;
  OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
  EXPECT_EQ(0x1'2345'6789u, threshold);
  threshold = 0;
  OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPoolGetAttribute(pool, static_cast<CUmemPool_attribute>(77), &threshold));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, nullptr));
}

TEST_F(Pool, UsedMemoryIsCounted) {
  CUmemPoolProps props = shareable_pool();
  props.handleTypes = CU_MEM_HANDLE_TYPE_NONE;
  CUmemoryPool pool = nullptr;
  OK(cuMemPoolCreate(&pool, &props));
  CUdeviceptr p = 0;
  OK(cuMemAllocFromPoolAsync(&p, 1 << 20, pool, nullptr));
  uint64_t used = 0, high = 0;
  OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  EXPECT_GE(used, 1u << 20);
  OK(cuMemFreeAsync(p, nullptr));
  OK(cuCtxSynchronize());
  OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &high));
  EXPECT_EQ(0u, used);
  EXPECT_GE(high, 1u << 20);
  OK(cuMemPoolDestroy(pool));
}

TEST_F(Pool, AnotherProcessOpensAnAllocationByItsDescriptor) {
  const size_t size = granularity();
  CUmemAllocationProp prop = shareable();
  CUmemGenericAllocationHandle memory;
  int fd = -1;
  if (!passes_descriptors(device_)) {
    prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
    OK(cuMemCreate(&memory, size, &prop, 0));
    FAILS(CUDA_ERROR_NOT_SUPPORTED, cuMemExportToShareableHandle(&fd, memory, kFd, 0));
    FAILS(CUDA_ERROR_NOT_SUPPORTED, cuMemImportFromShareableHandle(&memory, nullptr, kFd));
    OK(cuMemRelease(memory));
    return;
  }
  OK(cuMemCreate(&memory, size, &prop, 0));
  CUdeviceptr p = 0;
  OK(map_whole(memory, size, &p));
  std::vector<uint32_t> words(size / 4);
  for (uint32_t i = 0; i < words.size(); i++) words[i] = pattern(i);
  OK(cuMemcpyHtoD_v2(p, words.data(), size));
  OK(cuMemExportToShareableHandle(&fd, memory, kFd, 0));
  ASSERT_GE(fd, 0);
  EXPECT_EQ(0, run_child("--open-allocation", fd));
  EXPECT_EQ(kAnswer, read<uint32_t>(p, 1)[0]);
  close(fd);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemImportFromShareableHandle(&memory, reinterpret_cast<void*>(intptr_t{fd}), kFd));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemExportToShareableHandle(&fd, 12345, kFd, 0));
  OK(cuMemUnmap(p, size));
  OK(cuMemRelease(memory));
  OK(cuMemAddressFree(p, size));
}

TEST_F(Pool, AnotherProcessOpensAPoolByItsDescriptor) {
  if (!passes_descriptors(device_)) {
    CUmemoryPool pool = nullptr;
    int fd = -1;
    OK(cuDeviceGetDefaultMemPool(&pool, device_));
    FAILS(CUDA_ERROR_NOT_SUPPORTED, cuMemPoolExportToShareableHandle(&fd, pool, kFd, 0));
    FAILS(CUDA_ERROR_NOT_SUPPORTED, cuMemPoolImportFromShareableHandle(&pool, nullptr, kFd, 0));
    return;
  }
  CUmemPoolProps props = shareable_pool();
  CUmemoryPool pool = nullptr;
  OK(cuMemPoolCreate(&pool, &props));
  CUdeviceptr p = 0;
  OK(cuMemAllocFromPoolAsync(&p, 4096, pool, nullptr));
  std::vector<uint32_t> words(1024);
  for (uint32_t i = 0; i < words.size(); i++) words[i] = pattern(i);
  OK(cuMemcpyHtoD_v2(p, words.data(), 4096));
  CUmemPoolPtrExportData data;
  OK(cuMemPoolExportPointer(&data, p));
  int fd = -1, notes[2];
  OK(cuMemPoolExportToShareableHandle(&fd, pool, kFd, 0));
  ASSERT_GE(fd, 0);
  // Where in the pool goes beside the descriptor.
  ASSERT_EQ(0, pipe(notes));
  ASSERT_EQ(ssize_t{sizeof data}, write(notes[1], &data, sizeof data));
  ASSERT_EQ(kGiven + 1, dup2(notes[0], kGiven + 1));
  EXPECT_EQ(0, run_child("--open-pool", fd));
  EXPECT_EQ(kAnswer, read<uint32_t>(p, 1)[0]);
  for (int f : {fd, notes[0], notes[1], kGiven + 1}) close(f);
  OK(cuMemFreeAsync(p, nullptr));
  OK(cuMemPoolDestroy(pool));
}

TEST_F(Pool, GraphMemoryIsCountedPerDevice) {
  uint64_t used = 77;
  OK(cuDeviceGetGraphMemAttribute(device_, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &used));
  EXPECT_EQ(0u, used);
  used = 0;
  OK(cuDeviceSetGraphMemAttribute(device_, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &used));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuDeviceGetGraphMemAttribute(device_, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, nullptr));
}

// ---- the other process: each returns 0, or the line that failed ----

#define CHECK(condition) \
  if (!(condition)) return __LINE__ % 255 + 1
#define WORKS(call) CHECK((call) == CUDA_SUCCESS)

int check_and_answer(CUdeviceptr p, size_t size) {
  std::vector<uint32_t> words(size / 4);
  WORKS(cuMemcpyDtoH_v2(words.data(), p, size));
  for (uint32_t i = 0; i < words.size(); i++) CHECK(words[i] == pattern(i));
  WORKS(cuMemcpyHtoD_v2(p, &kAnswer, sizeof kAnswer));
  WORKS(cuCtxSynchronize());
  return 0;
}

int start() {
  CUcontext context;
  WORKS(cuInit(0));
  WORKS(cuDevicePrimaryCtxRetain(&context, 0));
  WORKS(cuCtxSetCurrent(context));
  return 0;
}

int open_allocation() {
  if (int line = start()) return line;
  CUmemGenericAllocationHandle memory;
  WORKS(cuMemImportFromShareableHandle(&memory, reinterpret_cast<void*>(intptr_t{kGiven}), kFd));
  CUdeviceptr p = 0;
  const size_t size = granularity();
  WORKS(map_whole(memory, size, &p));
  return check_and_answer(p, size);
}

int open_pool() {
  if (int line = start()) return line;
  CUmemoryPool pool;
  WORKS(cuMemPoolImportFromShareableHandle(&pool, reinterpret_cast<void*>(intptr_t{kGiven}), kFd, 0));
  CUmemPoolPtrExportData data;
  CHECK(read(kGiven + 1, &data, sizeof data) == sizeof data);
  CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  WORKS(cuMemPoolSetAccess(pool, &access, 1));
  CUdeviceptr p = 0;
  WORKS(cuMemPoolImportPointer(&p, pool, &data));
  if (int line = check_and_answer(p, 4096)) return line;
  WORKS(cuMemFreeAsync(p, nullptr));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--open-allocation") return open_allocation();
  if (argc == 2 && std::string(argv[1]) == "--open-pool") return open_pool();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
