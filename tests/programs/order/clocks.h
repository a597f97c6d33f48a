// What is known to be over before what. Every thread counts its operations, and every stream counts those that each
// thread has posted in it (a lane: what one thread posts in one stream happens in that order). A clock holds, per
// thread and per lane, how many operations are over. The rules are CUDA's, taken narrowly: where its documentation
// leaves room, nothing is concluded.
//
//   posted after (the one call returned before the other was made) in one stream -> executed after
//   legacy stream, work posted after work of a blocking stream, and the reverse  -> executed after
//   a stream that waits for an event -> after what the event's stream had been given when it was recorded
//   a call that waits (stream, event, context, certain copies) -> the thread knows what it waited for
//   a thread that waits for another -> knows what that one knew
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "order/program.h"

namespace order {

using Clock = std::vector<uint32_t>;

class Clocks {
 public:
  explicit Clocks(const Program& program);

  // One thing that must be over before the operation and is not known to be.
  struct Missing {
    int component;  // of a clock
    uint32_t count;
    bool in_call;  // the calling thread has to know; otherwise it is enough that the stream does
  };
  std::vector<Missing> missing(const Op& op) const;
  // The operation is done. Its id is its place in the serial order.
  void add(const Op& op);

  bool is_lane(int component) const { return component >= threads_; }
  int thread_of(int component) const { return is_lane(component) ? (component - threads_) % threads_ : component; }
  int stream_of(int component) const { return (component - threads_) / threads_; }
  int lane(int stream, int thread) const { return threads_ + stream * threads_ + thread; }
  // The operation that is number `count` of the component.
  int operation(int component, uint32_t count) const;
  bool knows_call(int thread, int operation) const;

 private:
  struct Posted {
    uint32_t call;  // number of the operation in its thread
    int id;
    bool work;
    Clock over;  // when it is over, all this is
  };
  struct Thing {
    Clock used;           // by anybody since it was written, and the writing itself
    int written_by = -1;  // component
    uint32_t written_at = 0;
  };
  // Joins what the lanes of a stream have got so far, as far as the thread knows.
  void join_stream(int stream, int thread, bool work_only, Clock* clock) const;
  Clock start_of(const Op& op) const;
  void touch(const Access& access, int component, uint32_t count);

  const Program& program_;
  const int threads_, streams_, size_;
  std::vector<Clock> known_;                // per thread
  std::vector<std::vector<Posted>> lanes_;  // stream * threads + thread
  std::vector<std::vector<int>> calls_;     // per thread: ids
  std::vector<Thing> things_;
  std::vector<Clock> events_;
  std::vector<int> thread_at_;      // per operation: number in its thread
  std::vector<Clock> known_after_;  // per operation: what its thread knew then
};

// A sentence about the first operation that is not ordered or not possible; empty: none.
std::string verify(const Program& program);

}  // namespace order
