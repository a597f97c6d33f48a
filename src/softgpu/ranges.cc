#include "softgpu/ranges.h"

#include <mutex>

namespace nm::softgpu {

void Ranges::add(AllocationPtr allocation) {
  std::unique_lock lock(mutex_);
  const uint64_t begin = allocation->begin;
  by_begin_[begin] = std::move(allocation);
}

bool Ranges::remove(const Allocation& allocation) {
  std::unique_lock lock(mutex_);
  const auto it = by_begin_.find(allocation.begin);
  if (it == by_begin_.end() || it->second.get() != &allocation) return false;
  by_begin_.erase(it);
  shrink();
  return true;
}

AllocationPtr Ranges::find_locked(uint64_t address) const {
  auto it = by_begin_.upper_bound(address);
  if (it == by_begin_.begin()) return nullptr;
  --it;
  return address < it->second->end() ? it->second : nullptr;
}

AllocationPtr Ranges::find(uint64_t address) const {
  std::shared_lock lock(mutex_);
  return find_locked(address);
}

AllocationPtr Ranges::at(uint64_t address) const {
  std::shared_lock lock(mutex_);
  const auto it = by_begin_.find(address);
  return it == by_begin_.end() ? nullptr : it->second;
}

bool Ranges::overlaps(uint64_t begin, uint64_t size) const {
  std::shared_lock lock(mutex_);
  if (find_locked(begin)) return true;
  const auto it = by_begin_.lower_bound(begin);
  return it != by_begin_.end() && it->first < begin + size;
}

bool Ranges::covers(uint64_t begin, uint64_t size) const {
  std::shared_lock lock(mutex_);
  const uint64_t end = begin + size;
  if (end < begin) return false;
  for (uint64_t at = begin;;) {
    const auto allocation = find_locked(at);
    if (!allocation) return false;
    if (allocation->kind == MemoryKind::mapped && allocation->readable == 0) return false;
    if (end <= allocation->end()) return true;
    if (allocation->kind != MemoryKind::mapped) return false;
    at = allocation->end();
  }
}

std::vector<AllocationPtr> Ranges::owned_by(const Context* owner) const {
  std::shared_lock lock(mutex_);
  std::vector<AllocationPtr> found;
  for (const auto& [begin, allocation] : by_begin_) {
    if (allocation->owner == owner) found.push_back(allocation);
  }
  return found;
}

}  // namespace nm::softgpu
