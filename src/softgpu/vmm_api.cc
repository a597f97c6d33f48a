// The virtual memory API: addresses, physical memory and access are three things.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "softgpu/capture.h"
#include "softgpu/memory.h"
#include "softgpu/physical.h"

using namespace nm::softgpu;

namespace {

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

bool whole(uint64_t value) { return value % kGranularity == 0; }

CUmemGenericAllocationHandle handle_of_physical(const Physical* physical) {
  return reinterpret_cast<uint64_t>(physical);
}

PhysicalPtr physical_of(Call& c, CUmemGenericAllocationHandle handle) {
  return c.driver.handles.get<Physical>(pointer(handle), CUDA_ERROR_INVALID_VALUE);
}

// Addresses that begin where the program wishes, if nothing is there.
void* reserve(uint64_t bytes, uint64_t align, uint64_t wish) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (wish != 0) {
    void* at = mmap(pointer(wish), bytes, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == pointer(wish)) return at;
    if (at != MAP_FAILED) munmap(at, bytes);
  }
  // More than asked for, then what sticks out is given back.
  void* at = mmap(nullptr, bytes + align, PROT_NONE, kFlags, -1, 0);
  require(at != MAP_FAILED, CUDA_ERROR_OUT_OF_MEMORY);
  const uint64_t from = reinterpret_cast<uint64_t>(at), begin = (from + align - 1) & ~(align - 1);
  if (begin > from) munmap(at, begin - from);
  munmap(pointer(begin + bytes), from + align - begin);
  return pointer(begin);
}

void require_prop(Call& c, const CUmemAllocationProp* prop) {
  require(prop != nullptr && prop->type == CU_MEM_ALLOCATION_TYPE_PINNED);
  if (prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
    c.driver.device(prop->location.id);
  } else {
    require(prop->location.type == CU_MEM_LOCATION_TYPE_HOST || prop->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
            prop->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT);
    fail(CUDA_ERROR_NOT_SUPPORTED);  // HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED is zero
  }
  require((prop->requestedHandleTypes & ~static_cast<unsigned>(CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)) == 0,
          CUDA_ERROR_NOT_SUPPORTED);
}

// The mappings that [begin, begin + bytes) consists of exactly; INVALID_VALUE if there is a hole or one sticks out.
std::vector<AllocationPtr> mappings(Call& c, uint64_t begin, uint64_t bytes) {
  std::vector<AllocationPtr> found;
  for (uint64_t at = begin; at < begin + bytes;) {
    const auto allocation = c.driver.ranges.at(at);
    require(allocation && allocation->kind == MemoryKind::mapped && allocation->end() <= begin + bytes);
    at = allocation->end();
    found.push_back(allocation);
  }
  return found;
}

// A descriptor tells who it belongs to by its name.
std::string shareable_name(const Device& device) { return "nearmetal-softgpu-vmm-" + device.identity.uuid_text(); }

}  // namespace

extern "C" {

CUresult cuMemAddressReserve(CUdeviceptr* ptr, size_t size, size_t alignment, CUdeviceptr addr,
                             unsigned long long flags) {
  return call([&](Call& c) {
    require(ptr != nullptr && size > 0 && whole(size) && flags == 0);
    require((alignment & (alignment - 1)) == 0);
    const uint64_t align = std::max<uint64_t>(alignment, kGranularity);
    const uint64_t wish = whole(addr) && (alignment == 0 || addr % alignment == 0) ? addr : 0;
    *ptr = reinterpret_cast<uint64_t>(reserve(size, align, wish));
    c.driver.reservations[*ptr] = size;
  });
}

CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size) {
  return call([&](Call& c) {
    const auto it = c.driver.reservations.find(ptr);
    require(it != c.driver.reservations.end() && it->second == size);
    require(!c.driver.ranges.overlaps(ptr, size));  // unmap first
    munmap(pointer(ptr), size);
    c.driver.reservations.erase(it);
  });
}

CUresult cuMemGetAllocationGranularity(size_t* granularity, const CUmemAllocationProp* prop,
                                       CUmemAllocationGranularity_flags option) {
  return call([&](Call& c) {
    require(granularity != nullptr && option <= CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
    require_prop(c, prop);
    *granularity = kGranularity;
  });
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t size, const CUmemAllocationProp* prop,
                     unsigned long long flags) {
  return call([&](Call& c) {
    require(handle != nullptr && size > 0 && whole(size) && flags == 0);
    require_prop(c, prop);
    Device& device = c.driver.device(prop->location.id);
    auto physical = std::make_shared<Physical>(&device, size, *prop);
    auto space = take_or_fail(c, device, size, kGranularity);
    if (prop->requestedHandleTypes == CU_MEM_HANDLE_TYPE_NONE) {
      physical->space = std::move(space);
    } else {
      // A descriptor that gives away this memory and no other.
      space = nullptr;
      physical->file = nm::Fd(memfd_create(shareable_name(device).c_str(), MFD_CLOEXEC));
      require(physical->file && ftruncate(physical->file.get(), static_cast<off_t>(size)) == 0,
              CUDA_ERROR_OUT_OF_MEMORY);
      device.charge(size);
      physical->charged = size;
    }
    *handle = handle_of_physical(physical.get());
    c.driver.handles.add(std::move(physical));
  });
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  return call([&](Call& c) {
    const auto physical = physical_of(c, handle);
    if (--physical->references == 0) c.driver.handles.remove(physical.get());  // mappings keep the memory
  });
}

CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags) {
  return call([&](Call& c) {
    require(size > 0 && whole(ptr) && whole(size) && whole(offset) && flags == 0);
    const auto physical = physical_of(c, handle);
    require(offset + size >= size && offset + size <= physical->bytes);
    auto it = c.driver.reservations.upper_bound(ptr);
    require(it != c.driver.reservations.begin());
    --it;
    require(ptr + size > ptr && ptr + size <= it->first + it->second);
    require(!c.driver.ranges.overlaps(ptr, size));
    void* at = mmap(pointer(ptr), size, PROT_NONE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, physical->fd(),
                    static_cast<off_t>(physical->offset() + offset));
    require(at != MAP_FAILED, CUDA_ERROR_OUT_OF_MEMORY);
    madvise(at, size, MADV_DONTFORK);
    auto allocation = std::make_shared<Allocation>();
    allocation->begin = ptr;
    allocation->size = size;
    allocation->kind = MemoryKind::mapped;
    allocation->device = physical->device->ordinal;
    allocation->id = c.driver.ranges.next_id();
    allocation->backing = physical;
    c.driver.ranges.add(std::move(allocation));
  });
}

CUresult cuMemUnmap(CUdeviceptr ptr, size_t size) {
  return call([&](Call& c) {
    require(size > 0);
    mappings(c, ptr, size);
    quiesce(c);
    for (const auto& mapping : mappings(c, ptr, size)) c.driver.ranges.remove(*mapping);
    void* at = mmap(pointer(ptr), size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    require(at != MAP_FAILED, CUDA_ERROR_UNMAP_FAILED);
  });
}

CUresult cuMemSetAccess(CUdeviceptr ptr, size_t size, CUmemAccessDesc* desc, size_t count) {
  return call([&](Call& c) {
    require(desc != nullptr && count > 0 && size > 0);
    const auto all = mappings(c, ptr, size);
    for (size_t i = 0; i < count; ++i) {
      require(desc[i].location.type == CU_MEM_LOCATION_TYPE_DEVICE);
      c.driver.device(desc[i].location.id);
      require(desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_NONE || desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READ ||
              desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    }
    for (const auto& mapping : all) {
      for (size_t i = 0; i < count; ++i) {
        const uint64_t bit = 1ull << desc[i].location.id;
        const auto set = [&](std::atomic<uint64_t>& mask, bool on) { on ? mask |= bit : mask &= ~bit; };
        set(mapping->readable, desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE);
        set(mapping->writable, desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
      }
      // Copies are done by this process, whatever device they are for.
      mprotect(pointer(mapping->begin), mapping->size, mapping->readable ? PROT_READ | PROT_WRITE : PROT_NONE);
    }
    c.driver.ranges.shrink();
  });
}

CUresult cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location, CUdeviceptr ptr) {
  return call([&](Call& c) {
    require(flags != nullptr && location != nullptr && location->type == CU_MEM_LOCATION_TYPE_DEVICE);
    const uint64_t bit = 1ull << c.driver.device(location->id).ordinal;
    const auto allocation = c.driver.ranges.find(ptr);
    require(allocation && allocation->kind == MemoryKind::mapped);
    *flags = allocation->writable & bit   ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
             : allocation->readable & bit ? CU_MEM_ACCESS_FLAGS_PROT_READ
                                          : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  });
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* prop, CUmemGenericAllocationHandle handle) {
  return call([&](Call& c) {
    require(prop != nullptr);
    *prop = physical_of(c, handle)->prop;
  });
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, CUdeviceptr addr) {
  return call([&](Call& c) {
    require(handle != nullptr);
    const auto allocation = c.driver.ranges.find(addr);
    require(allocation && allocation->kind == MemoryKind::mapped);
    const auto physical = std::static_pointer_cast<Physical>(allocation->backing);
    if (physical->references++ == 0) c.driver.handles.add(physical);  // it was released and lives by its mapping
    *handle = handle_of_physical(physical.get());
  });
}

CUresult cuMemExportToShareableHandle(void* shareable_handle, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType handle_type, unsigned long long flags) {
  return call([&](Call& c) {
    require(shareable_handle != nullptr && flags == 0);
    require(handle_type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, CUDA_ERROR_NOT_SUPPORTED);
    const auto physical = physical_of(c, handle);
    require((physical->prop.requestedHandleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) != 0);
    const int fd = fcntl(physical->file.get(), F_DUPFD_CLOEXEC, 3);
    require(fd >= 0, CUDA_ERROR_OPERATING_SYSTEM);
    *static_cast<int*>(shareable_handle) = fd;
  });
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* os_handle,
                                        CUmemAllocationHandleType sh_handle_type) {
  return call([&](Call& c) {
    require(handle != nullptr);
    require(sh_handle_type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, CUDA_ERROR_NOT_SUPPORTED);
    const int given = static_cast<int>(reinterpret_cast<intptr_t>(os_handle));
    struct stat file;
    char link[96] = {};
    const std::string path = "/proc/self/fd/" + std::to_string(given);
    require(given >= 0 && fstat(given, &file) == 0 && readlink(path.c_str(), link, sizeof link - 1) > 0 &&
            file.st_size > 0 && whole(static_cast<uint64_t>(file.st_size)));
    for (const auto& device : c.driver.devices) {
      if (std::string(link).find("/memfd:" + shareable_name(*device)) != 0) continue;
      CUmemAllocationProp prop = {};
      prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
      prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
      prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, device->ordinal};
      auto physical = std::make_shared<Physical>(device.get(), static_cast<uint64_t>(file.st_size), prop);
      physical->file = nm::Fd(fcntl(given, F_DUPFD_CLOEXEC, 3));
      require(static_cast<bool>(physical->file), CUDA_ERROR_OPERATING_SYSTEM);
      *handle = handle_of_physical(physical.get());
      c.driver.handles.add(std::move(physical));
      return;
    }
    fail(CUDA_ERROR_INVALID_VALUE);  // not memory of a device that is visible here
  });
}

CUresult cuMulticastGetGranularity(size_t*, const CUmulticastObjectProp*, CUmulticastGranularity_flags) {
  return call([&](Call&) { fail(CUDA_ERROR_NOT_SUPPORTED); });  // MULTICAST_SUPPORTED is zero
}

}  // extern "C"
