// A device: who it is, its memory and its primary context.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "softgpu/arena.h"
#include "softgpu/entry.h"
#include "softgpu/fence.h"
#include "softgpu/identity.h"

namespace nm::softgpu {

class Context;
class Pool;

inline constexpr int kMultiprocessors = 8;
inline constexpr int kThreadsPerMultiprocessor = 2048;
inline constexpr int kBlocksPerMultiprocessor = 32;
inline constexpr int kRegistersPerMultiprocessor = 65536;
inline constexpr int kSharedPerMultiprocessor = 233472;
inline constexpr int kSharedPerBlock = 49152;
inline constexpr int kSharedPerBlockOptIn = 232448;
inline constexpr int kReservedSharedPerBlock = 1024;
inline constexpr int kWarp = 32;
inline constexpr int kMaxThreadsPerBlock = 1024;

class Device {
 public:
  Device(int ordinal, Identity identity);
  ~Device();

  const int ordinal;
  const Identity identity;

  // Part of the device's memory, counted and given back with the last reference.
  struct Space {
    Device* device;
    uint64_t offset;
    uint64_t bytes;
    uint64_t address() const { return device->arena_->base() + offset; }
    ~Space();
  };
  // Null when the device's memory does not suffice. Counts whole 512-byte units.
  std::shared_ptr<Space> take(uint64_t bytes, uint64_t align);
  // The descriptor behind every Space; -1 before the first.
  int memory_fd() const { return arena_ ? arena_->fd() : -1; }

  // True for every address that the device's allocations can have, allocated or not.
  bool contains(uint64_t address) const { return arena_ && arena_->contains(address); }

  uint64_t total() const { return identity.memory_bytes; }
  uint64_t used() const { return used_; }
  // Counts bytes as used that nobody has an address for: what pools keep.
  void charge(uint64_t bytes) { used_ += bytes; }
  void discharge(uint64_t bytes) { used_ -= bytes; }
  // The ends of asynchronous frees, under the driver's lock.
  std::vector<std::shared_ptr<Fence>> pending_frees;

  std::shared_ptr<Context> primary;
  unsigned primary_flags = 0;
  unsigned primary_uses = 0;
  std::shared_ptr<Pool> default_pool;  // made at its first use
  std::shared_ptr<Pool> current_pool;
  std::atomic<uint64_t> graph_used = 0, graph_used_high = 0, graph_reserved = 0, graph_reserved_high = 0;

 private:
  std::unique_ptr<Arena> arena_;
  std::mutex arena_mutex_;
  std::atomic<uint64_t> used_ = 0;
};

}  // namespace nm::softgpu
