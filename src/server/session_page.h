// What a worker tells of itself while it works, for `nearmetal top`: one page that the daemon makes for it and both
// map.
//
// The worker's session thread is the only one that writes, with plain stores, so that telling costs neither a lock nor
// a system call. The daemon maps the page for reading only, sealed against shrinking, and believes nothing in it: a
// worker may have been taken over by its client. See server/worker_page.h for how it reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace nm::server {

inline constexpr size_t kPageGpus = 16;  // more than these are not told

struct SessionPage {
  using Count = std::atomic<uint64_t>;

  // Sums since the session began.
  Count posted, waited;       // records
  Count bytes_in, bytes_out;  // with what copies took from shared memory
  Count kernels, graphs;      // launches
  Count last_call_us;         // CLOCK_MONOTONIC; 0: none yet
  Count memory;               // bytes of GPU memory held, on all GPUs
  Count transport;            // a wire::StatusTransport

  // The GPUs that the worker sees. Written before it is ready, which is before any client could have a say in it.
  struct Gpu {
    Count held;  // bytes
    uint64_t memory;
    uint8_t uuid[16];
    char name[96];
  };
  alignas(64) Gpu gpus[kPageGpus];
  uint64_t gpu_count;
};
static_assert(sizeof(SessionPage) <= 4096 && SessionPage::Count::is_always_lock_free);

inline constexpr size_t kPageBytes = 4096;

// By the thread that alone writes `count`.
inline void add(SessionPage::Count& count, uint64_t n) {
  count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
inline void set(SessionPage::Count& count, uint64_t n) { count.store(n, std::memory_order_relaxed); }

}  // namespace nm::server
