// cuMemcpy*: every form becomes a three-dimensional copy in a stream. How long the call takes follows from the memory:
// a pageable source has been read and a pageable target has been written when an asynchronous call returns.
#include <cstring>
#include <vector>

#include "softgpu/capture.h"
#include "softgpu/context.h"
#include "softgpu/copy.h"
#include "softgpu/copy_submit.h"

using namespace nm::softgpu;

namespace {

constexpr CUmemorytype kHost = CU_MEMORYTYPE_HOST, kDevice = CU_MEMORYTYPE_DEVICE, kArray = CU_MEMORYTYPE_ARRAY,
                       kUnified = CU_MEMORYTYPE_UNIFIED;

uint64_t address(const void* p) { return reinterpret_cast<uint64_t>(p); }

CUDA_MEMCPY3D with_array(CUDA_MEMCPY3D p, CUarray to, size_t to_offset, CUarray from, size_t from_offset) {
  if (to) {
    p.dstArray = to;
    p.dstXInBytes = to_offset;
  }
  if (from) {
    p.srcArray = from;
    p.srcXInBytes = from_offset;
  }
  return p;
}

CUDA_MEMCPY3D widen(const CUDA_MEMCPY2D& q) {
  CUDA_MEMCPY3D p = {};
  p.srcXInBytes = q.srcXInBytes;
  p.srcY = q.srcY;
  p.srcMemoryType = q.srcMemoryType;
  p.srcHost = q.srcHost;
  p.srcDevice = q.srcDevice;
  p.srcArray = q.srcArray;
  p.srcPitch = q.srcPitch;
  p.dstXInBytes = q.dstXInBytes;
  p.dstY = q.dstY;
  p.dstMemoryType = q.dstMemoryType;
  p.dstHost = q.dstHost;
  p.dstDevice = q.dstDevice;
  p.dstArray = q.dstArray;
  p.dstPitch = q.dstPitch;
  p.WidthInBytes = q.WidthInBytes;
  p.Height = q.Height;
  p.Depth = 1;
  return p;
}

CUDA_MEMCPY3D without_peers(const CUDA_MEMCPY3D_PEER& q) {
  static_assert(sizeof(CUDA_MEMCPY3D) == sizeof(CUDA_MEMCPY3D_PEER));
  CUDA_MEMCPY3D p;
  std::memcpy(&p, &q, sizeof p);
  p.reserved0 = p.reserved1 = nullptr;
  return p;
}

CUresult now(const CUDA_MEMCPY3D& p) {
  return in_context([&](ContextCall& c) { copy_and_wait(c, *c.stream(nullptr), p); });
}
CUresult later(const CUDA_MEMCPY3D& p, CUstream stream) {
  return in_context([&](ContextCall& c) { enqueue_copy(c, *c.stream(stream), p); });
}

}  // namespace

extern "C" {

CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t n) {
  return now(linear_copy(kUnified, dst, kUnified, src, n));
}
CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream) {
  return later(linear_copy(kUnified, dst, kUnified, src, n), stream);
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void* src, size_t n) {
  return now(linear_copy(kDevice, dst, kHost, address(src), n));
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void* src, size_t n, CUstream stream) {
  return later(linear_copy(kDevice, dst, kHost, address(src), n), stream);
}
CUresult cuMemcpyDtoH_v2(void* dst, CUdeviceptr src, size_t n) {
  return now(linear_copy(kHost, address(dst), kDevice, src, n));
}
CUresult cuMemcpyDtoHAsync_v2(void* dst, CUdeviceptr src, size_t n, CUstream stream) {
  return later(linear_copy(kHost, address(dst), kDevice, src, n), stream);
}
// Between device memories a synchronous copy orders the stream and does not hold up the host, as in CUDA.
CUresult cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t n) {
  return later(linear_copy(kDevice, dst, kDevice, src, n), nullptr);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream) {
  return later(linear_copy(kDevice, dst, kDevice, src, n), stream);
}

CUresult cuMemcpyDtoA_v2(CUarray dst, size_t offset, CUdeviceptr src, size_t n) {
  return now(with_array(linear_copy(kArray, 0, kDevice, src, n), dst, offset, nullptr, 0));
}
CUresult cuMemcpyAtoD_v2(CUdeviceptr dst, CUarray src, size_t offset, size_t n) {
  return now(with_array(linear_copy(kDevice, dst, kArray, 0, n), nullptr, 0, src, offset));
}
CUresult cuMemcpyHtoA_v2(CUarray dst, size_t offset, const void* src, size_t n) {
  return now(with_array(linear_copy(kArray, 0, kHost, address(src), n), dst, offset, nullptr, 0));
}
CUresult cuMemcpyAtoH_v2(void* dst, CUarray src, size_t offset, size_t n) {
  return now(with_array(linear_copy(kHost, address(dst), kArray, 0, n), nullptr, 0, src, offset));
}
CUresult cuMemcpyAtoA_v2(CUarray dst, size_t dst_offset, CUarray src, size_t src_offset, size_t n) {
  return now(with_array(linear_copy(kArray, 0, kArray, 0, n), dst, dst_offset, src, src_offset));
}
CUresult cuMemcpyHtoAAsync_v2(CUarray dst, size_t offset, const void* src, size_t n, CUstream stream) {
  return later(with_array(linear_copy(kArray, 0, kHost, address(src), n), dst, offset, nullptr, 0), stream);
}
CUresult cuMemcpyAtoHAsync_v2(void* dst, CUarray src, size_t offset, size_t n, CUstream stream) {
  return later(with_array(linear_copy(kHost, address(dst), kArray, 0, n), nullptr, 0, src, offset), stream);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* copy) { return copy ? now(widen(*copy)) : CUDA_ERROR_INVALID_VALUE; }
CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* copy) { return cuMemcpy2D_v2(copy); }
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) {
  return copy ? later(widen(*copy), stream) : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D* copy) { return copy ? now(*copy) : CUDA_ERROR_INVALID_VALUE; }
CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* copy, CUstream stream) {
  return copy ? later(*copy, stream) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemcpyPeer(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context, size_t n) {
  return in_context([&](ContextCall& c) {
    copy_between_contexts(c, dst_context, src_context, linear_copy(kDevice, dst, kDevice, src, n));
  });
}
CUresult cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context, size_t n,
                           CUstream stream) {
  return in_context([&](ContextCall& c) {
    require_contexts(c, dst_context, src_context);
    enqueue_copy(c, *c.stream(stream), linear_copy(kDevice, dst, kDevice, src, n));
  });
}
CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER* copy) {
  return in_context([&](ContextCall& c) {
    require(copy != nullptr);
    copy_between_contexts(c, copy->dstContext, copy->srcContext, without_peers(*copy));
  });
}
CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER* copy, CUstream stream) {
  return in_context([&](ContextCall& c) {
    require(copy != nullptr);
    require_contexts(c, copy->dstContext, copy->srcContext);
    enqueue_copy(c, *c.stream(stream), without_peers(*copy));
  });
}

}  // extern "C"
