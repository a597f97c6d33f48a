#include "server/lane_memory.h"

#include <utility>

namespace nm::server {

void LaneMemory::sent(const Staging::Chunk& chunk) {
  std::lock_guard lock(mutex_);
  chunks_.push_back(chunk);
  any_ = true;
}

void LaneMemory::sent_whole(void* data) {
  std::lock_guard lock(mutex_);
  wholes_.push_back(data);
  any_ = true;
}

bool LaneMemory::collect(Staging& staging) {
  if (!any_.load(std::memory_order_relaxed)) [[likely]]
    return false;
  std::vector<Staging::Chunk> chunks;
  std::vector<void*> wholes;
  {
    std::lock_guard lock(mutex_);
    chunks.swap(chunks_);
    wholes.swap(wholes_);
    any_ = false;
  }
  for (const auto& chunk : chunks) staging.give_back(chunk);
  for (void* whole : wholes) staging.give_back_whole(whole);
  under_way_.fetch_sub(chunks.size() + wholes.size(), std::memory_order_release);
  return true;
}

void LaneMemory::pin(const DriverTable& driver, const wire::Lanes& lanes, unsigned number, CUcontext context) {
  if (!pinned_.try_emplace(number, context).second) [[likely]]
    return;
  constexpr size_t kSize = wire::Lanes::kSlots * size_t{wire::kMaxPiece};
  if (driver.cuMemHostRegister_v2)
    driver.cuMemHostRegister_v2(lanes.buffer(number), kSize, CU_MEMHOSTREGISTER_PORTABLE);
}

void LaneMemory::unpin(const DriverTable& driver, const wire::Lanes& lanes, CUcontext context) {
  for (auto it = pinned_.begin(); it != pinned_.end();) {
    if (it->second != context) {
      ++it;
      continue;
    }
    if (driver.cuMemHostUnregister) driver.cuMemHostUnregister(lanes.buffer(it->first));
    it = pinned_.erase(it);
  }
}

}  // namespace nm::server
