#include "softgpu/device.h"

namespace nm::softgpu {

Device::Device(int ordinal, Identity identity) : ordinal(ordinal), identity(std::move(identity)) {}
Device::~Device() = default;

Device::Space::~Space() {
  device->arena_->release(offset, bytes);
  device->used_ -= bytes;
}

std::shared_ptr<Device::Space> Device::take(uint64_t bytes, uint64_t align) {
  constexpr uint64_t kUnit = 512;
  if (bytes == 0 || bytes > total()) return nullptr;
  bytes = (bytes + kUnit - 1) / kUnit * kUnit;
  uint64_t used = used_;
  do {
    if (used + bytes > total()) return nullptr;
  } while (!used_.compare_exchange_weak(used, used + bytes));
  {
    std::lock_guard lock(arena_mutex_);
    if (!arena_) arena_ = Arena::create(ordinal, total());
  }
  const auto offset = arena_ ? arena_->allocate(bytes, align < kUnit ? kUnit : align) : std::nullopt;
  if (!offset) {
    used_ -= bytes;
    return nullptr;
  }
  return std::shared_ptr<Space>(new Space{this, *offset, bytes});
}

}  // namespace nm::softgpu
