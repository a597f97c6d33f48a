// Which addresses are memory that the driver knows, exact to the byte: what copies are checked against, what pointer
// attributes answer from, and what a kernel's accesses are held to.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "softgpu/entry.h"

namespace nm::softgpu {

class Context;
class Device;
class Pool;

enum class MemoryKind : uint8_t {
  device,      // cuMemAlloc
  internal,    // module variables, the device heap: a kernel may touch it, cuMemFree may not
  host,        // cuMemHostAlloc
  registered,  // cuMemHostRegister
  managed,     // cuMemAllocManaged
  mapped,      // a mapping of the virtual memory API
  ipc,         // another process's memory
  pool,        // from a memory pool
  graph,       // of a graph's allocation node; there only while `live`
};

struct Allocation {
  uint64_t begin = 0;
  uint64_t size = 0;
  MemoryKind kind = MemoryKind::device;
  int device = 0;            // ordinal; the device that was current for host memory
  Context* owner = nullptr;  // never followed, only compared: whose destruction frees this
  uint64_t id = 0;           // CU_POINTER_ATTRIBUTE_BUFFER_ID
  uint32_t flags = 0;        // of the call that made it
  bool sync_memops = false;
  bool ending = false;       // its asynchronous free is enqueued
  bool outstanding = false;  // of a graph: a launch allocates it and nothing that is enqueued frees it
  // Bit d: device d may read, may write. Peer access between contexts comes on top for MemoryKind::device.
  std::atomic<uint64_t> readable = 0;
  std::atomic<uint64_t> writable = 0;
  std::atomic<bool> live = true;
  std::shared_ptr<Pool> pool;
  std::shared_ptr<void> backing;  // freed with the allocation: arena space, a host mapping, a physical handle
  // Of another process's memory: which process and which allocation there, and how often it was opened.
  int peer_pid = 0;
  uint64_t peer_id = 0;
  unsigned uses = 0;
  std::shared_ptr<struct ManagedHints> hints;  // of managed memory, see managed_api.cc

  uint64_t end() const { return begin + size; }
  bool is_host() const { return kind == MemoryKind::host || kind == MemoryKind::registered; }
};
using AllocationPtr = std::shared_ptr<Allocation>;

class Ranges {
 public:
  void add(AllocationPtr allocation);
  // From now on no kernel and no copy reaches it. False: it was not there any more.
  bool remove(const Allocation& allocation);
  // The allocation that contains `address`, or null.
  AllocationPtr find(uint64_t address) const;
  // The allocation that begins at `address`, or null.
  AllocationPtr at(uint64_t address) const;
  // True when any allocation overlaps [begin, begin + size).
  bool overlaps(uint64_t begin, uint64_t size) const;
  // True when every byte is in memory; mappings of the virtual memory API may join. A graph's memory counts before the
  // graph runs: nodes are made for it then.
  bool covers(uint64_t begin, uint64_t size) const;
  std::vector<AllocationPtr> owned_by(const Context* owner) const;

  // Moves whenever something ends or becomes less accessible.
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }
  void shrink() { epoch_.fetch_add(1, std::memory_order_acq_rel); }
  uint64_t next_id() { return next_id_.fetch_add(1) + 1; }

 private:
  AllocationPtr find_locked(uint64_t address) const;

  mutable std::shared_mutex mutex_;
  std::map<uint64_t, AllocationPtr> by_begin_;
  std::atomic<uint64_t> epoch_ = 1;
  std::atomic<uint64_t> next_id_ = 0;
};

}  // namespace nm::softgpu
