// What the client knows of a live handle, by index. Reading takes no lock: a launch looks its kernel up here.
//
// An entry is replaced when its index is drawn again; the old one is kept, because another thread may still read it.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "wire/handle.h"

namespace nm::client {

template <typename T>
class SideTable {
 public:
  // Null if nothing is known of `handle`.
  T* find(uint64_t handle) const {
    wire::Handle h;
    if (!wire::Handle::parse(handle, &h)) return nullptr;
    const Half& half = halves_[h.index & wire::kServerBit ? 1 : 0];
    uint32_t index = h.index & ~wire::kServerBit;
    if (index >= wire::kMaxIndex) return nullptr;
    const auto* chunk = half[index / kChunk].load(std::memory_order_acquire);
    Entry* e = chunk ? (*chunk)[index % kChunk].load(std::memory_order_acquire) : nullptr;
    return e && e->handle == handle ? &e->value : nullptr;
  }

  T* put(uint64_t handle, T value) {
    wire::Handle h;
    if (!wire::Handle::parse(handle, &h)) return nullptr;
    uint32_t index = h.index & ~wire::kServerBit;
    if (index >= wire::kMaxIndex) return nullptr;
    std::lock_guard lock(mutex_);
    auto& slot = halves_[h.index & wire::kServerBit ? 1 : 0][index / kChunk];
    if (!slot.load(std::memory_order_relaxed)) slot.store(new Chunk(), std::memory_order_release);
    entries_.push_back(std::make_unique<Entry>(handle, std::move(value)));
    (*slot.load(std::memory_order_relaxed))[index % kChunk].store(entries_.back().get(), std::memory_order_release);
    return &entries_.back()->value;
  }

 private:
  struct Entry {
    Entry(uint64_t h, T v) : handle(h), value(std::move(v)) {}
    uint64_t handle;
    T value;
  };
  static constexpr uint32_t kChunk = 1024;
  using Chunk = std::array<std::atomic<Entry*>, kChunk>;
  using Half = std::array<std::atomic<Chunk*>, wire::kMaxIndex / kChunk>;

  std::mutex mutex_;
  Half halves_[2] = {};
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace nm::client
