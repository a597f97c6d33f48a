// Managed memory: advice, prefetches and what was said. The memory is where it is, in the one memory of this machine;
// what a program says about it is remembered and answered.
#include <cstring>

#include "softgpu/context.h"

namespace nm::softgpu {

struct ManagedHints {
  bool read_mostly = false;
  CUmemLocation preferred = {CU_MEM_LOCATION_TYPE_INVALID, 0};
  CUmemLocation prefetched = {CU_MEM_LOCATION_TYPE_INVALID, 0};
  std::vector<int> accessed_by;  // ordinals; -1 for the host
};

}  // namespace nm::softgpu

using namespace nm::softgpu;

namespace {

constexpr int kHostId = -1, kInvalidId = -2;  // how the first forms of these calls name the host and nothing

CUmemLocation location_of(Call& c, CUdevice device) {
  if (device == kHostId) return {CU_MEM_LOCATION_TYPE_HOST, 0};
  return {CU_MEM_LOCATION_TYPE_DEVICE, c.driver.device(device).ordinal};
}

int id_of(const CUmemLocation& location) {
  switch (location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
      return location.id;
    case CU_MEM_LOCATION_TYPE_INVALID:
      return kInvalidId;
    default:
      return kHostId;
  }
}

void require_location(Call& c, const CUmemLocation& location) {
  if (location.type == CU_MEM_LOCATION_TYPE_DEVICE) {
    c.driver.device(location.id);
  } else {
    require(location.type >= CU_MEM_LOCATION_TYPE_HOST && location.type <= CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT);
  }
}

ManagedHints& hints_of(Call& c, CUdeviceptr ptr, size_t count) {
  const auto allocation = c.driver.ranges.find(ptr);
  require(count > 0 && allocation && allocation->kind == MemoryKind::managed && count <= allocation->end() - ptr);
  if (!allocation->hints) allocation->hints = std::make_shared<ManagedHints>();
  return *allocation->hints;
}

void advise(Call& c, CUdeviceptr ptr, size_t count, CUmem_advise advice, const CUmemLocation& location) {
  auto& hints = hints_of(c, ptr, count);
  switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
      hints.read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
      return;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
      require_location(c, location);
      hints.preferred = location;
      return;
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
      hints.preferred = {CU_MEM_LOCATION_TYPE_INVALID, 0};
      return;
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
      require_location(c, location);
      std::erase(hints.accessed_by, id_of(location));
      if (advice == CU_MEM_ADVISE_SET_ACCESSED_BY) hints.accessed_by.push_back(id_of(location));
      return;
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
}

void prefetch(ContextCall& c, CUdeviceptr ptr, size_t count, const CUmemLocation& location, CUstream stream) {
  c.stream(stream);
  require_location(c, location);
  hints_of(c, ptr, count).prefetched = location;
}

void put(void* out, int value) { std::memcpy(out, &value, sizeof value); }

void range_attribute(Call& c, void* data, size_t size, CUmem_range_attribute attribute, CUdeviceptr ptr, size_t count) {
  require(data != nullptr && size >= 4 && size % 4 == 0);
  const auto& hints = hints_of(c, ptr, count);
  require(size == 4 || attribute == CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY);
  switch (attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
      return put(data, hints.read_mostly);
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
      return put(data, id_of(hints.preferred));
    case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
      for (size_t i = 0; i < size / 4; ++i) {
        put(static_cast<char*>(data) + 4 * i, i < hints.accessed_by.size() ? hints.accessed_by[i] : kInvalidId);
      }
      return;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
      return put(data, id_of(hints.prefetched));
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
      return put(data, static_cast<int>(hints.preferred.type));
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
      return put(data, hints.preferred.id);
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
      return put(data, static_cast<int>(hints.prefetched.type));
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
      return put(data, hints.prefetched.id);
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
}

void require_batch(CUdeviceptr* dptrs, size_t* sizes, size_t count, CUmemLocation* locations, size_t* indices,
                   size_t locations_count, unsigned long long flags) {
  require(dptrs != nullptr && sizes != nullptr && count > 0 && flags == 0);
  require(locations != nullptr && indices != nullptr && locations_count > 0 && locations_count <= count &&
          indices[0] == 0);
}

}  // namespace

extern "C" {

CUresult cuMemAdvise_v2(CUdeviceptr dev_ptr, size_t count, CUmem_advise advice, CUmemLocation location) {
  return call([&](Call& c) { advise(c, dev_ptr, count, advice, location); });
}
CUresult cuMemAdvise(CUdeviceptr dev_ptr, size_t count, CUmem_advise advice, CUdevice device) {
  return call([&](Call& c) {
    const bool placed = advice != CU_MEM_ADVISE_SET_READ_MOSTLY && advice != CU_MEM_ADVISE_UNSET_READ_MOSTLY &&
                        advice != CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION;
    advise(c, dev_ptr, count, advice, placed ? location_of(c, device) : CUmemLocation{});
  });
}

CUresult cuMemPrefetchAsync_v2(CUdeviceptr dev_ptr, size_t count, CUmemLocation location, unsigned flags,
                               CUstream stream) {
  return in_context([&](ContextCall& c) {
    require(flags == 0);
    prefetch(c, dev_ptr, count, location, stream);
  });
}
CUresult cuMemPrefetchAsync(CUdeviceptr dev_ptr, size_t count, CUdevice dst_device, CUstream stream) {
  return in_context([&](ContextCall& c) { prefetch(c, dev_ptr, count, location_of(c, dst_device), stream); });
}

CUresult cuMemPrefetchBatchAsync(CUdeviceptr* dptrs, size_t* sizes, size_t count, CUmemLocation* prefetch_locs,
                                 size_t* prefetch_loc_idxs, size_t num_prefetch_locs, unsigned long long flags,
                                 CUstream stream) {
  return in_context([&](ContextCall& c) {
    require_batch(dptrs, sizes, count, prefetch_locs, prefetch_loc_idxs, num_prefetch_locs, flags);
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
      if (at + 1 < num_prefetch_locs && prefetch_loc_idxs[at + 1] == i) ++at;
      prefetch(c, dptrs[i], sizes[i], prefetch_locs[at], stream);
    }
  });
}

CUresult cuMemDiscardBatchAsync(CUdeviceptr* dptrs, size_t* sizes, size_t count, unsigned long long flags,
                                CUstream stream) {
  return in_context([&](ContextCall& c) {
    require(dptrs != nullptr && sizes != nullptr && count > 0 && flags == 0);
    c.stream(stream);
    for (size_t i = 0; i < count; ++i) hints_of(c, dptrs[i], sizes[i]);  // contents may go, they need not
  });
}

CUresult cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr* dptrs, size_t* sizes, size_t count,
                                           CUmemLocation* prefetch_locs, size_t* prefetch_loc_idxs,
                                           size_t num_prefetch_locs, unsigned long long flags, CUstream stream) {
  return cuMemPrefetchBatchAsync(dptrs, sizes, count, prefetch_locs, prefetch_loc_idxs, num_prefetch_locs, flags,
                                 stream);
}

CUresult cuMemRangeGetAttribute(void* data, size_t data_size, CUmem_range_attribute attribute, CUdeviceptr dev_ptr,
                                size_t count) {
  return call([&](Call& c) { range_attribute(c, data, data_size, attribute, dev_ptr, count); });
}

CUresult cuMemRangeGetAttributes(void** data, size_t* data_sizes, CUmem_range_attribute* attributes,
                                 size_t num_attributes, CUdeviceptr dev_ptr, size_t count) {
  return call([&](Call& c) {
    require(data != nullptr && data_sizes != nullptr && attributes != nullptr && num_attributes > 0);
    for (size_t i = 0; i < num_attributes; ++i) {
      range_attribute(c, data[i], data_sizes[i], attributes[i], dev_ptr, count);
    }
  });
}

CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr dptr, size_t length, unsigned flags) {
  return in_context([&](ContextCall& c) {
    c.stream(stream);
    require(flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST || flags == CU_MEM_ATTACH_SINGLE);
    const auto allocation = c.driver.ranges.at(dptr);
    require(allocation && allocation->kind == MemoryKind::managed && (length == 0 || length == allocation->size));
  });
}

}  // extern "C"
