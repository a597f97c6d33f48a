// Something that happens once: the end of an operation in a stream. Waiting for it never needs the driver's lock.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace nm::softgpu {

inline int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Fence {
 public:
  virtual ~Fence() = default;
  virtual bool done() = 0;
  // Returns done(), after at most `ms` milliseconds.
  virtual bool wait_for(int ms) = 0;
  void wait() {
    while (!wait_for(1000)) {
    }
  }
};

// The end of an operation of this process.
class Completion final : public Fence {
 public:
  bool done() override { return done_.load(std::memory_order_acquire); }
  bool wait_for(int ms) override {
    if (done()) return true;
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return done(); });
  }
  void finish() {
    std::lock_guard lock(mutex_);
    time_ns_ = now_ns();
    done_.store(true, std::memory_order_release);
    changed_.notify_all();
  }
  // Valid once done.
  int64_t time_ns() const { return time_ns_; }

 private:
  std::atomic<bool> done_ = false;
  int64_t time_ns_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace nm::softgpu
