#include <sys/mman.h>

#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "client/context.h"
#include "client/host_memory.h"
#include "client/memory.h"
#include "client/range_notes.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;
constexpr int kClashesToTry = 16;

struct Ranges {
  std::shared_mutex mutex;
  std::map<uint64_t, MemoryRange> by_base;
};
Ranges& ranges() {
  static auto* r = new Ranges;
  return *r;
}

// Memory that graphs allocate dies with the graph, and nobody tells us. But the driver never gives an address twice: what
// it just gave away belongs to nothing else that lives.
void drop_dead_ranges(uint64_t base, uint64_t size) {
  std::vector<MemoryRange> dead;
  for_each_memory([&](const MemoryRange& r) {
    if (r.kind == MemoryKind::device && r.base < base + size && base < r.base + r.size) dead.push_back(r);
  });
  for (auto& r : dead) {
    remove_memory(r.base);
    release_guard(r.base, r.size);
  }
}

}  // namespace

std::optional<MemoryRange> find_memory(uint64_t address) {
  Ranges& r = ranges();
  std::shared_lock lock(r.mutex);
  auto it = r.by_base.upper_bound(address);
  if (it == r.by_base.begin()) return std::nullopt;
  --it;
  if (address - it->second.base >= it->second.size) return std::nullopt;
  return it->second;
}

bool is_shared_host(const void* address, uint64_t size) {
  auto a = reinterpret_cast<uint64_t>(address);
  auto range = find_memory(a);
  return range && range->kind == MemoryKind::shared && size <= range->base + range->size - a;
}

bool is_mapped_here(uint64_t address) {
  // Device memory that we know of is guarded, so it is found before anybody asks this.
  return msync(reinterpret_cast<void*>(address & ~(kPage - 1)), kPage, MS_ASYNC) == 0;
}

bool is_device_address(uint64_t address) {
  auto range = find_memory(address);
  if (range) return range->kind != MemoryKind::mirrored || range->managed;
  if (is_mapped_here(address)) return false;
  // Something the driver placed and never told us about (memory of a graph, say). Ask, once in a long while.
  std::vector<uint8_t> value;
  CUresult e = remote::nm_pointer_attribute(address, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, &value);
  return e == CUDA_SUCCESS && value.size() >= 4 && value[0] == CU_MEMORYTYPE_DEVICE;
}

CUresult check_device_range(uint64_t address, uint64_t size) {
  constexpr uint64_t kNothingBelow = 1 << 16;  // no allocation starts so low: a null pointer, or an offset to one
  if (address < kNothingBelow) return CUDA_ERROR_INVALID_VALUE;
  auto range = find_memory(address);
  if (!range) return is_device_address(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  if (range->kind == MemoryKind::reserved) return CUDA_SUCCESS;
  return size <= range->base + range->size - address ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void add_memory(MemoryRange range) {
  range.notes = std::make_shared<RangeNotes>();
  std::unique_lock lock(ranges().mutex);
  ranges().by_base[range.base] = std::move(range);
}

std::optional<MemoryRange> remove_memory(uint64_t base) {
  std::unique_lock lock(ranges().mutex);
  auto it = ranges().by_base.find(base);
  if (it == ranges().by_base.end()) return std::nullopt;
  MemoryRange range = it->second;
  ranges().by_base.erase(it);
  return range;
}

void for_each_memory(const std::function<void(const MemoryRange&)>& visit) {
  std::shared_lock lock(ranges().mutex);
  for (auto& [base, range] : ranges().by_base) visit(range);
}

CUresult allocate_guarded(uint64_t size, const std::function<CUresult(CUdeviceptr*)>& allocate,
                          const std::function<void(CUdeviceptr)>& give_back, CUdeviceptr* out) {
  // What clashes is held until something fits, or the driver would give the same address again.
  std::vector<CUdeviceptr> clashed;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  for (int i = 0; i < kClashesToTry; i++) {
    CUdeviceptr address;
    result = allocate(&address);
    if (result != CUDA_SUCCESS) break;
    bool guarded = guard_range(address, size);
    if (!guarded) {
      drop_dead_ranges(address, size);
      guarded = guard_range(address, size);
    }
    if (guarded) {
      *out = address;
      break;
    }
    clashed.push_back(address);
    result = CUDA_ERROR_OUT_OF_MEMORY;
  }
  for (CUdeviceptr address : clashed) give_back(address);
  return result;
}

void forget_context_memory(uint64_t context) {
  std::vector<MemoryRange> gone;
  for_each_memory([&](const MemoryRange& r) {
    if (r.context == context && r.kind != MemoryKind::reserved) gone.push_back(r);
  });
  for (auto& r : gone) {
    remove_memory(r.base);
    if (r.kind == MemoryKind::device) {
      release_guard(r.base, r.size);
    } else if (r.kind != MemoryKind::variable) {
      drop_mirror(r.base);
      // A registered range is the program's own; a module's variable lies in pages that others may share.
      if (!r.registered && !r.owner) munmap(reinterpret_cast<void*>(r.base), (r.size + kPage - 1) & ~(kPage - 1));
    }
  }
}

void remember_module_memory(uint64_t owner, uint64_t base, uint64_t size) {
  if (!size || find_memory(base)) return;
  MemoryRange range;
  range.base = base;
  range.size = size;
  range.kind = MemoryKind::variable;
  range.context = current_context();
  range.owner = owner;
  add_memory(range);
}

void forget_module_memory(uint64_t owner) {
  std::vector<MemoryRange> gone;
  for_each_memory([&](const MemoryRange& r) {
    if (r.owner == owner && (r.kind == MemoryKind::variable || r.managed)) gone.push_back(r);
  });
  for (auto& r : gone) {
    if (r.managed) drop_mirror(r.base);
    remove_memory(r.base);
  }
}

}  // namespace nm::client
