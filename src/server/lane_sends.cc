#include "server/lane_sends.h"

#include <utility>

namespace nm::server {

void LaneSends::sent(const Staging::Chunk& chunk) {
  std::lock_guard lock(mutex_);
  chunks_.push_back(chunk);
  any_ = true;
}

void LaneSends::sent_whole(void* data) {
  std::lock_guard lock(mutex_);
  wholes_.push_back(data);
  any_ = true;
}

bool LaneSends::collect(Staging& staging) {
  if (!any_.load(std::memory_order_relaxed)) [[likely]] return false;
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

}  // namespace nm::server
