// Rows of host memory as a copy's descriptor names them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_abi.h"
#include "wire/copy_3d.h"

namespace nm::client {

struct Box {
  size_t width, height, depth, pitch, rows;  // bytes, rows, slices; bytes per row, rows per slice in memory
  uint8_t* base;
};

inline size_t volume(const CUDA_MEMCPY3D_PEER& c) { return c.WidthInBytes * c.Height * c.Depth; }

inline Box box(const CUDA_MEMCPY3D_PEER& c, const void* host, size_t x, size_t y, size_t z, size_t pitch, size_t height) {
  Box b;
  b.width = c.WidthInBytes;
  b.height = c.Height;
  b.depth = c.Depth;
  b.pitch = pitch ? pitch : x + c.WidthInBytes;
  b.rows = height ? height : y + c.Height;
  b.base = static_cast<uint8_t*>(const_cast<void*>(host)) + (z * b.rows + y) * b.pitch + x;
  return b;
}
inline Box source_box(const CUDA_MEMCPY3D_PEER& c) {
  return box(c, c.srcHost, c.srcXInBytes, c.srcY, c.srcZ, c.srcPitch, c.srcHeight);
}
inline Box destination_box(const CUDA_MEMCPY3D_PEER& c) {
  return box(c, c.dstHost, c.dstXInBytes, c.dstY, c.dstZ, c.dstPitch, c.dstHeight);
}

template <typename F>
void for_each_row(const Box& b, F&& f) {
  for (size_t z = 0; z < b.depth; z++) {
    for (size_t y = 0; y < b.height; y++) f(b.base + (z * b.rows + y) * b.pitch);
  }
}

// Bytes from the first to the last that a box touches.
inline size_t extent(const Box& b) { return ((b.depth - 1) * b.rows + (b.height - 1)) * b.pitch + b.width; }

// The common form of a descriptor without contexts.
inline CUDA_MEMCPY3D_PEER widen(const CUDA_MEMCPY2D& c) {
  CUDA_MEMCPY3D_PEER out{};
  out.srcXInBytes = c.srcXInBytes;
  out.srcY = c.srcY;
  out.srcMemoryType = c.srcMemoryType;
  out.srcHost = c.srcHost;
  out.srcDevice = c.srcDevice;
  out.srcArray = c.srcArray;
  out.srcPitch = c.srcPitch;
  out.dstXInBytes = c.dstXInBytes;
  out.dstY = c.dstY;
  out.dstMemoryType = c.dstMemoryType;
  out.dstHost = c.dstHost;
  out.dstDevice = c.dstDevice;
  out.dstArray = c.dstArray;
  out.dstPitch = c.dstPitch;
  out.WidthInBytes = c.WidthInBytes;
  out.Height = c.Height;
  out.Depth = 1;
  return out;
}

inline CUDA_MEMCPY3D_PEER widen(const CUDA_MEMCPY3D& c) { return wire::copy_3d_as<CUDA_MEMCPY3D_PEER>(c); }

// Turns a UNIFIED end into what it is. INVALID_VALUE: a host end without an address, or rows that overlap themselves.
CUresult settle(CUDA_MEMCPY3D_PEER* copy);

}  // namespace nm::client
