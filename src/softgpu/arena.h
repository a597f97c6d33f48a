// A device's memory: one sparse memfd, mapped whole, handed out in pieces. One descriptor serves every allocation, so
// that another process of the same user can map any of them (IPC), and ten thousand allocations cost no descriptors.
// The span of addresses is several times the device's memory: fragmentation never refuses what the size would allow.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/fd.h"

namespace nm::softgpu {

class Arena {
 public:
  // Null when the kernel gives no memfd or no addresses.
  static std::unique_ptr<Arena> create(int ordinal, uint64_t memory_bytes);
  ~Arena();

  // Offset of `bytes` free bytes; `align` is a power of two. Empty: the span is used up.
  std::optional<uint64_t> allocate(uint64_t bytes, uint64_t align);
  // Gives the pages back to the machine.
  void release(uint64_t offset, uint64_t bytes);

  bool contains(uint64_t address) const { return address >= base_ && address - base_ < span_; }
  uint64_t base() const { return base_; }
  int fd() const { return fd_.get(); }

 private:
  Arena(Fd fd, uint64_t base, uint64_t span);

  Fd fd_;
  uint64_t base_;
  uint64_t span_;
  std::mutex mutex_;
  std::map<uint64_t, uint64_t> free_;  // offset -> bytes, never adjacent
};

}  // namespace nm::softgpu
