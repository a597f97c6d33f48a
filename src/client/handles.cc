#include "client/handles.h"

#include <array>
#include <atomic>
#include <mutex>
#include <vector>

namespace nm::client {
namespace {

// Generations of one kind's indices. Odd: drawn; even: free. A chunk never moves, so reading needs no lock.
constexpr uint32_t kChunk = 4096;
constexpr uint32_t kChunks = wire::kMaxIndex / kChunk;

struct KindTable {
  std::mutex mutex;
  std::array<std::atomic<std::atomic<uint16_t>*>, kChunks> chunks{};
  std::vector<uint32_t> free;
  uint32_t next = 0;

  std::atomic<uint16_t>* slot(uint32_t index) {
    if (index >= wire::kMaxIndex) return nullptr;
    auto* chunk = chunks[index / kChunk].load(std::memory_order_acquire);
    return chunk ? &chunk[index % kChunk] : nullptr;
  }
};

KindTable* table(Kind kind) {
  // Never destroyed: other threads of the program may still call us while it exits.
  static auto* tables = new std::array<KindTable, size_t(Kind::count)>();
  return &(*tables)[size_t(kind)];
}

}  // namespace

uint64_t draw_handle(Kind kind) {
  KindTable& t = *table(kind);
  std::lock_guard lock(t.mutex);
  uint32_t index;
  if (!t.free.empty()) {
    index = t.free.back();
    t.free.pop_back();
  } else {
    index = t.next;
    if (index >= wire::kMaxIndex) return 0;
    t.next++;
    auto& chunk = t.chunks[index / kChunk];
    if (!chunk.load(std::memory_order_relaxed)) chunk.store(new std::atomic<uint16_t>[kChunk](), std::memory_order_release);
  }
  auto* slot = t.slot(index);
  uint16_t generation = static_cast<uint16_t>(slot->load(std::memory_order_relaxed) + 1);
  slot->store(generation, std::memory_order_release);
  return wire::Handle{static_cast<uint8_t>(kind), generation, index}.value();
}

void release_handle(Kind kind, uint64_t value) {
  wire::Handle h;
  if (!wire::Handle::parse(value, &h) || h.index & wire::kServerBit) return;
  KindTable& t = *table(kind);
  std::lock_guard lock(t.mutex);
  auto* slot = t.slot(h.index);
  if (!slot || slot->load(std::memory_order_relaxed) != h.generation) return;
  slot->store(static_cast<uint16_t>(h.generation + 1), std::memory_order_release);
  t.free.push_back(h.index);
}

bool is_live(Kind kind, uint64_t value) {
  wire::Handle h;
  if (!wire::Handle::parse(value, &h) || h.kind != static_cast<uint8_t>(kind)) return false;
  if (h.index & wire::kServerBit) return true;  // the server knows its own
  auto* slot = table(kind)->slot(h.index);
  return slot && slot->load(std::memory_order_acquire) == h.generation && (h.generation & 1);
}

CUresult check_handle(Kind kind, uint64_t handle, bool strict) {
  if (handle == 0 && !strict) return CUDA_SUCCESS;
  if (is_live(kind, handle)) return CUDA_SUCCESS;
  if (kind == Kind::function && is_live(Kind::kernel, handle)) return CUDA_SUCCESS;
  switch (kind) {
    case Kind::context:
      return CUDA_ERROR_INVALID_CONTEXT;
    case Kind::graph:
    case Kind::node:
    case Kind::graphexec:
    case Kind::userobj:
      return CUDA_ERROR_INVALID_VALUE;
    default:
      return CUDA_ERROR_INVALID_HANDLE;
  }
}

}  // namespace nm::client
