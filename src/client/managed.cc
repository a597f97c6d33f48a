// Advice about managed memory, prefetches, and questions about both.
//
// Managed memory is host memory here: on the server's own host both sides and the GPU work on the same pages, over a
// network the worker keeps a mirror. No page ever moves to the device, so a prefetch has nothing to do, and success is
// the truth: CUDA promises that the same bytes are found afterwards, not where they lie. What was advised is kept and
// answered, as CUDA answers what was asked for and not what the driver made of it.
#include <string.h>

#include <vector>

#include "client/capture.h"
#include "client/client.h"
#include "client/context.h"
#include "client/copy.h"
#include "client/memory.h"
#include "client/range_notes.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr int kHost = -1, kNowhere = -2;  // how the first forms of these calls name the host and nothing

CUmemLocation location_of(CUdevice device) {
  if (device == kHost) return {CU_MEM_LOCATION_TYPE_HOST, 0};
  return {CU_MEM_LOCATION_TYPE_DEVICE, device};
}

int device_of(const CUmemLocation& l) {
  if (l.type == CU_MEM_LOCATION_TYPE_INVALID) return kNowhere;
  return l.type == CU_MEM_LOCATION_TYPE_DEVICE ? l.id : kHost;
}

bool same(const CUmemLocation& a, const CUmemLocation& b) { return a.type == b.type && a.id == b.id; }

CUresult find_managed(CUdeviceptr ptr, size_t count, MemoryRange* out) {
  if (CUresult e = enter()) return e;
  auto range = find_memory(ptr);
  if (!count || !range || !range->managed || count > range->base + range->size - ptr) return CUDA_ERROR_INVALID_VALUE;
  *out = std::move(*range);
  return CUDA_SUCCESS;
}

CUresult check_location(const CUmemLocation& l, bool numa_too) {
  switch (l.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE: {
      int concurrent = 0;
      if (CUresult e = cuDeviceGetAttribute(&concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, l.id)) return e;
      return concurrent ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
    }
    case CU_MEM_LOCATION_TYPE_HOST:
      return CUDA_SUCCESS;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
      return numa_too && l.id >= 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
      return numa_too ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult update(CUdeviceptr ptr, size_t count, const std::function<void(Advice&)>& change) {
  MemoryRange range;
  if (CUresult e = find_managed(ptr, count, &range)) return e;
  std::lock_guard lock(range.notes->mutex);
  range.notes->advice.update(ptr, ptr + count, change);
  count_local();
  return CUDA_SUCCESS;
}

CUresult advise(CUdeviceptr ptr, size_t count, CUmem_advise advice, const CUmemLocation& location) {
  switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
      return update(ptr, count, [&](Advice& a) { a.read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY; });
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
      if (CUresult e = check_location(location, true)) return e;
      return update(ptr, count, [&](Advice& a) { a.preferred = location; });
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
      return update(ptr, count, [&](Advice& a) { a.preferred = {CU_MEM_LOCATION_TYPE_INVALID, 0}; });
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY: {
      if (CUresult e = check_location(location, false)) return e;
      // The host always has access: saying so changes nothing.
      uint64_t bit = location.type == CU_MEM_LOCATION_TYPE_DEVICE && location.id < 64 ? 1ull << location.id : 0;
      bool set = advice == CU_MEM_ADVISE_SET_ACCESSED_BY;
      return update(ptr, count, [&](Advice& a) { a.accessed_by = set ? a.accessed_by | bit : a.accessed_by & ~bit; });
    }
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

// What holds for the whole range, or `otherwise` where its parts differ.
template <typename T, typename Get, typename Equal>
T common(const MemoryRange& range, CUdeviceptr ptr, size_t count, const T& otherwise, Get&& get, Equal&& equal) {
  std::lock_guard lock(range.notes->mutex);
  bool first = true, differ = false;
  T value = otherwise;
  range.notes->advice.each(ptr, ptr + count, [&](const Advice& a) {
    if (first)
      value = get(a);
    else if (!equal(value, get(a)))
      differ = true;
    first = false;
  });
  return differ ? otherwise : value;
}

CUresult range_attribute(void* data, size_t size, CUmem_range_attribute attribute, CUdeviceptr ptr, size_t count) {
  MemoryRange range;
  if (CUresult e = find_managed(ptr, count, &range)) return e;
  if (!data || size < 4 || size % 4) return CUDA_ERROR_INVALID_VALUE;
  count_local();
  if (attribute == CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY) {
    uint64_t everywhere = ~0ull;
    {
      std::lock_guard lock(range.notes->mutex);
      range.notes->advice.each(ptr, ptr + count, [&](const Advice& a) { everywhere &= a.accessed_by; });
    }
    for (size_t i = 0; i < size / 4; i++) {
      int device = everywhere ? __builtin_ctzll(everywhere) : kNowhere;
      everywhere &= everywhere - 1;
      memcpy(static_cast<char*>(data) + 4 * i, &device, sizeof device);
    }
    return CUDA_SUCCESS;
  }
  if (size != 4) return CUDA_ERROR_INVALID_VALUE;
  const CUmemLocation nowhere{CU_MEM_LOCATION_TYPE_INVALID, 0};
  auto preferred = [&] {
    return common(
        range, ptr, count, nowhere, [](const Advice& a) { return a.preferred; }, same);
  };
  auto prefetched = [&] {
    return common(
        range, ptr, count, nowhere, [](const Advice& a) { return a.prefetched; }, same);
  };
  int value;
  switch (attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
      value = common(
          range, ptr, count, false, [](const Advice& a) { return a.read_mostly; }, std::equal_to<>());
      break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
      value = device_of(preferred());
      break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
      value = device_of(prefetched());
      break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
      value = preferred().type;
      break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
      value = preferred().id;
      break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
      value = prefetched().type;
      break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
      value = prefetched().id;
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  memcpy(data, &value, sizeof value);
  return CUDA_SUCCESS;
}

// A stream that such work may be enqueued in.
CUresult check_stream(CUstream stream) {
  if (CUresult e = enter()) return e;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  bool captured;
  if (CUresult e = is_captured(stream, &captured)) return e;
  if (captured) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return context_error(current_context());
}

CUresult prefetch(CUdeviceptr ptr, size_t count, const CUmemLocation& location, CUstream stream) {
  if (CUresult e = check_stream(stream)) return e;
  if (CUresult e = check_location(location, true)) return e;
  return update(ptr, count, [&](Advice& a) { a.prefetched = location; });
}

CUresult check_batch(const CUdeviceptr* ptrs, const size_t* sizes, size_t count, unsigned long long flags) {
  if (CUresult e = enter()) return e;
  if (!ptrs || !sizes || !count || flags) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; i++) {
    MemoryRange range;
    if (CUresult e = find_managed(ptrs[i], sizes[i], &range)) return e;
  }
  return CUDA_SUCCESS;
}

// Location k is for the ranges from index[k] up to index[k + 1]. All is checked before anything is done.
CUresult prefetch_batch(const CUdeviceptr* ptrs, const size_t* sizes, size_t count, const CUmemLocation* locations,
                        const size_t* index, size_t location_count, unsigned long long flags, CUstream stream) {
  if (CUresult e = check_batch(ptrs, sizes, count, flags)) return e;
  if (!locations || !index || !location_count || location_count > count || index[0] != 0)
    return CUDA_ERROR_INVALID_VALUE;
  for (size_t k = 0; k < location_count; k++) {
    if (index[k] >= count || (k && index[k] <= index[k - 1])) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult e = check_location(locations[k], true)) return e;
  }
  if (CUresult e = check_stream(stream)) return e;
  for (size_t i = 0, k = 0; i < count; i++) {
    if (k + 1 < location_count && index[k + 1] == i) k++;
    if (CUresult e = prefetch(ptrs[i], sizes[i], locations[k], stream)) return e;
  }
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuMemAdvise_v2(CUdeviceptr ptr, size_t count, CUmem_advise advice, CUmemLocation location) {
  return advise(ptr, count, advice, location);
}

NM_EXPORT CUresult cuMemAdvise(CUdeviceptr ptr, size_t count, CUmem_advise advice, CUdevice device) {
  return advise(ptr, count, advice, location_of(device));
}

NM_EXPORT CUresult cuMemRangeGetAttribute(void* data, size_t size, CUmem_range_attribute attribute, CUdeviceptr ptr,
                                          size_t count) {
  return range_attribute(data, size, attribute, ptr, count);
}

NM_EXPORT CUresult cuMemRangeGetAttributes(void** data, size_t* sizes, CUmem_range_attribute* attributes, size_t n,
                                           CUdeviceptr ptr, size_t count) {
  if (CUresult e = enter()) return e;
  if (!data || !sizes || !attributes || !n) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < n; i++) {
    if (CUresult e = range_attribute(data[i], sizes[i], attributes[i], ptr, count)) return e;
  }
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemPrefetchAsync(CUdeviceptr ptr, size_t count, CUdevice device, CUstream stream) {
  return prefetch(ptr, count, location_of(device), stream);
}

NM_EXPORT CUresult cuMemPrefetchAsync_v2(CUdeviceptr ptr, size_t count, CUmemLocation location, unsigned flags,
                                         CUstream stream) {
  return flags ? CUDA_ERROR_INVALID_VALUE : prefetch(ptr, count, location, stream);
}

NM_EXPORT CUresult cuMemPrefetchBatchAsync(CUdeviceptr* ptrs, size_t* sizes, size_t count, CUmemLocation* locations,
                                           size_t* index, size_t location_count, unsigned long long flags,
                                           CUstream stream) {
  return prefetch_batch(ptrs, sizes, count, locations, index, location_count, flags, stream);
}

// What a discarded page holds is undefined until it is written, so it may as well hold what it held.
NM_EXPORT CUresult cuMemDiscardBatchAsync(CUdeviceptr* ptrs, size_t* sizes, size_t count, unsigned long long flags,
                                          CUstream stream) {
  if (CUresult e = check_batch(ptrs, sizes, count, flags)) return e;
  return check_stream(stream);
}

NM_EXPORT CUresult cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr* ptrs, size_t* sizes, size_t count,
                                                     CUmemLocation* locations, size_t* index, size_t location_count,
                                                     unsigned long long flags, CUstream stream) {
  return prefetch_batch(ptrs, sizes, count, locations, index, location_count, flags, stream);
}

// Narrows who may touch the memory when. Everybody may at any time here, which is within every such agreement.
NM_EXPORT CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr ptr, size_t length, unsigned flags) {
  if (CUresult e = check_stream(stream)) return e;
  if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST && flags != CU_MEM_ATTACH_SINGLE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto range = find_memory(ptr);
  if (!range || !range->managed || range->base != ptr || (length && length != range->size))
    return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  if (flags == CU_MEM_ATTACH_SINGLE && handle <= 1)
    return CUDA_ERROR_INVALID_VALUE;  // the legacy stream is everybody's
  count_local();
  return CUDA_SUCCESS;
}

}  // extern "C"
