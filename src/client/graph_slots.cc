#include "client/graph_slots.h"

#include <string.h>

#include <atomic>
#include <deque>
#include <map>
#include <mutex>

#include "client/client.h"
#include "client/context.h"
#include "client/copy.h"
#include "client/handles.h"
#include "client/host_box.h"
#include "client/host_memory.h"
#include "client/memory.h"
#include "client/stream.h"
#include "remote.h"
#include "wire/codec.h"

namespace nm::client {
namespace {

struct Slot {
  Box box;
  CUDA_MEMCPY3D_PEER named;  // as the program named it
  bool source;
  uint64_t size;
  // What the server has: unknown before the first launch.
  std::vector<uint8_t> there;
  bool there_known = false;
  uint64_t version = 0;  // of what the server has
  // It went with a launch and counts from that launch on, but an earlier one may still be to come.
  bool there_later = false;
  uint64_t received = 0;  // version of the last bytes from the server
  int running = 0;        // launches under way that use it
};

struct Allocation {
  uint64_t address, size;
  bool freed;             // by the graph itself
  bool launched = false;  // so it is there until the program frees it
};

struct Exec {
  std::vector<uint64_t> slots;
  bool auto_free = false;
  std::vector<Allocation> allocations;
  std::deque<std::vector<uint64_t>> launches;  // slots of those under way, oldest first
  bool destroyed = false;
};

// g_launch_mutex keeps the bytes of a launch and the launch together; it is taken first. g_mutex guards the tables and
// is never held during a call, because whoever waits for the server may be the one to receive a push.
std::mutex g_launch_mutex, g_mutex;
std::map<uint64_t, Slot>& slots() {
  static auto* all = new std::map<uint64_t, Slot>;
  return *all;
}
std::map<uint64_t, Exec>& execs() {
  static auto* all = new std::map<uint64_t, Exec>;
  return *all;
}
std::atomic<int> g_execs{0};  // in execs()
uint64_t g_next_slot = 1, g_version = 0;

void gather(const Slot& slot, std::vector<uint8_t>* out) {
  out->clear();
  out->reserve(slot.size);
  for_each_row(slot.box, [&](const uint8_t* row) { out->insert(out->end(), row, row + slot.box.width); });
}

bool is_same(const Slot& slot) {
  const uint8_t* at = slot.there.data();
  bool same = true;
  for_each_row(slot.box, [&](const uint8_t* row) {
    same = same && memcmp(row, at, slot.box.width) == 0;
    at += slot.box.width;
  });
  return same;
}

uint64_t add_slot(const CUDA_MEMCPY3D_PEER& copy, bool source) {
  std::lock_guard lock(g_mutex);
  uint64_t id = g_next_slot++;
  Slot& slot = slots()[id];
  slot.box = source ? source_box(copy) : destination_box(copy);
  slot.named = copy;
  slot.source = source;
  slot.size = volume(copy);
  return id;
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

void end_launch(const std::vector<uint64_t>& used) {
  for (uint64_t id : used) {
    auto it = slots().find(id);
    if (it != slots().end() && it->second.running > 0) it->second.running--;
  }
}

// The lock is held. False: nothing to send.
bool take_change(uint64_t id, Slot& slot, SlotUpdate* out) {
  if (slot.there_known && is_same(slot)) return false;
  gather(slot, &slot.there);
  slot.there_known = true;
  slot.there_later = false;
  slot.version = ++g_version;
  *out = {id, slot.version, slot.there};
  return true;
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
  auto needs = [](CUmemorytype type, const Box& b) { return type == CU_MEMORYTYPE_HOST && !is_shared_host(b.base, extent(b)); };
  if (needs(copy.srcMemoryType, source_box(copy))) src_ = add_slot(copy, true);
  if (needs(copy.dstMemoryType, destination_box(copy))) dst_ = add_slot(copy, false);
}

CopySlots::~CopySlots() {
  if (src_) drop_graph_slot(src_);
  if (dst_) drop_graph_slot(dst_);
}

CUresult capture_copy(const CUDA_MEMCPY3D_PEER& copy, CUstream stream) {
  CopySlots slots(copy);
  CUresult e = remote::nm_capture_copy(&copy, stream, slots.src(), slots.dst());
  if (e == CUDA_SUCCESS) slots.keep();
  return e;
}

bool restore_host_end(uint64_t id, CUDA_MEMCPY3D_PEER* copy) {
  std::lock_guard lock(g_mutex);
  auto it = slots().find(id);
  if (it == slots().end()) return false;
  const CUDA_MEMCPY3D_PEER& n = it->second.named;
  if (it->second.source) {
    copy->srcHost = n.srcHost, copy->srcXInBytes = n.srcXInBytes, copy->srcY = n.srcY, copy->srcZ = n.srcZ;
    copy->srcPitch = n.srcPitch, copy->srcHeight = n.srcHeight;
  } else {
    copy->dstHost = n.dstHost, copy->dstXInBytes = n.dstXInBytes, copy->dstY = n.dstY, copy->dstZ = n.dstZ;
    copy->dstPitch = n.dstPitch, copy->dstHeight = n.dstHeight;
  }
  return true;
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
  if (g_execs.load(std::memory_order_relaxed) == 0) [[likely]] return remote::cuGraphLaunch(exec, stream);
  bool captured;
  if (CUresult e = is_captured(stream, &captured)) return e;
  if (captured) return remote::cuGraphLaunch(exec, stream);
  if (CUresult e = allocate_for_launch(as_handle(exec))) return e;
  std::lock_guard launch_lock(g_launch_mutex);
  std::vector<SlotUpdate> updates;
  std::vector<uint64_t> used;
  size_t under_way = 0;
  {
    std::lock_guard lock(g_mutex);
    auto it = execs().find(as_handle(exec));
    if (it != execs().end()) used = it->second.slots;
    SlotUpdate update;
    for (uint64_t id : used) {
      auto slot = slots().find(id);
      if (slot == slots().end()) continue;
      slot->second.running++;
      if (!take_change(id, slot->second, &update)) continue;
      slot->second.there_later = true;
      updates.push_back(std::move(update));
    }
    if (!used.empty()) {
      it->second.launches.push_back(used);
      under_way = it->second.launches.size();
    }
  }
  CUresult e = CUDA_SUCCESS;
  for (const SlotUpdate& u : updates) {
    if (e == CUDA_SUCCESS) e = remote::nm_graph_feed(exec, u.slot, u.version, u.bytes.data(), u.bytes.size());
  }
  if (e == CUDA_SUCCESS) e = remote::cuGraphLaunch(exec, stream);
  if (e != CUDA_SUCCESS && !used.empty()) {
    std::lock_guard lock(g_mutex);
    // The server may not have what it was sent.
    for (const SlotUpdate& u : updates) {
      if (auto slot = slots().find(u.slot); slot != slots().end()) slot->second.there_known = false;
    }
    auto it = execs().find(as_handle(exec));
    if (it != execs().end() && it->second.launches.size() == under_way) {
      it->second.launches.pop_back();
      end_launch(used);
      erase_if_over(it);
    }
  }
  return e;
}

bool receive_graph_output(uint64_t id, uint64_t version, uint64_t size, const std::function<bool(void*, uint64_t)>& read) {
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

void drop_graph_slot(uint64_t id) {
  std::lock_guard lock(g_mutex);
  slots().erase(id);
}

uint64_t graph_slot_size(uint64_t id) {
  std::lock_guard lock(g_mutex);
  auto it = slots().find(id);
  return it == slots().end() ? 0 : it->second.size;
}

void write_graph_output(uint64_t id, uint64_t version, std::span<const uint8_t> bytes) {
  std::lock_guard lock(g_mutex);
  auto it = slots().find(id);
  if (it == slots().end()) return;
  Slot& slot = it->second;
  // Only what a graph writes, only in whole, and nothing older than what is here.
  if (slot.source || bytes.size() != slot.size || version <= slot.received) return;
  slot.received = version;
  const uint8_t* at = bytes.data();
  for_each_row(slot.box, [&](uint8_t* row) { memcpy(row, at, slot.box.width), at += slot.box.width; });
  slot.there.assign(bytes.begin(), bytes.end());
  slot.there_known = true;
}

std::vector<SlotUpdate> take_graph_changes() {
  std::vector<SlotUpdate> out;
  if (g_execs.load(std::memory_order_relaxed) == 0) return out;
  std::lock_guard lock(g_mutex);
  SlotUpdate update;
  for (auto& [id, slot] : slots()) {
    if (slot.running == 0) continue;
    if (take_change(id, slot, &update)) {
      out.push_back(std::move(update));
    } else if (slot.there_later && slot.source) {
      // What this function wrote, seen by a launch that comes after others which must see it, too. Under its version, so
      // that it counts once.
      slot.there_later = false;
      out.push_back({id, slot.version, slot.there});
    }
  }
  return out;
}

}  // namespace nm::client
