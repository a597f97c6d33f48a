// Slots: pinned memory of this process that stands in graphs for host memory of the client which the device cannot
// reach. The graph's copy nodes name the slot; bytes travel between it and the client around each launch.
//
// An input slot gets the client's current bytes before a launch (feed). An output slot gets them, too: what differs
// after the launch is what the graph wrote, and only that goes back. Updates carry a version, so that the bytes that
// were taken last win whichever way they come.
//
// Slots are made, counted and dropped on the session's thread; bytes also move on the driver's callback thread, which
// runs the client's host functions, hence the lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "cuda_abi.h"
#include "driver_table.h"

namespace nm::server {

class GraphSlots : public std::enable_shared_from_this<GraphSlots> {
 public:
  struct Slot {
    uint64_t id = 0;
    uint8_t* data = nullptr;  // pinned; null once its context is gone
    CUcontext context = nullptr;
    uint64_t size = 0;        // bytes
    bool output = false;      // a graph writes it
    uint64_t named = 0;       // by the client, for the ends of copies
    int nodes = 0;            // of graphs that use it
    std::atomic<int> running{0};  // launches under way that use it
    // Guarded by the lock, as are the bytes as far as they are ours.
    std::vector<uint8_t> known;  // output: what the client has
    uint64_t version = 0;        // of the client's bytes here
    uint64_t sent = 0;           // version of the last bytes that went to the client
    // Two ways lead to the client, and neither waits for the other: who relies on one of them has to get, by that one,
    // also what is still under way by the other, under its old version, so that it counts once.
    bool on_the_way = false;  // in the channel, which the client reads when it waits: no host function may rely on it
    bool handed = false;      // to a host function that has not returned: no reply may rely on it
  };
  // Kept by executable graphs, launches under way and, as long as it counts nodes, by this.
  using Ref = std::shared_ptr<Slot>;

  struct Update {
    uint64_t slot, version;
    std::vector<uint8_t> bytes;
  };

  // `gone` is told the number of a slot that nothing uses any more, and how often the client had named it: the client may
  // have named it once more in the meantime.
  GraphSlots(const DriverTable& driver, std::function<void(uint64_t, uint64_t)> gone) : driver_(driver), gone_(std::move(gone)) {}
  // The context is going, and memory that was made in it too.
  void leave(CUcontext context);
  // The session ends: nobody is to be told anything.
  void close();

  bool empty() const { return by_address_.empty(); }
  bool knows(uint64_t id) const { return by_id_.count(id) != 0; }
  // The slot with a number the client chose, new or in use; INVALID_VALUE if the size is out of bounds or another one.
  CUresult make(uint64_t id, uint64_t size, bool output, CUcontext context, Ref* out);
  // The slot that a host address of a node lies in; null if none does.
  Ref at(const void* host) const;
  void add_node(const Ref& slot);
  void drop_node(const Ref& slot);

  // Puts the client's bytes into slots, unless newer ones are there.
  void apply(std::span<const Update> updates);
  // No slot was ever larger (bytes). For any thread.
  uint64_t largest() const { return largest_; }
  // For the channel, before any reply that says that a launch is over: what it wrote to these since the client last heard
  // of them, and what host functions under way were handed. The client is taken to know it afterwards.
  std::vector<Update> take_written(std::span<const Ref> slots);
  // For a host function, which runs only when it has got them: what launches under way wrote, and what is on the way.
  std::vector<Update> take_written();
  // It has returned, so the client has what it was handed. Host functions run one at a time.
  void function_returned();

 private:
  CUresult name_again(Slot& slot, uint64_t size, bool output, Ref* out);
  bool take_written_of(Slot& slot, Update* out);
  void recycle(Slot* slot);

  const DriverTable& driver_;
  std::function<void(uint64_t, uint64_t)> gone_;
  std::map<uint64_t, std::weak_ptr<Slot>> by_address_;
  std::map<uint64_t, Ref> in_graphs_;  // by number: slots with nodes
  std::mutex mutex_;
  std::map<uint64_t, Slot*> by_id_;  // changed by the session's thread only
  struct Spare {
    uint8_t* data;
    CUcontext context;
  };
  std::multimap<uint64_t, Spare> spare_;  // by size
  uint64_t spare_bytes_ = 0, total_ = 0;
  std::atomic<uint64_t> largest_{0};
};

// While it lives, this thread may do what a capture forbids: our own allocations are none of the client's.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(const DriverTable& driver) : driver_(driver) { exchange(); }
  ~RelaxedCapture() { exchange(); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  void exchange() {
    if (driver_.cuThreadExchangeStreamCaptureMode) driver_.cuThreadExchangeStreamCaptureMode(&mode_);
  }
  const DriverTable& driver_;
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

}  // namespace nm::server
