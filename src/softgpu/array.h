// CUDA arrays: linear storage that kernels reach through no pointer.
#pragma once

#include <vector>

#include "softgpu/context.h"

namespace nm::softgpu {

inline constexpr unsigned kArrayLayered = 1, kArraySurface = 2, kArrayCubemap = 4, kArrayGather = 8;

class Array final : public Object {
 public:
  static constexpr Kind kKind = Kind::array;
  Array(Device& device, const CUDA_ARRAY3D_DESCRIPTOR& desc) : Object(kKind), device(device), desc(desc) {}

  Device& device;
  const CUDA_ARRAY3D_DESCRIPTOR desc;    // zero height or depth: fewer dimensions; layers are the depth
  std::shared_ptr<Device::Space> space;  // a level of a mipmapped array shares its space
  uint64_t offset = 0;                   // in the space
  size_t element = 0;                    // bytes
  bool level = false;                    // of a mipmapped array: not destroyed alone

  size_t width_bytes() const { return desc.Width * element; }
  size_t height() const { return desc.Height ? desc.Height : 1; }
  size_t depth() const { return desc.Depth ? desc.Depth : 1; }
  size_t bytes() const { return width_bytes() * height() * depth(); }
  uint8_t* data() const { return reinterpret_cast<uint8_t*>(space->address() + offset); }
};
using ArrayPtr = std::shared_ptr<Array>;

class Mipmap final : public Object {
 public:
  static constexpr Kind kKind = Kind::mipmap;
  Mipmap() : Object(kKind) {}
  std::vector<ArrayPtr> levels;
};

// INVALID_HANDLE when it is no array.
inline size_t array_element_bytes(Driver& driver, CUarray array) { return driver.handles.get<Array>(array)->element; }

}  // namespace nm::softgpu
