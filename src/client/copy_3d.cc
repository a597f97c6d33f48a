// Copies of rectangles, boxes and arrays, all as one: CUDA_MEMCPY3D_PEER.
//
// The driver never sees a host address of ours that it cannot reach: host rows are packed without gaps for the way.
#include <stdint.h>
#include <string.h>

#include <vector>

#include "client/capture.h"
#include "client/client.h"
#include "client/context.h"
#include "client/copy.h"
#include "client/graph_slots.h"
#include "client/host_box.h"
#include "client/host_function.h"
#include "client/host_memory.h"
#include "client/host_writes.h"
#include "client/memory.h"
#include "remote.h"

namespace nm::client {
namespace {

CUDA_MEMCPY3D_PEER into_array(CUarray dst, size_t offset, const void* src, size_t size) {
  CUDA_MEMCPY3D_PEER c{};
  c.srcMemoryType = CU_MEMORYTYPE_HOST;
  c.srcHost = src;
  c.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  c.dstArray = dst;
  c.dstXInBytes = offset;
  c.WidthInBytes = size;
  c.Height = c.Depth = 1;
  return c;
}

CUDA_MEMCPY3D_PEER from_array(void* dst, CUarray src, size_t offset, size_t size) {
  CUDA_MEMCPY3D_PEER c{};
  c.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  c.srcArray = src;
  c.srcXInBytes = offset;
  c.dstMemoryType = CU_MEMORYTYPE_HOST;
  c.dstHost = dst;
  c.WidthInBytes = size;
  c.Height = c.Depth = 1;
  return c;
}

template <typename Copy>
CUresult run(const Copy* copy, CUstream stream, bool wait) {
  if (!copy) return CUDA_ERROR_INVALID_VALUE;
  return copy_3d(widen(*copy), stream, wait, false);
}

}  // namespace

CUresult settle(CUDA_MEMCPY3D_PEER* c) {
  auto find_out = [](CUmemorytype* type, CUdeviceptr device, const void** host) {
    if (*type != CU_MEMORYTYPE_UNIFIED) return;
    *type = is_device_address(device) ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    if (*type == CU_MEMORYTYPE_HOST) *host = reinterpret_cast<const void*>(device);
  };
  const void* to = c->dstHost;
  find_out(&c->srcMemoryType, c->srcDevice, &c->srcHost);
  find_out(&c->dstMemoryType, c->dstDevice, &to);
  c->dstHost = const_cast<void*>(to);
  if (c->srcMemoryType == CU_MEMORYTYPE_HOST && (!c->srcHost || source_box(*c).pitch < c->WidthInBytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (c->dstMemoryType == CU_MEMORYTYPE_HOST && (!c->dstHost || destination_box(*c).pitch < c->WidthInBytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

CUresult copy_3d(const CUDA_MEMCPY3D_PEER& asked, CUstream stream, bool wait, bool peer) {
  if (CUresult e = enter()) return e;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  CUDA_MEMCPY3D_PEER c = asked;
  if (!c.WidthInBytes || !c.Height || !c.Depth) return CUDA_SUCCESS;
  if (c.WidthInBytes > SIZE_MAX / c.Height / c.Depth) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = settle(&c)) return e;
  bool from_host = c.srcMemoryType == CU_MEMORYTYPE_HOST, to_host = c.dstMemoryType == CU_MEMORYTYPE_HOST;
  Box src = source_box(c), dst = destination_box(c);

  if (from_host && to_host) {
    bool captured;
    if (CUresult e = is_captured(stream, &captured)) return e;
    if (captured) return capture_copy(c, stream);
    if (CUresult e = remote::cuStreamSynchronize(stream)) return e;
    std::vector<uint8_t> rows;
    for_each_row(src, [&](uint8_t* row) { rows.insert(rows.end(), row, row + c.WidthInBytes); });
    const uint8_t* at = rows.data();
    for_each_row(dst, [&](uint8_t* row) { memcpy(row, at, c.WidthInBytes), at += c.WidthInBytes; });
    return CUDA_SUCCESS;
  }
  bool reachable = (!from_host || is_shared_host(src.base, extent(src))) && (!to_host || is_shared_host(dst.base, extent(dst)));
  if (reachable) {
    if (CUresult e = remote::nm_copy3d(&c, stream, peer)) return e;
    return wait && (from_host || to_host) ? remote::cuStreamSynchronize(stream) : CUDA_SUCCESS;
  }
  bool captured;
  if (CUresult e = is_captured(stream, &captured)) return e;
  if (captured) return capture_copy(c, stream);
  std::vector<uint8_t> rows;
  if (from_host) {
    if (CUresult e = wait_for_host_writes(src.base, extent(src))) return e;
    if (host_functions_may_run() && is_mirrored(src.base, extent(src))) {
      if (CUresult e = copy_through_graph(c, stream)) return e;
      return wait ? remote::cuStreamSynchronize(stream) : CUDA_SUCCESS;
    }
    rows.reserve(volume(c));
    for_each_row(src, [&](uint8_t* row) { rows.insert(rows.end(), row, row + c.WidthInBytes); });
    if (CUresult e = remote::nm_copy3d_in(&c, stream, rows.data(), rows.size())) return e;
    // A waiting copy also reports what only the driver can tell: whether the box fits its array.
    return wait ? remote::cuStreamSynchronize(stream) : CUDA_SUCCESS;
  }
  rows.resize(volume(c));
  if (CUresult e = remote::nm_copy3d_out(&c, stream, rows.data(), rows.size())) return e;
  const uint8_t* at = rows.data();
  for_each_row(dst, [&](uint8_t* row) { memcpy(row, at, c.WidthInBytes), at += c.WidthInBytes; });
  return after_synchronise();
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* copy) { return run(copy, nullptr, true); }
NM_EXPORT CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* copy) { return run(copy, nullptr, true); }
NM_EXPORT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) { return run(copy, stream, false); }
NM_EXPORT CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D* copy) { return run(copy, nullptr, true); }
NM_EXPORT CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* copy, CUstream stream) { return run(copy, stream, false); }

NM_EXPORT CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER* copy) {
  return copy ? copy_3d(*copy, nullptr, true, true) : CUDA_ERROR_INVALID_VALUE;
}
NM_EXPORT CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER* copy, CUstream stream) {
  return copy ? copy_3d(*copy, stream, false, true) : CUDA_ERROR_INVALID_VALUE;
}

NM_EXPORT CUresult cuMemcpyHtoAAsync_v2(CUarray dst, size_t offset, const void* src, size_t size, CUstream stream) {
  return copy_3d(into_array(dst, offset, src, size), stream, false, false);
}
NM_EXPORT CUresult cuMemcpyHtoA_v2(CUarray dst, size_t offset, const void* src, size_t size) {
  return copy_3d(into_array(dst, offset, src, size), nullptr, true, false);
}
NM_EXPORT CUresult cuMemcpyAtoHAsync_v2(void* dst, CUarray src, size_t offset, size_t size, CUstream stream) {
  return copy_3d(from_array(dst, src, offset, size), stream, false, false);
}
NM_EXPORT CUresult cuMemcpyAtoH_v2(void* dst, CUarray src, size_t offset, size_t size) {
  return copy_3d(from_array(dst, src, offset, size), nullptr, true, false);
}

NM_EXPORT CUresult cuMemcpy3DBatchAsync_v2(size_t count, CUDA_MEMCPY3D_BATCH_OP* ops, unsigned long long flags, CUstream stream) {
  if (CUresult e = enter()) return e;
  if (!count || !ops || flags || !stream) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; i++) {
    CUDA_MEMCPY3D_PEER c{};
    const CUDA_MEMCPY3D_BATCH_OP& op = ops[i];
    auto end = [&](const CUmemcpy3DOperand& o, bool source) {
      CUmemorytype type = CU_MEMORYTYPE_ARRAY;
      CUdeviceptr address = 0;
      size_t pitch = 0, height = 0, x = 0, y = 0, z = 0;
      CUarray array = nullptr;
      if (o.type == CU_MEMCPY_OPERAND_TYPE_POINTER) {
        type = CU_MEMORYTYPE_UNIFIED;
        address = o.op.ptr.ptr;
        pitch = o.op.ptr.rowLength;  // elements of one byte: a pointer operand has no element type
        height = o.op.ptr.layerHeight;
      } else {
        array = o.op.array.array;
        x = o.op.array.offset.x;
        y = o.op.array.offset.y;
        z = o.op.array.offset.z;
      }
      if (source) {
        c.srcMemoryType = type, c.srcDevice = address, c.srcPitch = pitch, c.srcHeight = height, c.srcArray = array;
        c.srcXInBytes = x, c.srcY = y, c.srcZ = z;
      } else {
        c.dstMemoryType = type, c.dstDevice = address, c.dstPitch = pitch, c.dstHeight = height, c.dstArray = array;
        c.dstXInBytes = x, c.dstY = y, c.dstZ = z;
      }
    };
    end(op.src, true);
    end(op.dst, false);
    // Where an array is involved, widths are in its elements, whose size only the driver knows.
    if (c.srcArray || c.dstArray) return not_supported("cuMemcpy3DBatchAsync with arrays");
    c.WidthInBytes = op.extent.width;
    c.Height = op.extent.height;
    c.Depth = op.extent.depth;
    if (CUresult e = copy_3d(c, stream, false, false)) return e;
  }
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemcpy3DBatchAsync(size_t count, CUDA_MEMCPY3D_BATCH_OP* ops, size_t* fail_index, unsigned long long flags,
                                        CUstream stream) {
  if (fail_index) *fail_index = SIZE_MAX;
  return cuMemcpy3DBatchAsync_v2(count, ops, flags, stream);
}

}  // extern "C"
