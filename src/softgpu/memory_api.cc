// Device memory, pitched memory and pinned host memory: made, freed, described.
#include <sys/mman.h>

#include <algorithm>

#include "softgpu/capture.h"
#include "softgpu/context.h"
#include "softgpu/memory.h"
#include "softgpu/pool.h"

namespace nm::softgpu {
namespace {

constexpr unsigned kHostAllocFlags = 0x7;     // PORTABLE 1, DEVICEMAP 2, WRITECOMBINED 4
constexpr unsigned kHostRegisterFlags = 0xf;  // PORTABLE 1, DEVICEMAP 2, IOMEMORY 4, READ_ONLY 8
constexpr unsigned kDeviceMap = 2;
constexpr uint64_t kPage = 4096;

uint64_t address(const void* p) { return reinterpret_cast<uint64_t>(p); }
uint64_t all_devices_mask(const Driver& driver) { return (1ull << driver.devices.size()) - 1; }

struct HostPages {
  void* at;
  size_t bytes;
  ~HostPages() { munmap(at, bytes); }
};

AllocationPtr host_allocation(ContextCall& c, size_t bytes, MemoryKind kind) {
  require(bytes > 0);
  const size_t whole = (bytes + kPage - 1) & ~(kPage - 1);
  require(whole >= bytes, CUDA_ERROR_OUT_OF_MEMORY);
  void* at = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(at != MAP_FAILED, CUDA_ERROR_OUT_OF_MEMORY);
  auto pages = std::shared_ptr<HostPages>(new HostPages{at, whole});
  auto allocation = new_allocation(c, address(at), bytes, kind);
  allocation->readable = allocation->writable = all_devices_mask(c.driver);
  allocation->backing = std::move(pages);
  return allocation;
}

void host_alloc(ContextCall& c, void** pp, size_t bytes, unsigned flags) {
  require(pp != nullptr && (flags & ~kHostAllocFlags) == 0);
  fail_if_capturing(c.driver);
  auto allocation = host_allocation(c, bytes, MemoryKind::host);
  allocation->flags = flags | kDeviceMap;  // every context maps host memory (CU_CTX_MAP_HOST is implied since 11.0)
  *pp = reinterpret_cast<void*>(allocation->begin);
  c.driver.ranges.add(std::move(allocation));
}

AllocationPtr host_range(ContextCall& c, void* p) {
  const auto allocation = c.driver.ranges.find(address(p));
  require(allocation && allocation->is_host());
  return allocation;
}

}  // namespace

AllocationPtr new_allocation(ContextCall& c, uint64_t begin, uint64_t size, MemoryKind kind) {
  auto allocation = std::make_shared<Allocation>();
  allocation->begin = begin;
  allocation->size = size;
  allocation->kind = kind;
  allocation->device = c.context->device.ordinal;
  allocation->owner = c.context.get();
  allocation->id = c.driver.ranges.next_id();
  allocation->readable = allocation->writable = 1ull << c.context->device.ordinal;
  return allocation;
}

std::shared_ptr<Device::Space> take_or_fail(Call& c, Device& device, uint64_t bytes, uint64_t align) {
  auto space = device.take(bytes, align);
  if (!space && bytes <= device.total()) {
    wait_for_pending_frees(c, device);
    space = device.take(bytes, align);
  }
  require(space != nullptr, CUDA_ERROR_OUT_OF_MEMORY);
  return space;
}

void quiesce(Call& c) {
  std::vector<std::shared_ptr<Fence>> ends;
  c.driver.handles.each<Context>([&](Context& context) {
    for (auto& end : context.pending()) ends.push_back(std::move(end));
  });
  c.lock.unlock();
  for (const auto& end : ends) end->wait();
  c.lock.lock();
}

}  // namespace nm::softgpu

using namespace nm::softgpu;

extern "C" {

CUresult cuMemAlloc_v2(CUdeviceptr* dptr, size_t bytesize) {
  return in_context([&](ContextCall& c) {
    require(dptr != nullptr && bytesize > 0);
    fail_if_capturing(c.driver);
    auto space = take_or_fail(c, c.context->device, bytesize, 512);
    auto allocation = new_allocation(c, space->address(), bytesize, MemoryKind::device);
    allocation->backing = std::move(space);
    *dptr = allocation->begin;
    c.driver.ranges.add(std::move(allocation));
  });
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* dptr, size_t* pitch, size_t width_in_bytes, size_t height,
                            unsigned element_size_bytes) {
  if (!dptr || !pitch || width_in_bytes == 0 || height == 0) return CUDA_ERROR_INVALID_VALUE;
  if (element_size_bytes != 4 && element_size_bytes != 8 && element_size_bytes != 16) return CUDA_ERROR_INVALID_VALUE;
  const size_t padded = (width_in_bytes + 511) & ~size_t{511};
  if (padded < width_in_bytes || padded > SIZE_MAX / height) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = cuMemAlloc_v2(dptr, padded * height);
  if (result == CUDA_SUCCESS) *pitch = padded;
  return result;
}

CUresult cuMemFree_v2(CUdeviceptr dptr) {
  return in_context([&](ContextCall& c) {
    if (dptr == 0) return;
    fail_if_capturing(c.driver);
    const auto allocation = c.driver.ranges.at(dptr);
    require(allocation != nullptr && (allocation->kind != MemoryKind::graph || allocation->outstanding));
    switch (allocation->kind) {
      case MemoryKind::device:
      case MemoryKind::managed:
      case MemoryKind::pool:
      case MemoryKind::graph:
        break;
      default:
        fail(CUDA_ERROR_INVALID_VALUE);
    }
    // Freeing waits for whatever may still use the memory.
    quiesce(c);
    fail_if_unusable(*c.context);
    allocation->outstanding = false;
    require(end_allocation(c.driver, allocation));
  });
}

CUresult cuMemGetInfo_v2(size_t* free_, size_t* total) {
  return in_context([&](ContextCall& c) {
    const Device& device = c.context->device;
    if (free_) *free_ = device.total() - device.used();
    if (total) *total = device.total();
  });
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* pbase, size_t* psize, CUdeviceptr dptr) {
  return in_context([&](ContextCall& c) {
    const auto allocation = c.driver.ranges.find(dptr);
    require(allocation != nullptr && allocation->live, CUDA_ERROR_NOT_FOUND);
    if (pbase) *pbase = allocation->begin;
    if (psize) *psize = allocation->size;
  });
}

CUresult cuMemHostAlloc(void** pp, size_t bytesize, unsigned flags) {
  return in_context([&](ContextCall& c) { host_alloc(c, pp, bytesize, flags); });
}

CUresult cuMemAllocHost_v2(void** pp, size_t bytesize) {
  return in_context([&](ContextCall& c) { host_alloc(c, pp, bytesize, 0); });
}

CUresult cuMemFreeHost(void* p) {
  return in_context([&](ContextCall& c) {
    if (!p) return;
    fail_if_capturing(c.driver);
    const auto allocation = c.driver.ranges.at(address(p));
    require(allocation != nullptr && allocation->kind == MemoryKind::host);
    quiesce(c);
    require(c.driver.ranges.remove(*allocation));
  });
}

CUresult cuMemHostRegister_v2(void* p, size_t bytesize, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(p != nullptr && bytesize > 0 && (flags & ~kHostRegisterFlags) == 0 && address(p) + bytesize > address(p));
    require((flags & 4u) == 0, CUDA_ERROR_NOT_SUPPORTED);  // memory of another device
    require(!c.driver.ranges.overlaps(address(p), bytesize), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    // An address that is not mapped must be refused now, not fault in a kernel.
    const uint64_t first = address(p) & ~(kPage - 1);
    require(madvise(reinterpret_cast<void*>(first), address(p) + bytesize - first, MADV_NORMAL) == 0);
    auto allocation = new_allocation(c, address(p), bytesize, MemoryKind::registered);
    allocation->readable = all_devices_mask(c.driver);
    allocation->writable = flags & 8u ? 0 : all_devices_mask(c.driver);
    allocation->flags = flags | kDeviceMap;
    c.driver.ranges.add(std::move(allocation));
  });
}
CUresult cuMemHostRegister(void* p, size_t bytesize, unsigned flags) {
  return cuMemHostRegister_v2(p, bytesize, flags);
}

CUresult cuMemHostUnregister(void* p) {
  return in_context([&](ContextCall& c) {
    const auto allocation = c.driver.ranges.at(address(p));
    require(p != nullptr);
    require(allocation && allocation->kind == MemoryKind::registered, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    quiesce(c);
    require(c.driver.ranges.remove(*allocation));
  });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* pdptr, void* p, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(pdptr != nullptr && flags == 0);
    host_range(c, p);
    *pdptr = address(p);
  });
}

CUresult cuMemHostGetFlags(uint32_t* flags, void* p) {
  return in_context([&](ContextCall& c) {
    require(flags != nullptr);
    *flags = host_range(c, p)->flags;
  });
}

CUresult cuMemAllocManaged(CUdeviceptr* dptr, size_t bytesize, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(dptr != nullptr && (flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST));
    fail_if_capturing(c.driver);
    auto allocation = host_allocation(c, bytesize, MemoryKind::managed);
    allocation->flags = flags;
    *dptr = allocation->begin;
    c.driver.ranges.add(std::move(allocation));
  });
}

}  // extern "C"
