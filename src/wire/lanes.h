// Connections beside the ordered one that carry the bytes of large copies, several at once.
//
// A transfer is cut into pieces, and each piece travels on whichever lane is free. The ordered channel says what a
// transfer is for; only bytes come this way. Both sides use this class, each for both directions. A lane has one thread
// that receives and one that sends; whoever waits for a transfer to be sent helps. In the client these are guests in
// somebody's process: no signal is delivered to them, and no call throws.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace nm::wire {

// Before each piece, and by itself (size 0) behind the last piece of a transfer that is ended: `offset` then is how
// many bytes were sent in all.
struct LaneHeader {
  uint64_t transfer = 0;
  uint64_t offset = 0;  // of the piece in its transfer, bytes
  uint32_t size = 0;    // bytes that follow, at most kMaxPiece
  uint32_t reserved = 0;
};
static_assert(sizeof(LaneHeader) == 24);

inline constexpr uint32_t kMaxPiece = 1 << 20;
inline constexpr unsigned kMaxLanes = 16;  // of one session

// Where a lane puts what comes.
enum class Landing {
  expected,  // where expect() says; what nobody expects waits in the socket
  buffers,   // in memory of the lane's own, until it is taken: who sends need not wait until its record is handled
};

class Lanes {
 public:
  static constexpr size_t kSlots = 4;  // pieces that a lane holds until they are taken

  explicit Lanes(Landing landing = Landing::expected) : landing_(landing) {}
  ~Lanes();  // ends, and waits for the threads
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  // A connected stream socket. False: there are kMaxLanes, or no thread can be had, or all is over.
  bool add(Fd socket);
  size_t count() const { return count_.load(std::memory_order_acquire); }

  // A part of a transfer that is to come. The bytes may be written from the moment it is expected.
  class Part {
   public:
    // All of it has come, or it was ended before. Its memory is not touched any more.
    bool is_here() const { return left_.load(std::memory_order_acquire) == 0; }

   private:
    friend class Lanes;
    uint64_t offset = 0, size = 0, unclaimed = 0;
    char* to = nullptr;
    bool ends = false;
    unsigned writers = 0;  // pieces that are being received
    // Those whose memory overlaps: what was expected later is what stays there, whatever comes first.
    std::vector<std::shared_ptr<Part>> older;
    std::vector<std::weak_ptr<Part>> newer;
    std::vector<std::pair<char*, char*>> taken;  // by pieces of this one, where some are older
    std::atomic<uint64_t> left_{0};
  };
  using Expected = std::shared_ptr<Part>;
  // `to` null: the bytes are dropped. `ends`: the sender says when it has sent what it will, which may be less. What
  // comes before it is expected waits, and what is behind it on its lane with it: expect in the order of sending. Of
  // parts that overlap in memory the one that was expected last has its bytes there in the end.
  Expected expect(uint64_t transfer, uint64_t offset, void* to, uint64_t size, bool ends);
  // Sleeps until it is here, all is over or the time has passed (negative: no limit). True: it is here. If all is over
  // its memory is not touched any more, either.
  bool wait(const Expected& part, int64_t microseconds);
  // The other side was never told of this transfer.
  void forget(uint64_t transfer, const Expected& part);

  // With Landing::buffers. A piece that has come: its bytes stay where they are until give_back().
  struct Arrived {
    char* data = nullptr;
    uint32_t size = 0;
    unsigned lane = 0, slot = 0;
  };
  // The piece of a transfer that begins at `offset`, once it is here; waits so long (negative: without limit). A sender
  // keeps each lane's pieces in the order in which they are taken, so the next one to be taken always finds room.
  bool take(uint64_t transfer, uint64_t offset, int64_t microseconds, Arrived* out);
  void give_back(const Arrived& piece);
  // Memory of lane `number`'s pieces: kSlots * kMaxPiece bytes, for as long as this object lives.
  char* buffer(unsigned number) const;

  // Puts the bytes behind those that are to be sent already. They must not change until `sent` is called, by any thread
  // and without a lock held; it is called also if all ends first.
  void send(uint64_t transfer, uint64_t offset, const void* data, uint64_t size, std::function<void()> sent);
  // The caller helps to send until `sent`, which the function given to send() sets. False: all is over.
  bool help_until(const std::atomic<bool>& sent);
  // Behind everything that was given to send() for this transfer.
  void end_transfer(uint64_t transfer, uint64_t sent);
  // Returns when nothing is left to be sent.
  void drain();

  // Ends all of it, for good; `on_end` of the first time is called once, by any thread.
  void end();
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  // Called once when a lane breaks or end() is called. Set before the first add().
  void on_end(std::function<void()> f) { on_end_ = std::move(f); }
  // In a child made by fork: nothing of this is the child's, and its threads are not there to be waited for.
  void abandon();

  uint64_t bytes_sent() const { return bytes_sent_.load(std::memory_order_relaxed); }
  uint64_t bytes_received() const { return bytes_received_.load(std::memory_order_relaxed); }

 private:
  struct Job {
    uint64_t transfer, offset;
    const char* data;
    uint64_t size, next = 0;
    uint32_t piece;
    unsigned under_way = 0;
    bool is_end = false;
    std::function<void()> sent;
  };
  struct Lane {
    Fd socket;
    Lanes* owner = nullptr;
    pthread_t receiver{}, sender{};
    bool sends = false;
    unsigned number = 0;
    char* buffer = nullptr;
    uint32_t free_slots = 0;  // a bit each
  };
  static void* receive_entry(void* lane);
  static void* send_entry(void* lanes);
  bool start(pthread_t* thread, void* (*entry)(void*), void* argument);
  void receive(Lane& lane);
  bool receive_piece(Lane& lane, std::vector<char>& sink);
  bool receive_into_slot(Lane& lane, const LaneHeader& header);
  Expected claim(const LaneHeader& header);
  bool receive_where_expected(Lane& lane, const LaneHeader& header, Part& part, std::vector<char>& memory);
  bool finish(uint64_t transfer, const Expected& part, uint64_t bytes);
  void send_pieces();
  bool send_one(std::unique_lock<std::mutex>& lock);
  Expected find(uint64_t transfer, const LaneHeader& header);

  const Landing landing_;
  std::atomic<bool> ended_{false};
  std::atomic<size_t> count_{0};
  std::atomic<uint64_t> bytes_sent_{0}, bytes_received_{0};
  std::function<void()> on_end_;

  std::mutex in_mutex_;
  std::condition_variable expected_changed_, arrived_;
  std::atomic<uint32_t> expects_{0};                            // so far: what a thread that spins looks at
  std::map<std::pair<uint64_t, uint64_t>, Expected> expected_;  // by transfer and offset
  std::map<std::pair<uint64_t, uint64_t>, Arrived> landed_;
  std::atomic<uint32_t> landings_{0}, frees_{0};

  std::mutex out_mutex_;
  std::condition_variable out_changed_, out_done_;
  std::atomic<uint32_t> sends_{0};
  std::deque<std::shared_ptr<Job>> jobs_;
  unsigned jobs_under_way_ = 0;  // not in jobs_ any more, and not sent
  std::vector<Lane*> idle_;

  std::mutex lanes_mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace nm::wire
