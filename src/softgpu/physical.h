// Physical memory of the virtual memory API: what cuMemCreate makes and cuMemMap puts behind addresses.
#pragma once

#include "base/fd.h"
#include "softgpu/context.h"

namespace nm::softgpu {

inline constexpr uint64_t kGranularity = 2 << 20;

// What another process's allocation counts as here, nothing: its own process counts it.
class Physical final : public Object {
 public:
  static constexpr Kind kKind = Kind::physical;
  Physical(Device* device, uint64_t bytes, const CUmemAllocationProp& prop)
      : Object(kKind), device(device), bytes(bytes), prop(prop) {}

  Device* const device;  // null: host memory
  const uint64_t bytes;
  const CUmemAllocationProp prop;
  std::shared_ptr<Device::Space> space;  // of the device's arena; or
  Fd file;                               // a memfd of its own: shareable, imported or host memory
  uint64_t charged = 0;                  // bytes of the device that the own memfd counts as
  unsigned references = 1;               // cuMemRelease takes one, cuMemRetainAllocationHandle adds one

  ~Physical() override {
    if (device && charged) device->discharge(charged);
  }
  int fd() const { return file ? file.get() : device->memory_fd(); }
  uint64_t offset() const { return space ? space->offset : 0; }
};
using PhysicalPtr = std::shared_ptr<Physical>;

}  // namespace nm::softgpu
