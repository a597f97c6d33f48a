// Host memory in graphs that the device cannot reach: pageable, registered, or any where the server is on another host.
//
// Each host end of a copy in a graph gets a slot at the server, numbered here. What lies behind a number only this side
// knows: the server names slots, never addresses, so it can write nowhere else. Around each launch the bytes that have
// changed travel (server/graph_slots.h has the other side).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "client/host_slots.h"
#include "cuda_abi.h"

namespace nm::client {

// The slots that a copy's host ends need, 0: none; they are dropped again unless kept. `copy` is settled (host_box.h).
class CopySlots {
 public:
  explicit CopySlots(const CUDA_MEMCPY3D_PEER& copy);
  ~CopySlots();
  CopySlots(const CopySlots&) = delete;
  CopySlots& operator=(const CopySlots&) = delete;

  uint64_t src() const { return src_; }
  uint64_t dst() const { return dst_; }
  void keep() { src_ = dst_ = 0; }

 private:
  uint64_t src_ = 0, dst_ = 0;
};

// True if copies of graphs take these bytes to the server and back by themselves.
bool have_graph_slots(const void* first, uint64_t size);

// A copy into a captured stream.
CUresult capture_copy(const CUDA_MEMCPY3D_PEER& copy, CUstream stream);

// A copy as a graph of its own: it reads host memory when its turn in the stream comes and not before, so that it sees
// what a host function writes until then. `copy` is settled.
CUresult copy_through_graph(const CUDA_MEMCPY3D_PEER& copy, CUstream stream);

// Writes what the program once named as the source or destination back into a descriptor; false: no such slot.
bool restore_host_end(uint64_t slot, bool source, CUDA_MEMCPY3D_PEER* copy);

// ---- executable graphs ----

// What a new or changed executable graph uses; `slots` as they came from the server.
CUresult set_graph_slots(uint64_t exec, const std::vector<uint8_t>& slots);
// `auto_free`: a launch frees what an earlier one left.
CUresult set_graph_allocations(uint64_t exec, const std::vector<uint8_t>& allocations, bool auto_free);
void forget_graph(uint64_t exec);
// The context has ended: its slots are shared no more.
void leave_graph_slots(uint64_t context);
// Sends what has changed behind the graph's slots, then launches it.
CUresult launch_graph(CUgraphExec exec, CUstream stream);
// The device memory of a graph is the program's to use from now on.
void add_graph_allocation(uint64_t address, uint64_t size);

// ---- what the server tells ----

bool receive_graph_output(uint64_t slot, uint64_t version, uint64_t size, const std::function<bool(void*, uint64_t)>& read);
void graph_launch_is_over(uint64_t exec);
void drop_graph_slot(uint64_t slot, uint64_t times);

// ---- around a host function ----

// 0: no such slot.
uint64_t graph_slot_size(uint64_t slot);
void write_graph_output(uint64_t slot, uint64_t version, std::span<const uint8_t> bytes);
// What has changed behind the slots of launches under way.
std::vector<SlotUpdate> take_graph_changes();

}  // namespace nm::client
