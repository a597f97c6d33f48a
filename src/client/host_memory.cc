#include "client/host_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "client/call.h"
#include "client/client.h"
#include "client/context.h"
#include "client/memory.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;
// Where both sides look for a common free address first: far from heaps, stacks, libraries and the driver's ranges.
constexpr uint64_t kArena = 0x2000'0000'0000, kArenaEnd = 0x3000'0000'0000;
constexpr uint64_t kSpacing = 2 << 20;
constexpr int kPlacesToTry = 64;
constexpr unsigned kHostFlags = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;

struct Mirror {
  MemoryRange range;
  bool variable = false;  // a module's managed variable: the driver placed it
  bool exposed = false;   // the device may read or write it
  bool device_dirty = false;
  std::vector<uint8_t> shadow;  // what the worker has, as far as we know
};

std::atomic<uint64_t> g_next{kArena};
std::atomic<int> g_mirrors{0};
std::mutex g_mutex;
std::map<uint64_t, Mirror>& mirrors() {
  static auto* m = new std::map<uint64_t, Mirror>;
  return *m;
}

std::set<uint64_t>& variable_pages() {
  static auto* pages = new std::set<uint64_t>;
  return *pages;
}

uint64_t round_up(uint64_t size, uint64_t to) { return (size + to - 1) / to * to; }

void add_mirror(const MemoryRange& range, bool variable, bool exposed) {
  std::lock_guard lock(g_mutex);
  Mirror& m = mirrors()[range.base];
  m = {range, variable, exposed, false, {}};
  m.shadow.assign(range.size, 0);
  if (variable) memcpy(m.shadow.data(), reinterpret_cast<void*>(range.base), range.size);
  g_mirrors++;
}

CUresult remote_host_share(uint64_t address, uint64_t size, unsigned flags, bool managed, int fd, CUdeviceptr* device_pointer) {
  Call call(op::nm_host_share);
  call.args().u64(address);
  call.args().u64(size);
  call.args().u64(flags);
  call.args().u64(managed);
  call.pass_fd(fd);
  if (CUresult e = call.wait()) return e;
  *device_pointer = call.reply().u64();
  return call.reply().bad() ? call.malformed() : CUDA_SUCCESS;
}

// Allocates at an address that is free on both sides.
CUresult allocate(void** out, size_t size, unsigned flags, bool managed) {
  if (CUresult e = enter()) return e;
  if (!out || !size) return CUDA_ERROR_INVALID_VALUE;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  bool share = Client::get()->channel().shares_memory();
  uint64_t length = round_up(size, kPage);
  Fd memory;
  if (share) {
    memory.reset(static_cast<int>(syscall(SYS_memfd_create, "nearmetal-host", MFD_CLOEXEC)));
    if (!memory || ftruncate(memory.get(), static_cast<off_t>(length)) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
  }
  for (int i = 0; i < kPlacesToTry; i++) {
    uint64_t at = g_next.fetch_add(round_up(length, kSpacing) + kSpacing);
    if (at + length > kArenaEnd) return CUDA_ERROR_OUT_OF_MEMORY;
    // SAFETY: NOREPLACE: an address that is in use here is skipped.
    void* p = mmap(reinterpret_cast<void*>(at), length, PROT_READ | PROT_WRITE,
                   (share ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) | MAP_FIXED_NOREPLACE, memory.get(), 0);
    if (p != reinterpret_cast<void*>(at)) {
      if (p != MAP_FAILED) munmap(p, length);
      else if (errno == ENOMEM) return CUDA_ERROR_OUT_OF_MEMORY;
      continue;
    }
    CUdeviceptr device_pointer = 0;
    CUresult result = share ? remote_host_share(at, length, flags, managed, memory.get(), &device_pointer)
                            : remote::nm_host_mirror(at, length, flags, managed, &device_pointer);
    if (result != CUDA_SUCCESS || device_pointer != at) {
      if (result == CUDA_SUCCESS) remote::nm_host_release(at);
      munmap(p, length);
      if (result == CUDA_ERROR_ALREADY_MAPPED || result == CUDA_SUCCESS) continue;
      return result;
    }
    MemoryRange range;
    range.base = at;
    range.size = size;
    range.kind = share ? MemoryKind::shared : MemoryKind::mirrored;
    range.context = current_context();
    range.device_pointer = device_pointer;
    range.flags = flags;
    range.managed = managed;
    add_memory(range);
    // Mapped and managed memory is made to be used by kernels; other pinned memory only if a launch names it.
    if (!share) add_mirror(range, false, managed || (flags & CU_MEMHOSTALLOC_DEVICEMAP) != 0);
    *out = p;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult send_changes(Mirror& m) {
  auto* now = reinterpret_cast<const uint8_t*>(m.range.base);
  for (uint64_t at = 0; at < m.range.size;) {
    uint64_t n = std::min(kPage, m.range.size - at);
    if (memcmp(now + at, m.shadow.data() + at, n) == 0) {
      at += n;
      continue;
    }
    uint64_t end = at + n;  // neighbouring changed pages go together
    while (end < m.range.size) {
      uint64_t k = std::min(kPage, m.range.size - end);
      if (memcmp(now + end, m.shadow.data() + end, k) == 0) break;
      end += k;
    }
    memcpy(m.shadow.data() + at, now + at, end - at);
    CUresult e = m.variable ? remote::nm_managed_write(m.range.base + at, m.shadow.data() + at, end - at)
                            : remote::nm_mirror_write(m.range.base + at, m.shadow.data() + at, end - at);
    if (e != CUDA_SUCCESS) return e;
    at = end;
  }
  return CUDA_SUCCESS;
}

CUresult fetch_changes(Mirror& m) {
  std::vector<uint8_t> there(m.range.size);
  CUresult e = m.variable ? remote::nm_managed_read(m.range.base, there.data(), there.size())
                          : remote::nm_mirror_read(m.range.base, there.data(), there.size());
  if (e != CUDA_SUCCESS) return e;
  // Only what the device changed: the program may have written elsewhere in the meantime.
  auto* here = reinterpret_cast<uint8_t*>(m.range.base);
  for (uint64_t i = 0; i < m.range.size; i++) {
    if (there[i] != m.shadow[i]) here[i] = m.shadow[i] = there[i];
  }
  m.device_dirty = false;
  return CUDA_SUCCESS;
}

bool names(const Mirror& m, const uint8_t* parameters, size_t size) {
  for (size_t at = 0; at + 8 <= size; at += 8) {
    uint64_t value;
    memcpy(&value, parameters + at, sizeof value);
    if (value - m.range.device_pointer < m.range.size || value - m.range.base < m.range.size) return true;
  }
  return false;
}

}  // namespace

CUresult free_host_memory(uint64_t base) {
  auto range = find_memory(base);
  if (!range || range->base != base || (range->kind != MemoryKind::shared && range->kind != MemoryKind::mirrored)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // Waits for the device, as in CUDA: nothing may write to these pages once they are somebody else's.
  CUresult result = remote::nm_host_release(base);
  drop_mirror(base);
  remove_memory(base);
  if (!range->registered) munmap(reinterpret_cast<void*>(base), round_up(range->size, kPage));
  return result;
}

void before_launch(const uint8_t* parameters, size_t size) {
  if (g_mirrors.load(std::memory_order_relaxed) == 0) [[likely]] return;
  std::lock_guard lock(g_mutex);
  for (auto& [base, m] : mirrors()) {
    if (!m.exposed && names(m, parameters, size)) m.exposed = true;
    if (!m.exposed) continue;
    if (m.device_dirty) fetch_changes(m);  // an earlier kernel may have written here: do not overwrite it with old bytes
    send_changes(m);
    m.device_dirty = true;
  }
}

CUresult after_synchronise() {
  if (g_mirrors.load(std::memory_order_relaxed) == 0) [[likely]] return CUDA_SUCCESS;
  std::lock_guard lock(g_mutex);
  for (auto& [base, m] : mirrors()) {
    if (!m.exposed || !m.device_dirty) continue;
    if (CUresult e = fetch_changes(m)) return e;
  }
  return CUDA_SUCCESS;
}

bool receive_pushed_memory(uint64_t address, uint64_t size, const std::function<bool(void*, uint64_t)>& read) {
  auto range = find_memory(address);
  if (!range || range->kind != MemoryKind::mirrored || size > range->base + range->size - address) return false;
  return read(reinterpret_cast<void*>(address), size);
}

void drop_mirror(uint64_t base) {
  std::lock_guard lock(g_mutex);
  if (mirrors().erase(base)) g_mirrors--;
}

CUresult mirror_managed_variable(uint64_t owner, uint64_t base, uint64_t size) {
  if (find_memory(base)) return CUDA_SUCCESS;
  uint64_t first = base & ~(kPage - 1), end = round_up(base + size, kPage);
  for (uint64_t page = first; page < end; page += kPage) {
    // SAFETY: NOREPLACE. Several variables share a page: the first one maps it.
    void* p = mmap(reinterpret_cast<void*>(page), kPage, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED && errno == EEXIST) {
      if (!variable_pages().count(page)) return CUDA_ERROR_OUT_OF_MEMORY;
      continue;
    }
    if (p == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    variable_pages().insert(page);
  }
  if (CUresult e = remote::nm_managed_read(base, reinterpret_cast<void*>(base), size)) return e;
  MemoryRange range;
  range.base = base;
  range.size = size;
  range.kind = MemoryKind::mirrored;
  range.context = current_context();
  range.device_pointer = base;
  range.managed = true;
  range.owner = owner;
  add_memory(range);
  add_mirror(range, true, true);
  return CUDA_SUCCESS;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuMemHostAlloc(void** out, size_t size, unsigned flags) {
  if (flags & ~kHostFlags) return CUDA_ERROR_INVALID_VALUE;
  return allocate(out, size, flags, false);
}

NM_EXPORT CUresult cuMemAllocHost_v2(void** out, size_t size) { return allocate(out, size, 0, false); }

NM_EXPORT CUresult cuMemAllocManaged(CUdeviceptr* out, size_t size, unsigned flags) {
  if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST) return CUDA_ERROR_INVALID_VALUE;
  void* p;
  if (CUresult e = allocate(&p, size, flags, true)) return e;
  *out = reinterpret_cast<CUdeviceptr>(p);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemFreeHost(void* p) {
  if (CUresult e = enter()) return e;
  auto range = find_memory(reinterpret_cast<uint64_t>(p));
  if (!range || range->managed || range->registered) return CUDA_ERROR_INVALID_VALUE;
  return free_host_memory(reinterpret_cast<uint64_t>(p));
}

NM_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* out, void* p, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (!out || flags) return CUDA_ERROR_INVALID_VALUE;
  auto address = reinterpret_cast<uint64_t>(p);
  auto range = find_memory(address);
  if (!range || !range->device_pointer) return CUDA_ERROR_INVALID_VALUE;
  if (range->kind == MemoryKind::mirrored) {
    std::lock_guard lock(g_mutex);
    if (auto it = mirrors().find(range->base); it != mirrors().end()) it->second.exposed = true;
  }
  *out = range->device_pointer + (address - range->base);
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemHostGetFlags(unsigned* flags, void* p) {
  if (CUresult e = enter()) return e;
  if (!flags) return CUDA_ERROR_INVALID_VALUE;
  auto range = find_memory(reinterpret_cast<uint64_t>(p));
  if (!range || (range->kind != MemoryKind::shared && range->kind != MemoryKind::mirrored)) return CUDA_ERROR_INVALID_VALUE;
  *flags = range->flags | CU_MEMHOSTALLOC_DEVICEMAP;  // with unified addressing all pinned memory is mapped
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemHostRegister_v2(void* p, size_t size, unsigned flags) {
  if (CUresult e = enter()) return e;
  constexpr unsigned kKnown = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY;
  if (!p || !size || flags & ~(kKnown | CU_MEMHOSTREGISTER_IOMEMORY)) return CUDA_ERROR_INVALID_VALUE;
  if (flags & CU_MEMHOSTREGISTER_IOMEMORY) return not_supported("cuMemHostRegister of I/O memory");
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  auto address = reinterpret_cast<uint64_t>(p);
  if (find_memory(address) || find_memory(address + size - 1)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  CUdeviceptr device_pointer;
  if (CUresult e = remote::nm_host_mirror(address, size, flags, 0, &device_pointer)) return e;
  MemoryRange range;
  range.base = address;
  range.size = size;
  range.kind = MemoryKind::mirrored;
  range.context = current_context();
  range.device_pointer = device_pointer;
  range.flags = flags;
  range.registered = true;
  add_memory(range);
  add_mirror(range, false, false);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemHostRegister(void* p, size_t size, unsigned flags) { return cuMemHostRegister_v2(p, size, flags); }

NM_EXPORT CUresult cuMemHostUnregister(void* p) {
  if (CUresult e = enter()) return e;
  auto range = find_memory(reinterpret_cast<uint64_t>(p));
  if (!range || !range->registered) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  if (CUresult e = after_synchronise()) return e;
  return free_host_memory(range->base);
}

}  // extern "C"
