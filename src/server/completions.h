// What waits for the device. The worker's one thread never sleeps in the driver: it asks, between records, whether an
// event has come to pass, and then replies.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "cuda_abi.h"
#include "driver_table.h"

namespace nm::server {

class Completions {
 public:
  using Done = std::function<void(CUresult)>;
  // What `done` does: it may send bytes for the program's memory or note an error, or it only says that something has
  // finished.
  enum class Brings { bytes, news };
  // `enter` makes a context current: an event is asked in its own.
  Completions(const DriverTable& driver, std::function<void(CUcontext)> enter)
      : driver_(driver), enter_(std::move(enter)) {}

  // Calls `done` once everything that is in `stream` now has finished, or with the error that says otherwise. The
  // stream's context is current. An error here means that nothing was arranged.
  CUresult after(CUcontext context, CUstream stream, Done done, Brings brings = Brings::bytes);
  // The same for all of `streams`, without putting anything into them: they are asked whether they are idle. That is
  // the quickest way to learn that a short kernel is done, and right for as long as nothing new goes into them: whoever
  // is about to hand work to the driver calls settle() first.
  void when_idle(CUcontext context, std::vector<CUstream> streams, Done done, Brings brings = Brings::bytes);
  // In a `done` of when_idle(): the streams are idle, for nothing has been put into them since.
  bool is_idle() const { return idle_; }
  // Puts events behind what when_idle() waits for.
  void settle() {
    if (unsettled_) settle_all();
  }
  // The same as after() for all of the given streams together, and for events that record() made. It brings news, as
  // after_event() does.
  CUresult after_all(CUcontext context, const std::vector<CUstream>& streams, std::vector<CUevent> recorded, Done done);
  // An event behind what is in `stream` now, to be given to after_all().
  CUresult record(CUcontext context, CUstream stream, CUevent* out);
  CUresult after_event(CUcontext context, CUevent event, Done done);
  // Puts an event into `stream`, and with `waits` a wait for it: nobody asks for it, but the stream has something to do
  // until everything before it has finished, in other streams, too, where the stream waits for them.
  CUresult occupy(CUcontext context, CUstream stream, bool waits);

  // Completes what has finished; true if anything did. In the order in which it was arranged, but for news, which
  // follow all bytes that were there before: a stream may have waited for another's work by a word in memory, so what
  // was arranged first need not have finished first, and who hears of the one looks for the bytes of the other. Costs a
  // question for each stream, however much waits in it.
  bool progress();
  // `stream` is being destroyed: another one may get its address, and what waits in this one is not before that one's.
  void retire(CUstream stream);
  bool empty() const { return waiting_.empty(); }
  // Blocks until nothing is left.
  void drain();
  // The context is going, and its events with it.
  void forget(CUcontext context) { spare_.erase(context); }

 private:
  struct Waiting {
    CUcontext context;
    std::vector<CUevent> events;
    bool owned;
    Done done;
    std::vector<CUstream> streams;  // asked directly, until they are settled
    bool settled = true;
    CUresult failed = CUDA_SUCCESS;
    std::optional<CUstream> behind = {};  // its one event lies in this stream, in the order of waiting_
    CUresult result = CUDA_ERROR_NOT_READY;
    Brings brings = Brings::bytes;
  };
  bool is_held(const Waiting& w) const;
  void settle_all();
  CUresult ask(Waiting& w);
  CUresult ask_driver(Waiting& w);
  void recycle(Waiting& w);  // its events are spare again
  CUresult take_event(CUcontext context, CUevent* out);

  const DriverTable& driver_;
  std::function<void(CUcontext)> enter_;
  std::vector<Waiting> waiting_;
  std::vector<std::pair<CUcontext, CUstream>> held_;  // whose oldest event has not come to pass
  bool unsettled_ = false, idle_ = false;
  std::map<CUcontext, std::vector<CUevent>> spare_;
};

}  // namespace nm::server
