// Device memory of another process of the same user: a window into its device's memfd.
#pragma once

#include <cuda_abi.h>

#include <cstdint>
#include <memory>

namespace nm::softgpu {

inline constexpr uint64_t kSharedRangeMagic = 0x31676e726d676d6e;  // "nmgmrng1"

// Where an allocation lies in the memfd.
struct SharedRange {
  uint64_t magic;
  uint64_t offset;
  uint64_t bytes;
};

struct Window {
  uint64_t address;  // of the range's first byte
  void* mapping;
  size_t mapping_bytes;
  ~Window();
};
// Null when the file does not reach that far.
std::shared_ptr<Window> map_range(int fd, uint64_t offset, uint64_t bytes);
// True for a descriptor of some process's device memory.
bool is_device_memory(int fd);

}  // namespace nm::softgpu
