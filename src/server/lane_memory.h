// Pinned memory that the threads of the lanes use. They must not call the driver: what they have sent they put into a
// list, and the session's thread gives it back; what they receive into is theirs, and the session's thread pins it.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "driver_table.h"
#include "server/staging.h"
#include "wire/lanes.h"

namespace nm::server {

class LaneMemory {
 public:
  // Memory that the device writes and the lanes will send: a chunk, or a whole buffer (Staging::take_whole).
  void begin() { under_way_.fetch_add(1, std::memory_order_relaxed); }
  // From any thread.
  void sent(const Staging::Chunk& chunk);
  void sent_whole(void* data);

  size_t under_way() const { return under_way_.load(std::memory_order_acquire); }
  // Gives back what is sent; true if there was any.
  bool collect(Staging& staging);

  // So that the device reads what a lane has received without another copy. A driver that cannot is no error: it
  // copies.
  void pin(const DriverTable& driver, const wire::Lanes& lanes, unsigned number, CUcontext context);
  // Nothing of `context` uses it any more.
  void unpin(const DriverTable& driver, const wire::Lanes& lanes, CUcontext context);

 private:
  std::atomic<size_t> under_way_{0};
  std::atomic<bool> any_{false};
  std::mutex mutex_;
  std::vector<Staging::Chunk> chunks_;
  std::vector<void*> wholes_;
  std::map<unsigned, CUcontext> pinned_;  // lanes
};

}  // namespace nm::server
