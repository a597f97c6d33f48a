#include "client/staging.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "client/client.h"
#include "client/context.h"
#include "client/host_memory.h"
#include "client/memory.h"
#include "client/parallel_copy.h"
#include "client/capture.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr size_t kSlot = 2 << 20;          // bytes that pass at once
constexpr size_t kFirst = 256 << 10;       // a first piece that is small gets the copy engine going early
constexpr size_t kSmallest = 16 << 10;     // less travels with the record as quickly
constexpr size_t kMostSlots = 16;          // of one context
constexpr size_t kAhead = 6;               // pieces on their way from the device at the same time
constexpr uint64_t kPatienceNs = 500'000;  // then ask instead of looking

uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

// The device writes `last` behind the bytes when the copy that used the slot last is over.
struct Slot {
  uint64_t base = 0;
  uint32_t last = 0;
  bool held = false;
  CUstream stream = nullptr;  // of that copy

  void* bytes() const { return reinterpret_cast<void*>(base); }
  uint64_t mark() const { return base + kSlot; }
  bool is_over() const {
    return reinterpret_cast<std::atomic<uint32_t>*>(mark())->load(std::memory_order_acquire) == last;
  }
};

enum class Support { unknown, yes, no };

std::mutex g_mutex;
std::atomic<Support> g_support{Support::unknown};
std::map<uint64_t, std::vector<std::unique_ptr<Slot>>>& slots() {
  static auto* all = new std::map<uint64_t, std::vector<std::unique_ptr<Slot>>>;  // by context
  return *all;
}

CUresult make_slot(std::unique_ptr<Slot>* out) {
  void* base;
  if (CUresult e = allocate_host_memory(&base, kSlot + 4096)) return e;
  *out = std::make_unique<Slot>();
  (*out)->base = reinterpret_cast<uint64_t>(base);
  return CUDA_SUCCESS;
}

// Looks for the mark, and asks for the stream when it does not come: the worker knows what went wrong.
CUresult wait_for(Slot& slot, CUstream stream) {
  uint64_t give_up = now_ns() + kPatienceNs;
  while (!slot.is_over()) {
    __builtin_ia32_pause();
    if (now_ns() < give_up) continue;
    if (CUresult e = remote::cuStreamSynchronize(stream)) return e;
    if (!slot.is_over()) return CUDA_ERROR_UNKNOWN;
  }
  return CUDA_SUCCESS;
}

void give_back(Slot* slot) {
  std::lock_guard lock(g_mutex);
  slot->held = false;
}

// A slot for the caller alone; null where there is no memory for another one, and all that there are have an owner.
CUresult take_slot(Slot** out, bool may_grow = true) {
  const uint64_t context = current_context();
  Slot* oldest = nullptr;
  {
    std::lock_guard lock(g_mutex);
    auto& mine = slots()[context];
    // Slots go with the context that they were made in.
    std::erase_if(mine, [](const auto& s) { return !s->held && !find_memory(s->base); });
    for (auto& s : mine) {
      if (s->held) continue;
      if (s->is_over()) {
        s->held = true;
        *out = s.get();
        return CUDA_SUCCESS;
      }
      if (!oldest) oldest = s.get();
    }
    if ((mine.size() >= kMostSlots || !may_grow) && oldest)
      oldest->held = true;
    else
      oldest = nullptr;
  }
  if (oldest) {
    *out = oldest;
    CUresult e = wait_for(*oldest, oldest->stream);
    // The stream may be gone, the copy is not.
    if (e == CUDA_ERROR_INVALID_HANDLE) e = remote::cuCtxSynchronize_v2(nullptr);
    if (e != CUDA_SUCCESS) give_back(oldest);
    return e;
  }
  *out = nullptr;
  if (!may_grow) return CUDA_SUCCESS;
  std::unique_ptr<Slot> fresh;
  if (make_slot(&fresh) != CUDA_SUCCESS) return take_slot(out, false);
  fresh->held = true;
  *out = fresh.get();
  std::lock_guard lock(g_mutex);
  slots()[context].push_back(std::move(fresh));
  return CUDA_SUCCESS;
}

CUresult post(Slot& slot, CUdeviceptr device, size_t size, CUstream stream, bool to_device) {
  slot.stream = stream;
  return remote::nm_stage(device, slot.base, size, to_device, slot.mark(), ++slot.last, stream);
}

// Not every driver writes marks: the first slot finds out.
Support find_out(CUstream stream) {
  Slot* slot;
  if (take_slot(&slot) != CUDA_SUCCESS || !slot) return Support::unknown;
  CUresult e = post(*slot, 0, 0, stream, true);
  if (e == CUDA_SUCCESS) e = wait_for(*slot, stream);
  if (e != CUDA_SUCCESS) slot->last = 0;
  give_back(slot);
  if (e == CUDA_ERROR_NOT_SUPPORTED) return Support::no;
  if (e != CUDA_SUCCESS) keep_error(current_context(), e);  // of earlier work: the program's to hear
  return e == CUDA_SUCCESS ? Support::yes : Support::unknown;
}

bool is_staged(size_t size, CUstream stream) {
  // A new slot is memory that a capture of the program may forbid.
  if (size < kSmallest || !Client::get()->channel().shares_memory() || active_captures()) return false;
  Support support = g_support.load(std::memory_order_relaxed);
  if (support == Support::unknown) [[unlikely]]
    g_support = support = find_out(stream);
  return support == Support::yes;
}

size_t piece(size_t done, size_t size) { return std::min(size - done, done ? kSlot : std::min(size, kFirst)); }

}  // namespace

bool stage_to_device(CUdeviceptr dst, const void* src, size_t size, CUstream stream, CUresult* result) {
  if (!is_staged(size, stream)) return false;
  auto* from = static_cast<const uint8_t*>(src);
  *result = CUDA_SUCCESS;
  for (size_t done = 0; done < size;) {
    const size_t n = piece(done, size);
    Slot* slot;
    if ((*result = take_slot(&slot)) != CUDA_SUCCESS) return true;
    if (!slot) return false;
    parallel_copy(slot->bytes(), from + done, n);
    *result = post(*slot, dst + done, n, stream, true);
    give_back(slot);
    if (*result != CUDA_SUCCESS) return true;
    done += n;
  }
  return true;
}

bool stage_from_device(void* dst, CUdeviceptr src, size_t size, CUstream stream, CUresult* out) {
  if (!is_staged(size, stream)) return false;
  struct Coming {
    Slot* slot;
    size_t at, size;
  };
  std::deque<Coming> coming;
  auto* to = static_cast<uint8_t*>(dst);
  CUresult result = CUDA_SUCCESS;
  for (size_t asked = 0; asked < size || !coming.empty();) {
    while (result == CUDA_SUCCESS && asked < size && coming.size() < kAhead) {
      const size_t n = piece(asked, size);
      Slot* slot;
      if ((result = take_slot(&slot)) != CUDA_SUCCESS) break;
      if (!slot && coming.empty()) return false;
      if (!slot) break;
      coming.push_back({slot, asked, n});
      result = post(*slot, src + asked, n, stream, false);
      asked += n;
    }
    if (coming.empty()) break;  // it failed before anything was asked for
    Coming next = coming.front();
    coming.pop_front();
    if (result == CUDA_SUCCESS) result = wait_for(*next.slot, stream);
    if (result == CUDA_SUCCESS) parallel_copy(to + next.at, next.slot->bytes(), next.size);
    give_back(next.slot);
    if (result != CUDA_SUCCESS) asked = size;
  }
  *out = result;
  return true;
}

}  // namespace nm::client
