// The device heap: first fit over a list of pieces in address order. Kernels that allocate much are rare and small.
#include <algorithm>
#include <map>
#include <mutex>

#include "softgpu/ptx/ptx.h"

namespace nm::softgpu::ptx {

struct DeviceHeap::State {
  Memory& memory;
  uint64_t bytes;
  std::mutex mutex;
  uint64_t base = 0;
  bool tried = false;
  std::map<uint64_t, uint64_t> spare, used;  // address to size
};

DeviceHeap::DeviceHeap(Memory& memory, uint64_t bytes)
    : state_(new State{memory, bytes / 16 * 16, {}, 0, false, {}, {}}) {}
DeviceHeap::~DeviceHeap() {
  if (state_->base != 0) state_->memory.release(state_->base);
}

uint64_t DeviceHeap::capacity() const { return state_->bytes; }

uint64_t DeviceHeap::allocate(uint64_t bytes) {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (!s.tried) {
    s.tried = true;
    s.base = s.memory.allocate(s.bytes, 256);
    if (s.base != 0) s.spare[s.base] = s.bytes;
  }
  if (bytes == 0 || bytes > s.bytes) return 0;
  bytes = (bytes + 15) / 16 * 16;
  for (auto it = s.spare.begin(); it != s.spare.end(); ++it) {
    auto [address, size] = *it;
    if (size < bytes) continue;
    s.spare.erase(it);
    if (size > bytes) s.spare[address + bytes] = size - bytes;
    s.used[address] = bytes;
    return address;
  }
  return 0;
}

bool DeviceHeap::release(uint64_t address) {
  if (address == 0) return true;
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  auto it = s.used.find(address);
  if (it == s.used.end()) return false;
  auto [piece, fresh] = s.spare.emplace(address, it->second);
  s.used.erase(it);
  if (auto next = std::next(piece); next != s.spare.end() && piece->first + piece->second == next->first) {
    piece->second += next->second;
    s.spare.erase(next);
  }
  if (piece != s.spare.begin()) {
    auto before = std::prev(piece);
    if (before->first + before->second == piece->first) {
      before->second += piece->second;
      s.spare.erase(piece);
    }
  }
  return true;
}

}  // namespace nm::softgpu::ptx
