#include "softgpu/arena.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <string>

namespace nm::softgpu {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kGiB = 1ull << 30;

uint64_t align_up(uint64_t value, uint64_t align) { return (value + align - 1) & ~(align - 1); }

}  // namespace

std::unique_ptr<Arena> Arena::create(int ordinal, uint64_t memory_bytes) {
  const uint64_t span = align_up(std::max(memory_bytes * 4, 16 * kGiB), 2 << 20);
  Fd fd(memfd_create(("nearmetal-softgpu-" + std::to_string(ordinal)).c_str(), MFD_CLOEXEC));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(span)) != 0) return nullptr;
  void* at = mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (at == MAP_FAILED) return nullptr;
  // A forked child has no device, and must not keep the memory of one alive.
  madvise(at, span, MADV_DONTFORK);
  madvise(at, span, MADV_DONTDUMP);
  return std::unique_ptr<Arena>(new Arena(std::move(fd), reinterpret_cast<uint64_t>(at), span));
}

Arena::Arena(Fd fd, uint64_t base, uint64_t span) : fd_(std::move(fd)), base_(base), span_(span) { free_[0] = span_; }

Arena::~Arena() { munmap(reinterpret_cast<void*>(base_), span_); }

std::optional<uint64_t> Arena::allocate(uint64_t bytes, uint64_t align) {
  std::lock_guard lock(mutex_);
  // Best fit: large ranges stay whole. Alignment is of the address, so that a program may rely on it.
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    const uint64_t start = align_up(base_ + it->first, align) - base_;
    if (start + bytes > it->first + it->second) continue;
    if (best == free_.end() || it->second < best->second) best = it;
  }
  if (best == free_.end()) return std::nullopt;
  const uint64_t begin = best->first, end = best->first + best->second;
  const uint64_t start = align_up(base_ + begin, align) - base_;
  free_.erase(best);
  if (start > begin) free_[begin] = start - begin;
  if (start + bytes < end) free_[start + bytes] = end - (start + bytes);
  return start;
}

void Arena::release(uint64_t offset, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  uint64_t begin = offset, end = offset + bytes;
  auto next = free_.lower_bound(begin);
  if (next != free_.end() && next->first == end) {
    end += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == begin) {
      begin = previous->first;
      free_.erase(previous);
    }
  }
  free_[begin] = end - begin;
  // Only pages that lie wholly in free memory, and of those only what this release can have freed.
  const uint64_t first = std::max(align_up(begin, kPage), offset & ~(kPage - 1));
  const uint64_t last = std::min(end & ~(kPage - 1), align_up(offset + bytes, kPage));
  if (first < last) {
    fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first),
              static_cast<off_t>(last - first));
  }
}

}  // namespace nm::softgpu
