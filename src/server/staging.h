// Pinned memory through which pageable bytes of a client pass on their way to or from the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "cuda_abi.h"
#include "driver_table.h"

namespace nm::server {

class Staging {
 public:
  static constexpr size_t kChunk = 4 << 20;  // bytes
  static constexpr size_t kSmall = 64 << 10;

  struct Chunk {
    uint8_t* data = nullptr;
    size_t size = 0;
    CUcontext context = nullptr;  // it was made in, and dies with
  };

  explicit Staging(const DriverTable& driver) : driver_(driver) {}

  // A chunk of at least min(size, kChunk) bytes; the current context must be live. OUT_OF_MEMORY: none is free and no
  // more may be made, or the driver has no memory. Another error is the context's own, after a fault.
  CUresult take(size_t size, CUcontext context, Chunk* out);
  void give_back(const Chunk& chunk);

  // One buffer of at least `size` bytes, however large. What was given back is used again: the driver takes
  // milliseconds to pin memory and waits for the device before it frees it.
  CUresult take_whole(size_t size, CUcontext context, void** out);
  void give_back_whole(void* data);

  void forget(CUcontext context);

 private:
  static constexpr size_t kMaxChunks = 32, kMaxSmall = 128;
  static constexpr size_t kMaxSpare = 512 << 20;  // bytes of buffers that are kept
  const DriverTable& driver_;
  std::vector<Chunk> large_, small_;
  std::vector<Chunk> spare_whole_;
  std::map<void*, Chunk> used_whole_;
  size_t spare_bytes_ = 0;
  size_t made_large_ = 0, made_small_ = 0;
};

}  // namespace nm::server
