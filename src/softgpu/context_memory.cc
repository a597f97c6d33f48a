#include "softgpu/context.h"

namespace nm::softgpu {
namespace {

bool reachable(uint64_t mask, const Allocation& allocation, int device, uint64_t peers) {
  const uint64_t peer_bit = 1ull << allocation.device;
  return (mask >> device & 1) != 0 || (allocation.kind == MemoryKind::device && (peers & peer_bit) != 0);
}

}  // namespace

ptx::Range ContextMemory::find(uint64_t address) {
  const auto allocation = driver_.ranges.find(address);
  if (!allocation || !allocation->live) return {};
  if (!reachable(allocation->readable, *allocation, device_.ordinal, peers)) return {};
  return {allocation->begin, allocation->end(), reachable(allocation->writable, *allocation, device_.ordinal, peers)};
}

uint64_t ContextMemory::epoch() const { return driver_.ranges.epoch(); }

uint64_t ContextMemory::allocate(uint64_t bytes, uint64_t align) {
  if (bytes == 0) return 0;
  auto space = device_.take(bytes, align);
  if (!space) return 0;
  auto allocation = std::make_shared<Allocation>();
  allocation->begin = space->address();
  allocation->size = bytes;
  allocation->kind = MemoryKind::internal;
  allocation->device = device_.ordinal;
  allocation->owner = owner_;
  allocation->id = driver_.ranges.next_id();
  allocation->readable = allocation->writable = 1ull << device_.ordinal;
  // Recycled space still holds what its last owner wrote.
  std::fill_n(reinterpret_cast<uint8_t*>(allocation->begin), bytes, uint8_t{0});
  allocation->backing = std::move(space);
  const uint64_t begin = allocation->begin;
  driver_.ranges.add(std::move(allocation));
  return begin;
}

void ContextMemory::release(uint64_t address) {
  const auto allocation = driver_.ranges.at(address);
  if (allocation && allocation->kind == MemoryKind::internal) driver_.ranges.remove(*allocation);
}

}  // namespace nm::softgpu
