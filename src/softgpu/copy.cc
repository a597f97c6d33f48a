#include "softgpu/copy.h"

#include <algorithm>
#include <cstring>

#include "softgpu/array.h"

namespace nm::softgpu {
namespace {

// The bytes from the first to behind the last that a pitched box touches; fails where that overflows.
size_t box_span(size_t width, size_t height, size_t depth, size_t pitch, size_t slice) {
  size_t rows = 0, slices = 0, span = 0;
  require(!__builtin_mul_overflow(height - 1, pitch, &rows) && !__builtin_mul_overflow(depth - 1, slice, &slices) &&
          !__builtin_add_overflow(rows, slices, &span) && !__builtin_add_overflow(span, width, &span));
  return span;
}

}  // namespace

CUDA_MEMCPY3D linear_copy(CUmemorytype to_type, uint64_t to, CUmemorytype from_type, uint64_t from, size_t bytes) {
  CUDA_MEMCPY3D p = {};
  p.srcMemoryType = from_type;
  p.dstMemoryType = to_type;
  if (from_type == CU_MEMORYTYPE_HOST) {
    p.srcHost = reinterpret_cast<const void*>(from);
  } else {
    p.srcDevice = from;
  }
  if (to_type == CU_MEMORYTYPE_HOST) {
    p.dstHost = reinterpret_cast<void*>(to);
  } else {
    p.dstDevice = to;
  }
  p.WidthInBytes = bytes;
  p.Height = p.Depth = 1;
  return p;
}

CopyWork::Side CopyWork::resolve(Driver& driver, CUmemorytype type, const void* host, CUdeviceptr device, CUarray array,
                                 size_t x, size_t y, size_t z, size_t pitch, size_t height, const CUDA_MEMCPY3D& p) {
  Side side;
  if (type == CU_MEMORYTYPE_ARRAY) {
    const auto object = driver.handles.get<Array>(array);
    require(x + p.WidthInBytes >= x && x + p.WidthInBytes <= object->width_bytes());
    require(y + p.Height >= y && y + p.Height <= object->height());
    require(z + p.Depth >= z && z + p.Depth <= object->depth());
    side.pitch = object->width_bytes();
    side.slice = side.pitch * object->height();
    side.at = object->data() + z * side.slice + y * side.pitch + x;
    side.keep = object;
    return side;
  }
  require(type == CU_MEMORYTYPE_HOST || type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED);
  const uint64_t base = type == CU_MEMORYTYPE_HOST ? reinterpret_cast<uint64_t>(host) : device;
  require(base != 0);
  // One row and one slice need no pitch; otherwise it must hold what is copied.
  if (pitch == 0) pitch = p.WidthInBytes + x;
  if (height == 0) height = p.Height + y;
  require(p.Height * p.Depth == 1 || (pitch >= p.WidthInBytes + x && height >= (p.Depth > 1 ? p.Height + y : 0)));
  side.pitch = pitch;
  require(!__builtin_mul_overflow(pitch, height, &side.slice));
  size_t offset = 0, rows = 0;
  require(!__builtin_mul_overflow(z, side.slice, &offset) && !__builtin_mul_overflow(y, pitch, &rows));
  const uint64_t first = base + offset + rows + x;
  const size_t span = box_span(p.WidthInBytes, p.Height, p.Depth, side.pitch, side.slice);
  if (driver.ranges.find(first)) {
    require(driver.ranges.covers(first, span));
  } else {
    require(type != CU_MEMORYTYPE_DEVICE && !driver.ranges.overlaps(first, span));
    for (const auto& d : driver.devices) require(!d->contains(first));  // freed device memory is not host memory
    side.pageable = true;
  }
  side.at = reinterpret_cast<uint8_t*>(first);
  return side;
}

CopyWork::CopyWork(Driver& driver, const CUDA_MEMCPY3D& p, ContextPtr context)
    : params(p), context(std::move(context)) {
  require(p.WidthInBytes > 0 && p.Height > 0 && p.Depth > 0 && p.srcLOD == 0 && p.dstLOD == 0);
  source_ = resolve(driver, p.srcMemoryType, p.srcHost, p.srcDevice, p.srcArray, p.srcXInBytes, p.srcY, p.srcZ,
                    p.srcPitch, p.srcHeight, p);
  target_ = resolve(driver, p.dstMemoryType, p.dstHost, p.dstDevice, p.dstArray, p.dstXInBytes, p.dstY, p.dstZ,
                    p.dstPitch, p.dstHeight, p);
}

CUresult CopyWork::run(Context&) const {
  const size_t width = params.WidthInBytes;
  if (params.Depth == 1 && source_.pitch == width && target_.pitch == width) {
    std::memmove(target_.at, source_.at, width * params.Height);
    return CUDA_SUCCESS;
  }
  for (size_t z = 0; z < params.Depth; ++z) {
    for (size_t y = 0; y < params.Height; ++y) {
      std::memmove(target_.at + z * target_.slice + y * target_.pitch,
                   source_.at + z * source_.slice + y * source_.pitch, width);
    }
  }
  return CUDA_SUCCESS;
}

FillWork::FillWork(Driver& driver, const CUDA_MEMSET_NODE_PARAMS& p, ContextPtr context)
    : params(p), context(std::move(context)) {
  require(p.dst != 0 && p.width > 0 && p.height > 0);
  require(p.elementSize == 1 || p.elementSize == 2 || p.elementSize == 4);
  require(p.dst % p.elementSize == 0 && (p.height == 1 || p.pitch % p.elementSize == 0));
  size_t row = 0;
  require(!__builtin_mul_overflow(p.width, static_cast<size_t>(p.elementSize), &row));
  require(p.height == 1 || p.pitch >= row);
  require(driver.ranges.covers(p.dst, box_span(row, p.height, 1, p.pitch, 0)));
}

CUresult FillWork::run(Context&) const {
  for (size_t y = 0; y < params.height; ++y) {
    auto* row = reinterpret_cast<uint8_t*>(params.dst + y * params.pitch);
    switch (params.elementSize) {
      case 1:
        std::memset(row, static_cast<uint8_t>(params.value), params.width);
        break;
      case 2:
        std::fill_n(reinterpret_cast<uint16_t*>(row), params.width, static_cast<uint16_t>(params.value));
        break;
      default:
        std::fill_n(reinterpret_cast<uint32_t*>(row), params.width, params.value);
    }
  }
  return CUDA_SUCCESS;
}

}  // namespace nm::softgpu
