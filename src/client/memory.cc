// Device memory: allocation, address space, pools, memory of other processes.
#include "client/memory.h"

#include <string.h>

#include <map>
#include <mutex>
#include <vector>

#include "client/client.h"
#include "client/context.h"
#include "client/handles.h"
#include "client/host_memory.h"
#include "client/mapping.h"
#include "remote.h"

using namespace nm::client;

namespace {

MemoryRange device_range(uint64_t base, uint64_t size, MemoryKind kind = MemoryKind::device) {
  MemoryRange range;
  range.base = base;
  range.size = size;
  range.kind = kind;
  range.context = current_context();
  return range;
}

CUresult allocate(CUdeviceptr* out, uint64_t size, const std::function<CUresult(CUdeviceptr*)>& how,
                  const std::function<void(CUdeviceptr)>& undo, bool pooled = false) {
  if (CUresult e = enter()) return e;
  if (!out || !size) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr address;
  if (CUresult e = allocate_guarded(size, how, undo, &address)) return e;
  MemoryRange range = device_range(address, size);
  range.pooled = pooled;
  add_memory(std::move(range));
  *out = address;
  return CUDA_SUCCESS;
}

// Forgets a device allocation; false if `address` is not the start of one.
bool forget(CUdeviceptr address) {
  auto range = find_memory(address);
  if (!range || range->base != address || range->kind != MemoryKind::device) return false;
  remove_memory(address);
  release_guard(range->base, range->size);
  return true;
}

// Memory of other processes: how often each address was opened.
std::mutex g_opened_mutex;
std::map<CUdeviceptr, int>& opened() {
  static auto* all = new std::map<CUdeviceptr, int>;
  return *all;
}

}  // namespace

extern "C" {

NM_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* dptr, size_t size) {
  return allocate(dptr, size, [&](CUdeviceptr* p) { return remote::cuMemAlloc_v2(p, size); },
                  [](CUdeviceptr p) { remote::cuMemFree_v2(p); });
}

NM_EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr* dptr, size_t* pitch, size_t width, size_t height, unsigned element) {
  if (!pitch) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = enter()) return e;
  if (!dptr || !width || !height) return CUDA_ERROR_INVALID_VALUE;
  // The pitch, and so the size, is only known afterwards: ask for one, then allocate that much.
  CUdeviceptr probe;
  if (CUresult e = remote::cuMemAllocPitch_v2(&probe, pitch, width, height, element)) return e;
  remote::cuMemFree_v2(probe);
  size_t size = *pitch * height;
  return allocate(dptr, size, [&](CUdeviceptr* p) { return remote::cuMemAllocPitch_v2(p, pitch, width, height, element); },
                  [](CUdeviceptr p) { remote::cuMemFree_v2(p); });
}

NM_EXPORT CUresult cuMemFree_v2(CUdeviceptr dptr) {
  if (CUresult e = enter()) return e;
  if (!dptr) return CUDA_SUCCESS;
  auto range = find_memory(dptr);
  if (range && range->base == dptr && range->managed) return free_host_memory(dptr);
  {
    std::lock_guard lock(g_opened_mutex);
    if (opened().count(dptr)) return CUDA_ERROR_INVALID_VALUE;  // another process's
  }
  if (!forget(dptr)) return CUDA_ERROR_INVALID_VALUE;
  return remote::cuMemFree_v2(dptr);
}

NM_EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* size, CUdeviceptr dptr) {
  if (CUresult e = enter()) return e;
  auto range = find_memory(dptr);
  if (!range) return CUDA_ERROR_NOT_FOUND;
  if (range->kind == MemoryKind::reserved) {
    auto mapping = find_mapping(dptr);
    if (!mapping) return CUDA_ERROR_NOT_FOUND;
    range->base = mapping->base;
    range->size = mapping->size;
  }
  if (base) *base = range->base;
  if (size) *size = range->size;
  count_local();
  return CUDA_SUCCESS;
}

// ---- stream-ordered ----

NM_EXPORT CUresult cuMemAllocAsync(CUdeviceptr* dptr, size_t size, CUstream stream) {
  return allocate(dptr, size, [&](CUdeviceptr* p) { return remote::cuMemAllocAsync(p, size, stream); },
                  [&](CUdeviceptr p) { remote::cuMemFreeAsync(p, stream); }, true);
}

NM_EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr* dptr, size_t size, CUmemoryPool pool, CUstream stream) {
  return allocate(dptr, size, [&](CUdeviceptr* p) { return remote::cuMemAllocFromPoolAsync(p, size, pool, stream); },
                  [&](CUdeviceptr p) { remote::cuMemFreeAsync(p, stream); }, true);
}

NM_EXPORT CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream stream) {
  if (CUresult e = enter()) return e;
  if (!forget(dptr)) return CUDA_ERROR_INVALID_VALUE;
  return remote::cuMemFreeAsync(dptr, stream);
}

NM_EXPORT CUresult cuMemPoolImportPointer(CUdeviceptr* out, CUmemoryPool pool, const CUmemPoolPtrExportData* data) {
  if (CUresult e = enter()) return e;
  if (!out || !data) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr address;
  if (CUresult e = remote::cuMemPoolImportPointer(&address, pool, data)) return e;
  CUdeviceptr base = address;
  size_t size = 1;
  std::vector<uint8_t> value;
  if (remote::nm_pointer_attribute(address, CU_POINTER_ATTRIBUTE_RANGE_SIZE, &value) == CUDA_SUCCESS && value.size() >= 8) {
    memcpy(&size, value.data(), sizeof size);
  }
  if (!guard_range(base, size)) {
    remote::cuMemFree_v2(address);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  add_memory(device_range(base, size));
  *out = address;
  return CUDA_SUCCESS;
}

// Attributes of a pool are int-sized switches or 64-bit sizes.
NM_EXPORT CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void* value) {
  if (!value) return CUDA_ERROR_INVALID_VALUE;
  uint64_t v = 0;
  if (CUresult e = remote::nm_pool_attribute(pool, attr, reinterpret_cast<unsigned long long*>(&v), 0)) return e;
  memcpy(value, &v, attr <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES ? sizeof(int) : sizeof v);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void* value) {
  if (!value) return CUDA_ERROR_INVALID_VALUE;
  uint64_t v = 0;
  memcpy(&v, value, attr <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES ? sizeof(int) : sizeof v);
  return remote::nm_pool_attribute(pool, attr, reinterpret_cast<unsigned long long*>(&v), 1);
}

// ---- address space and physical memory ----

NM_EXPORT CUresult cuMemAddressReserve(CUdeviceptr* out, size_t size, size_t alignment, CUdeviceptr hint, unsigned long long flags) {
  if (CUresult e = enter()) return e;
  if (!out || !size) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr address;
  CUresult result = allocate_guarded(
      size, [&](CUdeviceptr* p) { return remote::cuMemAddressReserve(p, size, alignment, hint, flags); },
      [&](CUdeviceptr p) { remote::cuMemAddressFree(p, size); }, &address);
  if (result != CUDA_SUCCESS) return result;
  add_memory(device_range(address, size, MemoryKind::reserved));
  *out = address;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size) {
  if (CUresult e = enter()) return e;
  auto range = find_memory(ptr);
  if (!range || range->kind != MemoryKind::reserved || range->base != ptr || range->size != size) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = remote::cuMemAddressFree(ptr, size)) return e;
  remove_memory(ptr);
  release_guard(ptr, size);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, CUdeviceptr address) {
  return remote::cuMemRetainAllocationHandle(handle, address);
}

// ---- memory of other processes ----

NM_EXPORT CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr address;
  if (CUresult e = remote::cuIpcOpenMemHandle_v2(&address, handle, flags)) return e;
  size_t size = 1;
  std::vector<uint8_t> value;
  if (remote::nm_pointer_attribute(address, CU_POINTER_ATTRIBUTE_RANGE_SIZE, &value) == CUDA_SUCCESS && value.size() >= 8) {
    memcpy(&size, value.data(), sizeof size);
  }
  // The driver opens one exporter's memory at one address however often it is asked, and wants it closed as often.
  std::lock_guard lock(g_opened_mutex);
  if (opened()[address]++ == 0) {
    if (!guard_range(address, size)) {
      remote::cuIpcCloseMemHandle(address);
      opened().erase(address);
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    add_memory(device_range(address, size));
  }
  *out = address;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuIpcOpenMemHandle(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  return cuIpcOpenMemHandle_v2(out, handle, flags);
}

NM_EXPORT CUresult cuIpcCloseMemHandle(CUdeviceptr dptr) {
  if (CUresult e = enter()) return e;
  std::lock_guard lock(g_opened_mutex);
  auto it = opened().find(dptr);
  if (it == opened().end()) return CUDA_ERROR_INVALID_VALUE;
  if (--it->second == 0) {
    opened().erase(it);
    forget(dptr);
  }
  return remote::cuIpcCloseMemHandle(dptr);
}

}  // extern "C"
