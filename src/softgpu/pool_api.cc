// Memory pools and allocation in stream order.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "softgpu/capture.h"
#include "softgpu/graph_memory.h"
#include "softgpu/ipc.h"
#include "softgpu/memory.h"
#include "softgpu/pool.h"

using namespace nm::softgpu;

namespace {

Device& device_of(Call& c, const CUmemLocation& location) {
  if (location.type != CU_MEM_LOCATION_TYPE_DEVICE) fail(CUDA_ERROR_NOT_SUPPORTED);
  return c.driver.device(location.id);
}

PoolPtr pool_of(Call& c, CUmemoryPool handle) { return c.driver.handles.get<Pool>(handle, CUDA_ERROR_INVALID_VALUE); }

void allocate(ContextCall& c, CUdeviceptr* out, size_t bytes, const PoolPtr& pool, CUstream handle) {
  require(out != nullptr && bytes > 0);
  const auto stream = c.stream(handle);
  require(&pool->device == &stream->context->device && !pool->imported);
  if (stream->capture) {
    auto work = GraphAllocWork::make(c, pool->device, bytes);
    *out = work->params.dptr;
    capture_work(*stream, std::move(work));
    return;
  }
  auto space = pool->take(bytes);
  if (!space && bytes <= pool->device.total()) {
    wait_for_pending_frees(c, pool->device);
    space = pool->take(bytes);
  }
  require(space != nullptr, CUDA_ERROR_OUT_OF_MEMORY);
  auto allocation = new_allocation(c, space->address(), bytes, MemoryKind::pool);
  allocation->device = pool->device.ordinal;
  allocation->owner = nullptr;  // the pool's, not the context's
  allocation->readable = allocation->writable = pool->access;
  allocation->pool = pool;
  allocation->backing = std::move(space);
  *out = allocation->begin;
  c.driver.ranges.add(std::move(allocation));
}

void free_later(ContextCall& c, CUdeviceptr dptr, CUstream handle) {
  const auto stream = c.stream(handle);
  const auto allocation = c.driver.ranges.at(dptr);
  require(dptr != 0 && allocation != nullptr);
  if (stream->capture) {
    capture_work(*stream, std::make_shared<FreeWork>(c.driver, allocation));
    return;
  }
  require(allocation->kind == MemoryKind::pool || allocation->kind == MemoryKind::device ||
          allocation->kind == MemoryKind::graph);
  if (allocation->kind == MemoryKind::graph) {
    require(allocation->outstanding);
    allocation->outstanding = false;
  } else {
    require(!allocation->ending);
    allocation->ending = true;
  }
  auto end = c.enqueue(*stream, std::make_shared<FreeWork>(c.driver, allocation));
  auto& pending = c.driver.device(allocation->device).pending_frees;
  std::erase_if(pending, [](const auto& fence) { return fence->done(); });
  pending.push_back(std::move(end));
}

}  // namespace

extern "C" {

CUresult cuMemAllocAsync(CUdeviceptr* dptr, size_t bytesize, CUstream stream) {
  return in_context(
      [&](ContextCall& c) { allocate(c, dptr, bytesize, current_pool(c, c.stream(stream)->context->device), stream); });
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* dptr, size_t bytesize, CUmemoryPool pool, CUstream stream) {
  return in_context([&](ContextCall& c) { allocate(c, dptr, bytesize, pool_of(c, pool), stream); });
}

CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream stream) {
  return in_context([&](ContextCall& c) { free_later(c, dptr, stream); });
}

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* pool_props) {
  return call([&](Call& c) {
    require(pool != nullptr && pool_props != nullptr && pool_props->allocType == CU_MEM_ALLOCATION_TYPE_PINNED);
    require((pool_props->handleTypes & ~static_cast<unsigned>(CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)) == 0,
            CUDA_ERROR_NOT_SUPPORTED);
    auto object = std::make_shared<Pool>(device_of(c, pool_props->location), *pool_props);
    *pool = handle_of<CUmemoryPool>(object.get());
    c.driver.handles.add(std::move(object));
  });
}

CUresult cuMemPoolDestroy(CUmemoryPool pool) {
  return call([&](Call& c) {
    const auto object = pool_of(c, pool);
    require(!object->is_default);
    if (object->device.current_pool == object) object->device.current_pool = nullptr;
    c.driver.handles.remove(object.get());  // what is allocated from it lives on and keeps it
  });
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool_out, CUdevice dev) {
  return call([&](Call& c) {
    require(pool_out != nullptr);
    *pool_out = handle_of<CUmemoryPool>(default_pool(c, c.driver.device(dev)).get());
  });
}

CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice dev) {
  return call([&](Call& c) {
    require(pool != nullptr);
    *pool = handle_of<CUmemoryPool>(current_pool(c, c.driver.device(dev)).get());
  });
}

CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool) {
  return call([&](Call& c) {
    const auto object = pool_of(c, pool);
    require(&object->device == &c.driver.device(dev) && !object->imported);
    object->device.current_pool = object;
  });
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool* pool_out, const CUmemLocation* location, CUmemAllocationType type) {
  return call([&](Call& c) {
    require(pool_out != nullptr && location != nullptr && type == CU_MEM_ALLOCATION_TYPE_PINNED);
    *pool_out = handle_of<CUmemoryPool>(default_pool(c, device_of(c, *location)).get());
  });
}

CUresult cuMemGetMemPool(CUmemoryPool* pool, const CUmemLocation* location, CUmemAllocationType type) {
  return call([&](Call& c) {
    require(pool != nullptr && location != nullptr && type == CU_MEM_ALLOCATION_TYPE_PINNED);
    *pool = handle_of<CUmemoryPool>(current_pool(c, device_of(c, *location)).get());
  });
}

CUresult cuMemSetMemPool(const CUmemLocation* location, CUmemAllocationType type, CUmemoryPool pool) {
  return call([&](Call& c) {
    require(location != nullptr && type == CU_MEM_ALLOCATION_TYPE_PINNED);
    const auto object = pool_of(c, pool);
    require(&object->device == &device_of(c, *location) && !object->imported);
    object->device.current_pool = object;
  });
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t min_bytes_to_keep) {
  return call([&](Call& c) { pool_of(c, pool)->trim(min_bytes_to_keep); });
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void* value) {
  return call([&](Call& c) {
    require(value != nullptr);
    const auto object = pool_of(c, pool);
    const auto usage = object->usage();
    const auto put = [&](uint64_t n) { std::memcpy(value, &n, sizeof n); };
    switch (attr) {
      case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        std::memcpy(value, &object->reuse[attr - 1], sizeof(int));
        return;
      case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        return put(usage.threshold);
      case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
        return put(usage.reserved);
      case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
        return put(usage.reserved_high);
      case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        return put(usage.used);
      case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        return put(usage.used_high);
      default:
        fail(CUDA_ERROR_INVALID_VALUE);
    }
  });
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void* value) {
  return call([&](Call& c) {
    require(value != nullptr);
    const auto object = pool_of(c, pool);
    uint64_t wide = 0;
    switch (attr) {
      case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
      case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        std::memcpy(&object->reuse[attr - 1], value, sizeof(int));
        return;
      case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        std::memcpy(&wide, value, sizeof wide);
        return object->set_threshold(wide);
      case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        std::memcpy(&wide, value, sizeof wide);
        require(wide == 0);  // a high watermark can only be reset
        return attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH ? object->reset_used_high() : object->reset_reserved_high();
      default:
        fail(CUDA_ERROR_INVALID_VALUE);
    }
  });
}

CUresult cuMemPoolSetAccess(CUmemoryPool pool, CUmemAccessDesc* map, size_t count) {
  return call([&](Call& c) {
    require(map != nullptr && count > 0);
    const auto object = pool_of(c, pool);
    uint64_t access = object->access;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t bit = 1ull << device_of(c, map[i].location).ordinal;
      require(map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_NONE || map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
      access = map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_NONE ? access & ~bit : access | bit;
    }
    require((access >> object->device.ordinal & 1) != 0);  // its own device keeps access
    object->access = access;
    for (const auto& allocation : c.driver.ranges.owned_by(nullptr)) {
      if (allocation->pool == object) allocation->readable = allocation->writable = access;
    }
    c.driver.ranges.shrink();
  });
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags* flags, CUmemoryPool mem_pool, const CUmemLocation* location) {
  return call([&](Call& c) {
    require(flags != nullptr && location != nullptr);
    const bool has = (pool_of(c, mem_pool)->access >> device_of(c, *location).ordinal & 1) != 0;
    *flags = has ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  });
}

CUresult cuMemPoolExportToShareableHandle(void* handle_out, CUmemoryPool pool, CUmemAllocationHandleType handle_type,
                                          unsigned long long flags) {
  return call([&](Call& c) {
    const auto object = pool_of(c, pool);
    require(handle_out != nullptr && flags == 0 && !object->imported);
    require(handle_type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, CUDA_ERROR_NOT_SUPPORTED);
    require((object->props.handleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) != 0);
    take_or_fail(c, object->device, 1, 512);  // the device's memory exists from its first use on
    const int fd = fcntl(object->device.memory_fd(), F_DUPFD_CLOEXEC, 3);
    require(fd >= 0, CUDA_ERROR_OPERATING_SYSTEM);
    *static_cast<int*>(handle_out) = fd;
  });
}

CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool* pool_out, void* handle, CUmemAllocationHandleType handle_type,
                                            unsigned long long flags) {
  return call([&](Call& c) {
    require(pool_out != nullptr && flags == 0);
    require(handle_type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, CUDA_ERROR_NOT_SUPPORTED);
    const int given = static_cast<int>(reinterpret_cast<intptr_t>(handle));
    require(given >= 0 && is_device_memory(given));
    CUmemPoolProps props = {};
    props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    props.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    props.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    auto object = std::make_shared<Pool>(c.driver.device(0), props);
    object->imported = nm::Fd(fcntl(given, F_DUPFD_CLOEXEC, 3));
    require(static_cast<bool>(object->imported), CUDA_ERROR_OPERATING_SYSTEM);
    *pool_out = handle_of<CUmemoryPool>(object.get());
    c.driver.handles.add(std::move(object));
  });
}

CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData* share_data_out, CUdeviceptr ptr) {
  return call([&](Call& c) {
    require(share_data_out != nullptr);
    const auto allocation = c.driver.ranges.at(ptr);
    require(allocation && allocation->kind == MemoryKind::pool && !allocation->pool->imported &&
            (allocation->pool->props.handleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) != 0);
    const auto space = std::static_pointer_cast<Device::Space>(allocation->backing);
    const SharedRange range{kSharedRangeMagic, space->offset, allocation->size};
    std::memset(share_data_out, 0, sizeof *share_data_out);
    std::memcpy(share_data_out, &range, sizeof range);
  });
}

CUresult cuMemPoolImportPointer(CUdeviceptr* ptr_out, CUmemoryPool pool, const CUmemPoolPtrExportData* share_data) {
  return in_context([&](ContextCall& c) {
    require(ptr_out != nullptr && share_data != nullptr);
    const auto object = pool_of(c, pool);
    require(static_cast<bool>(object->imported));
    SharedRange range;
    std::memcpy(&range, share_data, sizeof range);
    require(range.magic == kSharedRangeMagic);
    auto window = map_range(object->imported.get(), range.offset, range.bytes);
    require(window != nullptr, CUDA_ERROR_MAP_FAILED);
    auto allocation = new_allocation(c, window->address, range.bytes, MemoryKind::pool);
    allocation->device = object->device.ordinal;
    allocation->owner = nullptr;
    allocation->readable = allocation->writable = object->access;
    allocation->pool = object;
    allocation->backing = std::move(window);
    *ptr_out = allocation->begin;
    c.driver.ranges.add(std::move(allocation));
  });
}

}  // extern "C"
