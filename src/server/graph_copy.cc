#include "server/graph_copy.h"

#include "server/call.h"
#include "server/graphs.h"
#include "server/session.h"
#include "wire/copy_3d.h"

namespace nm::server {
namespace {

// `bytes` gets the volume; false: it is nothing or more than anything can hold.
bool volume(const CUDA_MEMCPY3D_PEER& c, uint64_t* bytes) {
  if (!c.WidthInBytes || !c.Height || !c.Depth || c.Height > wire::kMaxBulk || c.Depth > wire::kMaxBulk) return false;
  if (c.WidthInBytes > wire::kMaxBulk / c.Height || c.WidthInBytes * c.Height > wire::kMaxBulk / c.Depth) return false;
  *bytes = c.WidthInBytes * c.Height * c.Depth;
  return true;
}

// From the first byte to the last that a box at a host address touches.
bool extent(const CUDA_MEMCPY3D_PEER& c, size_t x, size_t y, size_t z, size_t pitch, size_t height, uint64_t* bytes) {
  for (size_t value : {x, y, z, pitch, height}) {
    if (value > wire::kMaxBulk) return false;
  }
  unsigned __int128 row = pitch ? pitch : x + c.WidthInBytes, rows = height ? height : y + c.Height;
  unsigned __int128 last = ((z + c.Depth - 1) * rows + y + c.Height - 1) * row + x + c.WidthInBytes;
  if (last > wire::kMaxBulk) return false;
  *bytes = static_cast<uint64_t>(last);
  return true;
}

bool shared(Session& s, const void* host, uint64_t size) {
  return s.host_ranges().find(reinterpret_cast<uint64_t>(host), size) == host;
}

}  // namespace

CUresult GraphCopy::prepare(Session& s, const CUDA_MEMCPY3D_PEER& c, uint64_t src_slot, uint64_t dst_slot) {
  uint64_t size, reach;
  if (!volume(c, &size)) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D& n = params_;
  n = wire::copy_3d_as<CUDA_MEMCPY3D>(c);
  for (CUmemorytype type : {c.srcMemoryType, c.dstMemoryType}) {
    // The client tells host from device memory; here nobody guesses.
    if (type != CU_MEMORYTYPE_HOST && type != CU_MEMORYTYPE_DEVICE && type != CU_MEMORYTYPE_ARRAY) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  if (src_slot) {
    if (c.srcMemoryType != CU_MEMORYTYPE_HOST) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult e = s.graphs().slots().make(src_slot, size, false, s.context(), &src_)) return e;
    n.srcHost = src_->data;
    n.srcXInBytes = n.srcY = n.srcZ = 0;
    n.srcPitch = c.WidthInBytes;
    n.srcHeight = c.Height;
  } else if (c.srcMemoryType == CU_MEMORYTYPE_HOST) {
    if (!extent(c, c.srcXInBytes, c.srcY, c.srcZ, c.srcPitch, c.srcHeight, &reach) || !shared(s, c.srcHost, reach)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  if (dst_slot) {
    if (c.dstMemoryType != CU_MEMORYTYPE_HOST) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult e = s.graphs().slots().make(dst_slot, size, true, s.context(), &dst_)) return e;
    n.dstHost = dst_->data;
    n.dstXInBytes = n.dstY = n.dstZ = 0;
    n.dstPitch = c.WidthInBytes;
    n.dstHeight = c.Height;
  } else if (c.dstMemoryType == CU_MEMORYTYPE_HOST) {
    if (!extent(c, c.dstXInBytes, c.dstY, c.dstZ, c.dstPitch, c.dstHeight, &reach) || !shared(s, c.dstHost, reach)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  return CUDA_SUCCESS;
}

CUresult GraphCopy::submit(Session& s, CUstream stream) const {
  const DriverTable& d = s.driver();
  const CUDA_MEMCPY3D& c = params_;
  // One row of linear memory: the descriptor's limits on widths are not those of a plain copy.
  if (c.Height == 1 && c.Depth == 1) {
    CUdeviceptr from = c.srcDevice + c.srcXInBytes, to = c.dstDevice + c.dstXInBytes;
    bool plain = !c.srcY && !c.srcZ && !c.dstY && !c.dstZ;
    if (plain && src_ && c.dstMemoryType == CU_MEMORYTYPE_DEVICE) {
      return d.cuMemcpyHtoDAsync_v2(to, c.srcHost, c.WidthInBytes, stream);
    }
    if (plain && dst_ && c.srcMemoryType == CU_MEMORYTYPE_DEVICE) {
      return d.cuMemcpyDtoHAsync_v2(c.dstHost, from, c.WidthInBytes, stream);
    }
  }
  return d.cuMemcpy3DAsync_v2(&c, stream);
}

}  // namespace nm::server
