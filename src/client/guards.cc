// Address space held for memory of the device, so that nothing of the program comes to lie where a pointer means that.
#include <sys/mman.h>

#include <map>
#include <mutex>
#include <utility>

#include "client/memory.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;

struct Guards {
  std::mutex mutex;
  // Pages at the ends of allocations may be shared by several of them: how many hold each.
  std::map<uint64_t, int> edge_pages;
  // What guard_range() reserved, by base and size: nothing else may be unmapped, wherever a server says it lies.
  std::map<std::pair<uint64_t, uint64_t>, int> held;
};
Guards& guards() {
  static auto* g = new Guards;
  return *g;
}

bool reserve(uint64_t base, uint64_t size) {
  // SAFETY: NOREPLACE, so nothing of the program is ever covered.
  void* at = mmap(reinterpret_cast<void*>(base), size, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (at == reinterpret_cast<void*>(base)) return true;
  if (at != MAP_FAILED) munmap(at, size);
  return false;
}

struct Split {
  uint64_t first, last;            // edge pages; equal for a small range
  uint64_t inner_base, inner_end;  // whole pages that belong to this range alone
};
Split split(uint64_t base, uint64_t size) {
  uint64_t first = base & ~(kPage - 1), last = (base + size - 1) & ~(kPage - 1);
  return {first, last, first + kPage, last};
}

bool take_edge(Guards& g, uint64_t page) {
  int& count = g.edge_pages[page];
  if (count == 0 && !reserve(page, kPage)) {
    g.edge_pages.erase(page);
    return false;
  }
  count++;
  return true;
}

void drop_edge(Guards& g, uint64_t page) {
  auto it = g.edge_pages.find(page);
  if (it == g.edge_pages.end() || --it->second > 0) return;
  munmap(reinterpret_cast<void*>(page), kPage);
  g.edge_pages.erase(it);
}

}  // namespace

bool guard_range(uint64_t base, uint64_t size) {
  constexpr uint64_t kHighest = 1ull << 47;
  if (!size || size > kHighest || base > kHighest - size) return false;
  Guards& g = guards();
  std::lock_guard lock(g.mutex);
  Split s = split(base, size);
  if (!take_edge(g, s.first)) return false;
  if (s.last != s.first && !take_edge(g, s.last)) {
    drop_edge(g, s.first);
    return false;
  }
  if (s.inner_base < s.inner_end && !reserve(s.inner_base, s.inner_end - s.inner_base)) {
    drop_edge(g, s.first);
    if (s.last != s.first) drop_edge(g, s.last);
    return false;
  }
  g.held[{base, size}]++;
  return true;
}

void release_guard(uint64_t base, uint64_t size) {
  Guards& g = guards();
  std::lock_guard lock(g.mutex);
  auto guard = g.held.find({base, size});
  if (guard == g.held.end()) return;
  if (--guard->second == 0) g.held.erase(guard);
  Split s = split(base, size);
  drop_edge(g, s.first);
  if (s.last != s.first) drop_edge(g, s.last);
  if (s.inner_base < s.inner_end) munmap(reinterpret_cast<void*>(s.inner_base), s.inner_end - s.inner_base);
}

}  // namespace nm::client
