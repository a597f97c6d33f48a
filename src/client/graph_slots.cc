#include "client/graph_slots.h"

#include <string.h>

#include <atomic>
#include <deque>
#include <map>
#include <mutex>

#include "client/capture.h"
#include "client/client.h"
#include "client/context.h"
#include "client/copy.h"
#include "client/handles.h"
#include "client/host_box.h"
#include "client/host_function.h"
#include "client/host_memory.h"
#include "client/host_writes.h"
#include "client/memory.h"
#include "remote.h"
#include "wire/codec.h"

namespace nm::client {
namespace {

struct Allocation {
  uint64_t address, size;
  bool freed;             // by the graph itself
  bool launched = false;  // so it is there until the program frees it
};

struct Launch {
  std::vector<uint64_t> slots;
  std::vector<uint64_t> writes;  // to host memory (client/host_writes.h)
};

struct Exec {
  std::vector<uint64_t> slots;
  bool auto_free = false;
  std::vector<Allocation> allocations;
  std::deque<Launch> launches;  // under way, oldest first
  bool destroyed = false;
};

// g_launch_mutex keeps the bytes of a launch and the launch together; it is taken first. g_mutex guards the tables and
// is never held during a call, because whoever waits for the server may be the one to receive a push.
std::mutex g_launch_mutex, g_mutex;
HostSlots& slots() {
  static auto* all = new HostSlots;
  return *all;
}
std::map<uint64_t, Exec>& execs() {
  static auto* all = new std::map<uint64_t, Exec>;
  return *all;
}
std::atomic<int> g_execs{0};  // in execs()

uint64_t add_slot(const CUDA_MEMCPY3D_PEER& copy, bool source) {
  std::lock_guard lock(g_mutex);
  return slots().add(copy, source, current_context());
}

// The lock is held.
Exec& exec_record(uint64_t exec) {
  auto [it, added] = execs().try_emplace(exec);
  if (added) g_execs++;
  return it->second;
}

void erase_if_over(std::map<uint64_t, Exec>::iterator it) {
  if (!it->second.destroyed || !it->second.launches.empty()) return;
  execs().erase(it);
  g_execs--;
}

// The lock is held.
void end_launch(const Launch& launch) {
  slots().end_launch(launch.slots);
  for (uint64_t write : launch.writes) host_write_is_over(write);
}

// What the graph reads may be what something earlier is still going to write. What a graph writes to the very slot is
// at the server in time. And what it writes counts as written if it differs from what is here at its launch, so that
// must not change any more either.
CUresult wait_for_earlier_writes(uint64_t exec) {
  std::vector<std::pair<uint64_t, Box>> boxes;
  {
    std::lock_guard lock(g_mutex);
    auto it = execs().find(exec);
    if (it == execs().end()) return CUDA_SUCCESS;
    for (uint64_t id : it->second.slots) {
      if (const Box* box = slots().box(id)) boxes.push_back({id, *box});
    }
  }
  for (const auto& [slot, box] : boxes) {
    if (CUresult e = wait_for_host_writes(box.base, extent(box), slot)) return e;
  }
  return CUDA_SUCCESS;
}

// The lock is held.
std::vector<uint64_t> expect_outputs(const std::vector<uint64_t>& used, CUstream stream) {
  std::vector<uint64_t> writes;
  for (uint64_t id : used) {
    const Box* box = slots().box(id);
    if (box && slots().is_destination(id)) writes.push_back(expect_host_write(box->base, extent(*box), stream, id));
  }
  return writes;
}

// What an earlier launch allocated and the program freed is there again; what it did not free is in the way.
CUresult allocate_for_launch(uint64_t exec) {
  std::lock_guard lock(g_mutex);
  auto it = execs().find(exec);
  if (it == execs().end()) return CUDA_SUCCESS;
  for (Allocation& a : it->second.allocations) {
    if (a.launched && !a.freed && !it->second.auto_free && find_memory(a.address)) return CUDA_ERROR_INVALID_VALUE;
  }
  for (Allocation& a : it->second.allocations) {
    a.launched = true;
    add_graph_allocation(a.address, a.size);
  }
  return CUDA_SUCCESS;
}

}  // namespace

CopySlots::CopySlots(const CUDA_MEMCPY3D_PEER& copy) {
  auto needs = [](CUmemorytype type, const Box& b) {
    return type == CU_MEMORYTYPE_HOST && !is_shared_host(b.base, extent(b));
  };
  if (needs(copy.srcMemoryType, source_box(copy))) src_ = add_slot(copy, true);
  if (needs(copy.dstMemoryType, destination_box(copy))) dst_ = add_slot(copy, false);
}

CopySlots::~CopySlots() {
  if (src_) drop_graph_slot(src_, 1);
  if (dst_) drop_graph_slot(dst_, 1);
}

bool have_graph_slots(const void* first, uint64_t size) {
  std::lock_guard lock(g_mutex);
  return slots().touch(first, size);
}

CUresult capture_copy(const CUDA_MEMCPY3D_PEER& copy, CUstream stream) {
  CopySlots slots(copy);
  CUresult e = remote::nm_capture_copy(&copy, stream, slots.src(), slots.dst());
  if (e == CUDA_SUCCESS) slots.keep();
  return e;
}

bool restore_host_end(uint64_t id, bool source, CUDA_MEMCPY3D_PEER* copy) {
  std::lock_guard lock(g_mutex);
  return slots().restore(id, source, copy);
}

CUresult set_graph_slots(uint64_t exec, const std::vector<uint8_t>& blob) {
  if (blob.size() % 8) return CUDA_ERROR_UNKNOWN;
  std::vector<uint64_t> ids(blob.size() / 8);
  if (!ids.empty()) memcpy(ids.data(), blob.data(), blob.size());
  std::lock_guard lock(g_mutex);
  if (ids.empty() && !execs().count(exec)) return CUDA_SUCCESS;
  exec_record(exec).slots = std::move(ids);
  return CUDA_SUCCESS;
}

CUresult set_graph_allocations(uint64_t exec, const std::vector<uint8_t>& blob, bool auto_free) {
  if (blob.size() % 24) return CUDA_ERROR_UNKNOWN;
  if (blob.empty()) return CUDA_SUCCESS;
  wire::Reader in(blob);
  std::vector<Allocation> list;
  while (!in.at_end()) {
    uint64_t address = in.u64(), size = in.u64();
    list.push_back({address, size, in.u64() != 0});
  }
  std::lock_guard lock(g_mutex);
  exec_record(exec).allocations = std::move(list);
  exec_record(exec).auto_free = auto_free;
  return CUDA_SUCCESS;
}

void forget_graph(uint64_t exec) {
  if (g_execs.load(std::memory_order_relaxed) == 0) return;
  std::lock_guard lock(g_mutex);
  auto it = execs().find(exec);
  if (it == execs().end()) return;
  it->second.destroyed = true;  // its launches go on, and what they write still comes
  erase_if_over(it);
}

void leave_graph_slots(uint64_t context) {
  std::lock_guard lock(g_mutex);
  slots().leave(context);
}

void add_graph_allocation(uint64_t address, uint64_t size) {
  if (!size || find_memory(address)) return;
  // Should something of the program lie there, it stays unguarded: the driver has placed it for good.
  guard_range(address, size);
  MemoryRange range;
  range.base = address;
  range.size = size;
  range.context = current_context();
  add_memory(range);
}

CUresult launch_graph(CUgraphExec exec, CUstream stream) {
  if (g_execs.load(std::memory_order_relaxed) == 0 && !graphs_have_host_functions()) [[likely]] {
    return remote::cuGraphLaunch(exec, stream);
  }
  bool captured;
  if (CUresult e = is_captured(stream, &captured)) return e;
  if (captured) return remote::cuGraphLaunch(exec, stream);
  if (graphs_have_host_functions()) {
    if (CUresult e = wait_for_host_copies()) return e;
  }
  if (CUresult e = wait_for_earlier_writes(as_handle(exec))) return e;
  if (CUresult e = allocate_for_launch(as_handle(exec))) return e;
  std::lock_guard launch_lock(g_launch_mutex);
  std::vector<SlotUpdate> updates;
  bool uses_slots = false;
  size_t under_way = 0;
  {
    std::lock_guard lock(g_mutex);
    auto it = execs().find(as_handle(exec));
    if (it != execs().end() && !it->second.slots.empty()) {
      uses_slots = true;
      updates = slots().begin_launch(it->second.slots);
      it->second.launches.push_back({it->second.slots, expect_outputs(it->second.slots, stream)});
      under_way = it->second.launches.size();
    }
  }
  CUresult e = CUDA_SUCCESS;
  for (const SlotUpdate& u : updates) {
    if (e == CUDA_SUCCESS) e = remote::nm_graph_feed(exec, u.slot, u.version, u.bytes.data(), u.bytes.size());
  }
  if (e == CUDA_SUCCESS) e = remote::cuGraphLaunch(exec, stream);
  if (e != CUDA_SUCCESS && uses_slots) {
    std::lock_guard lock(g_mutex);
    for (const SlotUpdate& u : updates) slots().lost(u.slot);
    auto it = execs().find(as_handle(exec));
    if (it != execs().end() && it->second.launches.size() == under_way) {
      Launch launch = std::move(it->second.launches.back());
      it->second.launches.pop_back();
      end_launch(launch);
      erase_if_over(it);
    }
  }
  return e;
}

bool receive_graph_output(uint64_t id, uint64_t version, uint64_t size,
                          const std::function<bool(void*, uint64_t)>& read) {
  if (!size || size != graph_slot_size(id)) return false;
  std::vector<uint8_t> bytes(size);
  if (!read(bytes.data(), size)) return false;
  write_graph_output(id, version, bytes);
  return true;
}

void graph_launch_is_over(uint64_t exec) {
  std::lock_guard lock(g_mutex);
  auto it = execs().find(exec);
  if (it == execs().end() || it->second.launches.empty()) return;
  end_launch(it->second.launches.front());
  it->second.launches.pop_front();
  erase_if_over(it);
}

void drop_graph_slot(uint64_t id, uint64_t times) {
  std::lock_guard lock(g_mutex);
  slots().drop(id, times);
}

uint64_t graph_slot_size(uint64_t id) {
  std::lock_guard lock(g_mutex);
  return slots().size(id);
}

void write_graph_output(uint64_t id, uint64_t version, std::span<const uint8_t> bytes) {
  std::lock_guard lock(g_mutex);
  slots().write(id, version, bytes);
}

std::vector<SlotUpdate> take_graph_changes() {
  if (g_execs.load(std::memory_order_relaxed) == 0) return {};
  std::lock_guard lock(g_mutex);
  return slots().take_changes();
}

}  // namespace nm::client
