#include "client/copy.h"

#include <string.h>

#include "client/capture.h"
#include "client/client.h"
#include "client/context.h"
#include "client/graph_slots.h"
#include "client/host_function.h"
#include "client/host_memory.h"
#include "client/host_writes.h"
#include "client/idle_stream.h"
#include "client/lane_copy.h"
#include "client/memory.h"
#include "client/staging.h"
#include "remote.h"

namespace nm::client {
namespace {

CUresult ready(const void* host, size_t size) {
  if (CUresult e = enter()) return e;
  if (size && !host) return CUDA_ERROR_INVALID_VALUE;
  return current_context() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUDA_MEMCPY3D_PEER described(CUdeviceptr device, const void* host, size_t size, bool to_device) {
  CUDA_MEMCPY3D_PEER copy{};
  copy.WidthInBytes = size;
  copy.Height = copy.Depth = 1;
  if (to_device) {
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = host;
    copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = device;
  } else {
    copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = device;
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = const_cast<void*>(host);
  }
  return copy;
}

// What few copies need stays out of the way of those that are many and small.
[[gnu::noinline]] CUresult captured_copy_to(CUdeviceptr dst, const void* src, size_t size, CUstream stream) {
  return capture_copy(described(dst, src, size, true), stream);
}

[[gnu::noinline]] CUresult copy_in_turn(CUdeviceptr dst, const void* src, size_t size, CUstream stream, bool wait) {
  const bool mirrored = is_mirrored(src, size);
  CUresult e;
  if (mirrored && host_functions_may_run())
    e = copy_through_graph(described(dst, src, size, true), stream);
  else if (goes_over_lanes(size))
    e = lane_copy_in(dst, src, size, stream, !wait && mirrored);
  else if (!stage_to_device(dst, src, size, stream, &e))
    e = remote::nm_copy_in(dst, stream, src, size);
  // From pinned memory a waiting copy is over when it returns, also for streams that do not wait for its own; from
  // pageable memory it need only have taken the bytes.
  return e == CUDA_SUCCESS && wait && mirrored ? remote::cuStreamSynchronize(stream) : e;
}

}  // namespace

bool is_mirrored(const void* address, size_t size) {
  auto a = reinterpret_cast<uint64_t>(address);
  auto range = find_memory(a);
  return range && range->kind == MemoryKind::mirrored && size <= range->base + range->size - a;
}

CUresult copy_to_device(CUdeviceptr dst, const void* src, size_t size, CUstream stream, bool wait) {
  if (CUresult e = ready(src, size)) return e;
  if (!size) return CUDA_SUCCESS;
  if (CUresult e = check_device_range(dst, size)) return e;
  before_device_access(dst, size);
  if (is_shared_host(src, size)) {
    // The device reads the program's bytes itself, later: only a waiting copy may return them to the program at once.
    if (CUresult e = remote::nm_copy_host(dst, reinterpret_cast<uint64_t>(src), size, stream, 1)) return e;
    return wait ? remote::cuStreamSynchronize(stream) : CUDA_SUCCESS;
  }
  bool captured;
  if (CUresult e = is_captured(stream, &captured)) return e;
  if (captured) return captured_copy_to(dst, src, size, stream);
  if (CUresult e = wait_for_host_writes(src, size)) return e;
  if (wait || host_functions_may_run() || goes_over_lanes(size)) return copy_in_turn(dst, src, size, stream, wait);
  CUresult e;
  return stage_to_device(dst, src, size, stream, &e) ? e : remote::nm_copy_in(dst, stream, src, size);
}

CUresult copy_from_device(void* dst, CUdeviceptr src, size_t size, CUstream stream, bool wait) {
  if (CUresult e = ready(dst, size)) return e;
  if (!size) return CUDA_SUCCESS;
  if (CUresult e = check_device_range(src, size)) return e;
  before_device_access(src, size);
  if (is_shared_host(dst, size)) {
    if (CUresult e = remote::nm_copy_host(reinterpret_cast<uint64_t>(dst), src, size, stream, 0)) return e;
    return wait ? remote::cuStreamSynchronize(stream) : CUDA_SUCCESS;
  }
  bool captured;
  if (CUresult e = is_captured(stream, &captured)) return e;
  if (captured) return capture_copy(described(src, dst, size, false), stream);
  if (!wait && is_mirrored(dst, size)) {
    const bool over_lanes = goes_over_lanes(size);
    // Bytes on lanes overtake those of earlier copies that come through the channel.
    if (over_lanes) {
      if (CUresult e = wait_for_host_writes(dst, size, kOnLanes)) return e;
    }
    uint64_t write = expect_host_write(dst, size, stream, over_lanes ? kOnLanes : 0);
    CUresult e = over_lanes ? lane_push(dst, src, size, stream)
                            : remote::nm_copy_push(src, size, stream, reinterpret_cast<uint64_t>(dst));
    if (e != CUDA_SUCCESS) host_write_is_over(write);
    return e;
  }
  // A mark of the device says when these bytes have come; what an earlier copy writes to the same memory comes through
  // the channel and would be later.
  if (CUresult e = wait_for_host_writes(dst, size)) return e;
  CUresult e;
  if (goes_over_lanes(size)) {
    e = lane_copy_out(dst, src, size, stream);
  } else if (!stage_from_device(dst, src, size, stream, &e)) {
    e = remote::nm_copy_out(src, stream, dst, size);
    if (e == CUDA_SUCCESS) stream_was_idle(stream);
  }
  return e == CUDA_SUCCESS ? after_synchronise() : e;
}

CUresult copy_on_device(CUdeviceptr dst, CUdeviceptr src, size_t size, CUstream stream) {
  if (CUresult e = enter()) return e;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (!size) return CUDA_SUCCESS;
  if (CUresult e = check_device_range(dst, size)) return e;
  if (CUresult e = check_device_range(src, size)) return e;
  before_device_access(dst, size);
  before_device_access(src, size);
  // By whatever name the program has for its own memory: what reads from there has to be put in order.
  auto* host = reinterpret_cast<void*>(src);
  if (is_shared_host(host, size) && !is_shared_host(reinterpret_cast<void*>(dst), size))
    return remote::nm_copy_host(dst, src, size, stream, 1);
  return remote::cuMemcpyDtoDAsync_v2(dst, src, size, stream);
}

CUresult copy_any(CUdeviceptr dst, CUdeviceptr src, size_t size, CUstream stream, bool wait) {
  if (CUresult e = enter()) return e;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (!size) return CUDA_SUCCESS;
  bool to = is_device_address(dst), from = is_device_address(src);
  if (to && from) {
    if (CUresult e = copy_on_device(dst, src, size, stream)) return e;
    return wait && (is_shared_host(reinterpret_cast<void*>(dst), size) ||
                    is_shared_host(reinterpret_cast<void*>(src), size))
               ? remote::cuStreamSynchronize(stream)
               : CUDA_SUCCESS;
  }
  if (to) return copy_to_device(dst, reinterpret_cast<void*>(src), size, stream, wait);
  if (from) return copy_from_device(reinterpret_cast<void*>(dst), src, size, stream, wait);
  // Host to host: in stream order, so after everything before it.
  bool captured;
  if (CUresult e = is_captured(stream, &captured)) return e;
  if (captured) {
    CUDA_MEMCPY3D_PEER copy{};
    copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = reinterpret_cast<const void*>(src);
    copy.dstHost = reinterpret_cast<void*>(dst);
    copy.WidthInBytes = size;
    copy.Height = copy.Depth = 1;
    return capture_copy(copy, stream);
  }
  if (CUresult e = remote::cuStreamSynchronize(stream)) return e;
  memmove(reinterpret_cast<void*>(dst), reinterpret_cast<void*>(src), size);
  return CUDA_SUCCESS;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void* src, size_t size) {
  return copy_to_device(dst, src, size, nullptr, true);
}
NM_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void* src, size_t size, CUstream stream) {
  return copy_to_device(dst, src, size, stream, false);
}
NM_EXPORT CUresult cuMemcpyDtoH_v2(void* dst, CUdeviceptr src, size_t size) {
  return copy_from_device(dst, src, size, nullptr, true);
}
NM_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* dst, CUdeviceptr src, size_t size, CUstream stream) {
  return copy_from_device(dst, src, size, stream, false);
}
NM_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t size) {
  return copy_on_device(dst, src, size, nullptr);
}
NM_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t size, CUstream stream) {
  return copy_on_device(dst, src, size, stream);
}
NM_EXPORT CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t size) {
  return copy_any(dst, src, size, nullptr, true);
}
NM_EXPORT CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t size, CUstream stream) {
  return copy_any(dst, src, size, stream, false);
}

// Each copy of a batch by itself and in order: a batch promises no more, and no order.
NM_EXPORT CUresult cuMemcpyBatchAsync_v2(CUdeviceptr* dsts, CUdeviceptr* srcs, size_t* sizes, size_t count,
                                         CUmemcpyAttributes* attrs, size_t* attr_indices, size_t attr_count,
                                         CUstream stream) {
  if (CUresult e = enter()) return e;
  if (!dsts || !srcs || !sizes || !count || !attrs || !attr_indices || !attr_count || attr_count > count || !stream) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i < count; i++) {  // all or none
    if (CUresult e = check_device_range(dsts[i], sizes[i])) return e;
    if (CUresult e = check_device_range(srcs[i], sizes[i])) return e;
  }
  for (size_t i = 0; i < count; i++) {
    if (CUresult e = copy_any(dsts[i], srcs[i], sizes[i], stream, false)) return e;
  }
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemcpyBatchAsync(CUdeviceptr* dsts, CUdeviceptr* srcs, size_t* sizes, size_t count,
                                      CUmemcpyAttributes* attrs, size_t* attr_indices, size_t attr_count,
                                      size_t* fail_index, CUstream stream) {
  if (fail_index) *fail_index = SIZE_MAX;
  return cuMemcpyBatchAsync_v2(dsts, srcs, sizes, count, attrs, attr_indices, attr_count, stream);
}

}  // extern "C"
