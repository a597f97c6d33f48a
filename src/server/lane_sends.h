// Pinned memory that the threads of the lanes are sending from. They must not call the driver, so they put what is sent
// into a list, and the session's thread gives it back.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

#include "server/staging.h"

namespace nm::server {

class LaneSends {
 public:
  // Memory that the device writes and the lanes will send: a chunk, or a whole buffer (Staging::take_whole).
  void begin() { under_way_.fetch_add(1, std::memory_order_relaxed); }
  // From any thread.
  void sent(const Staging::Chunk& chunk);
  void sent_whole(void* data);

  size_t under_way() const { return under_way_.load(std::memory_order_acquire); }
  // Gives back what is sent; true if there was any.
  bool collect(Staging& staging);

 private:
  std::atomic<size_t> under_way_{0};
  std::atomic<bool> any_{false};
  std::mutex mutex_;
  std::vector<Staging::Chunk> chunks_;
  std::vector<void*> wholes_;
};

}  // namespace nm::server
