// What lies behind the slots that graphs use for host memory of the program (client/graph_slots.h): where it is, what
// the server has of it, which bytes have to travel. No locks and no calls: its user has both.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "client/host_box.h"
#include "cuda_abi.h"

namespace nm::client {

// Bytes on their way to the server; a larger version is newer.
struct SlotUpdate {
  uint64_t slot, version;
  std::vector<uint8_t> bytes;
};

class HostSlots {
 public:
  // A number for the source or the destination of a copy. `copy` is settled (host_box.h). What one copy writes and
  // another one in that context reads or writes is one slot: the bytes are then at the server, in the right order.
  uint64_t add(const CUDA_MEMCPY3D_PEER& copy, bool source, uint64_t context);
  // It was added so many times for copies that are no more; a slot ends with the last of them.
  void drop(uint64_t slot, uint64_t times);
  // The server's memory of these is gone with the context: nothing new may use it.
  void leave(uint64_t context);

  // 0: no such slot.
  uint64_t size(uint64_t slot) const;
  // Null: no such slot.
  const Box* box(uint64_t slot) const;
  // True if some slot's memory reaches into these bytes.
  bool touch(const void* first, uint64_t size) const;
  bool is_source(uint64_t slot) const;
  bool is_destination(uint64_t slot) const;
  // Writes what the program once named back into one end of a descriptor; false: no such slot.
  bool restore(uint64_t slot, bool source, CUDA_MEMCPY3D_PEER* copy) const;

  // A launch that uses these begins; what has changed behind them goes with it.
  std::vector<SlotUpdate> begin_launch(std::span<const uint64_t> slots);
  void end_launch(std::span<const uint64_t> slots);
  // The server may not have got this.
  void lost(uint64_t slot);
  // What a host function wrote: for the slots of launches under way.
  std::vector<SlotUpdate> take_changes();

  // What a graph wrote. Only to what it may write, only in whole, and nothing older than what is here.
  void write(uint64_t slot, uint64_t version, std::span<const uint8_t> bytes);

 private:
  struct Slot {
    Box box;
    // As the program named it: the end of a copy, address, offsets, pitch and height. At least one of the two is there.
    std::optional<CUDA_MEMCPY3D_PEER> source, destination;
    uint64_t context = 0;  // 0: it has ended
    uint64_t added = 0;    // how often
    uint64_t size = 0;
    // What the server has: unknown before the first launch.
    std::vector<uint8_t> there;
    bool there_known = false;
    uint64_t version = 0;  // of what the server has
    // It went with a launch and counts from that launch on, but an earlier one may still be to come.
    bool there_later = false;
    uint64_t received = 0;  // version of the last bytes from the server
    int running = 0;        // launches under way that use it
  };
  static void gather(Slot& slot);
  static bool is_same(const Slot& slot);
  // False: nothing to send.
  bool take_change(uint64_t id, Slot& slot, SlotUpdate* out);

  // A slot of the same bytes that may serve this end of the copy, too; 0: none.
  uint64_t find_shared(const CUDA_MEMCPY3D_PEER& copy, const Box& box, bool source, uint64_t context) const;

  std::map<uint64_t, Slot> slots_;
  std::multimap<const uint8_t*, uint64_t> by_base_;
  uint64_t next_ = 1, version_ = 0;
};

}  // namespace nm::client
