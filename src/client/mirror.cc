#include "client/mirror.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "client/client.h"
#include "client/context.h"
#include "client/host_writes.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;

struct Mirror {
  MemoryRange range;
  bool variable = false;  // a module's managed variable: the driver placed it
  bool exposed = false;   // the device may read or write it
  bool device_dirty = false;
  std::vector<uint8_t> shadow;  // what the worker has, as far as we know
  uint64_t version = 0;         // of that knowledge; no other mirror's
};
uint64_t g_versions = 0;

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

// Programs also talk through mapped memory while kernels run: a flag that one side sets and the other polls. For small
// mirrors a thread of ours carries such changes both ways all the time; of large ones the program's go with a launch
// and the device's come with a wait.
constexpr uint64_t kWatchedBytes = 1 << 20;
constexpr long kWatchPeriodNs = 1'000'000;

CUresult send(Mirror& m, uint64_t from, uint64_t to) {
  memcpy(m.shadow.data() + from, reinterpret_cast<const uint8_t*>(m.range.base) + from, to - from);
  m.version = ++g_versions;
  return m.variable ? remote::nm_managed_write(m.range.base + from, m.shadow.data() + from, to - from)
                    : remote::nm_mirror_write(m.range.base + from, m.shadow.data() + from, to - from);
}

// What differs now from what the worker is known to have.
void adopt(Mirror& m, const std::vector<uint8_t>& there) {
  // Only what the device changed: the program may have written elsewhere in the meantime.
  auto* here = reinterpret_cast<uint8_t*>(m.range.base);
  for (uint64_t i = 0; i < m.range.size; i++) {
    if (there[i] != m.shadow[i]) here[i] = m.shadow[i] = there[i];
  }
  m.version = ++g_versions;
}

CUresult read(const Mirror& m, std::vector<uint8_t>* there) {
  there->resize(m.range.size);
  return m.variable ? remote::nm_managed_read(m.range.base, there->data(), there->size())
                    : remote::nm_mirror_read(m.range.base, there->data(), there->size());
}

CUresult fetch_changes(Mirror& m) {
  std::vector<uint8_t> there;
  if (CUresult e = read(m, &there)) return e;
  adopt(m, there);
  m.device_dirty = false;
  return CUDA_SUCCESS;
}

// Neighbouring pages that changed go together.
CUresult send_changed_pages(Mirror& m) {
  auto* now = reinterpret_cast<const uint8_t*>(m.range.base);
  auto size_at = [&m](uint64_t at) { return std::min(kPage, m.range.size - at); };
  auto differs = [&](uint64_t at) { return memcmp(now + at, m.shadow.data() + at, size_at(at)) != 0; };
  for (uint64_t at = 0; at < m.range.size;) {
    uint64_t end = at;
    while (end < m.range.size && differs(end)) end += size_at(end);
    if (end > at) {
      if (CUresult e = send(m, at, end)) return e;
    }
    at = end < m.range.size ? end + size_at(end) : end;
  }
  return CUDA_SUCCESS;
}

// A kernel may have written here since we last knew, and its bytes are not to be overwritten with old ones: no byte
// goes but those that the program changed. Where they lie too scattered for that, what the device wrote is fetched
// first.
CUresult send_changed_bytes(Mirror& m) {
  constexpr size_t kMostRuns = 32;
  auto* now = reinterpret_cast<const uint8_t*>(m.range.base);
  std::vector<std::pair<uint64_t, uint64_t>> runs;
  for (uint64_t page = 0; page < m.range.size; page += kPage) {
    const uint64_t end = std::min(page + kPage, m.range.size);
    if (memcmp(now + page, m.shadow.data() + page, end - page) == 0) continue;
    for (uint64_t at = page; at < end; at++) {
      if (now[at] == m.shadow[at]) continue;
      if (!runs.empty() && runs.back().second == at)
        runs.back().second++;
      else
        runs.push_back({at, at + 1});
    }
  }
  if (runs.size() > kMostRuns) {
    if (CUresult e = fetch_changes(m)) return e;
    return send_changed_pages(m);
  }
  for (auto [from, to] : runs) {
    if (CUresult e = send(m, from, to)) return e;
  }
  return CUDA_SUCCESS;
}

CUresult send_changes(Mirror& m) { return m.device_dirty ? send_changed_bytes(m) : send_changed_pages(m); }

// The worker is asked without the lock, so that the program's launches go on meanwhile; what it says counts only if
// nothing else has been learnt since.
void fetch_unlocked(uint64_t base) {
  Mirror asked;
  {
    std::lock_guard lock(g_mutex);
    auto it = mirrors().find(base);
    if (it == mirrors().end() || !it->second.device_dirty) return;
    asked.range = it->second.range;
    asked.variable = it->second.variable;
    asked.version = it->second.version;
  }
  std::vector<uint8_t> there;
  if (read(asked, &there) != CUDA_SUCCESS) return;
  std::lock_guard lock(g_mutex);
  auto it = mirrors().find(base);
  if (it != mirrors().end() && it->second.version == asked.version) adopt(it->second, there);
}

void* watch_entry(void*) {
  prctl(PR_SET_NAME, "nearmetal-watch");
  for (;;) {
    timespec period{0, kWatchPeriodNs};
    nanosleep(&period, nullptr);
    if (enter() != CUDA_SUCCESS || Client::get()->channel().lost()) return nullptr;
    std::vector<uint64_t> written;
    {
      std::lock_guard lock(g_mutex);
      for (auto& [base, m] : mirrors()) {
        if (!m.exposed || m.range.size > kWatchedBytes) continue;
        if (m.device_dirty) written.push_back(base);  // and the kernel may still be writing
        send_changes(m);
      }
    }
    for (uint64_t base : written) fetch_unlocked(base);
  }
}

void watch() {
  static bool watching = false;
  if (watching) return;
  watching = true;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  pthread_create(&thread, nullptr, watch_entry, nullptr);
  pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void expose(Mirror& m) {
  m.exposed = true;
  if (m.range.size <= kWatchedBytes) watch();
}

void add(const MemoryRange& range, bool variable, bool exposed) {
  std::lock_guard lock(g_mutex);
  Mirror& m = mirrors()[range.base];
  m = {range, variable, false, false, {}, ++g_versions};
  m.shadow.assign(range.size, 0);
  if (variable) memcpy(m.shadow.data(), reinterpret_cast<void*>(range.base), range.size);
  g_mirrors++;
  if (exposed) expose(m);
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

void add_mirror(const MemoryRange& range, bool exposed) { add(range, false, exposed); }

bool is_watched(uint64_t base) {
  std::lock_guard lock(g_mutex);
  auto it = mirrors().find(base);
  return it != mirrors().end() && it->second.range.size <= kWatchedBytes;
}

void expose_mirror(uint64_t base) {
  std::lock_guard lock(g_mutex);
  if (auto it = mirrors().find(base); it != mirrors().end()) expose(it->second);
}

void before_launch(const uint8_t* parameters, size_t size) {
  if (g_mirrors.load(std::memory_order_relaxed) == 0) [[likely]]
    return;
  std::lock_guard lock(g_mutex);
  for (auto& [base, m] : mirrors()) {
    if (!m.exposed && names(m, parameters, size)) expose(m);
    if (!m.exposed) continue;
    send_changes(m);
    m.device_dirty = true;
  }
}

void before_device_access(uint64_t device_address, size_t size) {
  if (g_mirrors.load(std::memory_order_relaxed) == 0) [[likely]]
    return;
  std::lock_guard lock(g_mutex);
  for (auto& [base, m] : mirrors()) {
    uint64_t first = m.range.device_pointer;
    if (device_address >= first + m.range.size || device_address + size <= first) continue;
    expose(m);
    send_changes(m);
    m.device_dirty = true;
  }
}

CUresult after_synchronise() {
  if (g_mirrors.load(std::memory_order_relaxed) == 0) [[likely]]
    return CUDA_SUCCESS;
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
  if (!read(reinterpret_cast<void*>(address), size)) return false;
  host_write_has_come(address, size);
  return true;
}

void drop_mirror(uint64_t base) {
  std::lock_guard lock(g_mutex);
  if (mirrors().erase(base)) g_mirrors--;
}

CUresult mirror_managed_variable(uint64_t owner, uint64_t base, uint64_t size) {
  if (find_memory(base)) return CUDA_SUCCESS;
  // Where a program may have memory, and no more of it than a module can hold: the server's word is not enough.
  constexpr uint64_t kHighest = 1ull << 47, kLargest = 4ull << 30;
  if (!size || size > kLargest || base > kHighest - size) return CUDA_ERROR_OUT_OF_MEMORY;
  uint64_t first = base & ~(kPage - 1), end = (base + size + kPage - 1) & ~(kPage - 1);
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
  add(range, true, true);
  return CUDA_SUCCESS;
}

}  // namespace nm::client
