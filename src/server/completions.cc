#include "server/completions.h"

#include <sched.h>

#include <algorithm>
#include <utility>

namespace nm::server {

CUresult Completions::take_event(CUcontext context, CUevent* out) {
  auto& spare = spare_[context];
  if (!spare.empty()) {
    *out = spare.back();
    spare.pop_back();
    return CUDA_SUCCESS;
  }
  return driver_.cuEventCreate(out, CU_EVENT_DISABLE_TIMING);
}

CUresult Completions::record(CUcontext context, CUstream stream, CUevent* out) {
  if (unsettled_) {
    settle_all();
    enter_(context);  // others' contexts may have been current meanwhile
  }
  CUresult e = take_event(context, out);
  if (e == CUDA_SUCCESS && (e = driver_.cuEventRecord(*out, stream)) != CUDA_SUCCESS) spare_[context].push_back(*out);
  // From a query that means "ask again". Here there is nothing to ask for: taken at its word, it would be waited for
  // for ever.
  return e == CUDA_ERROR_NOT_READY ? CUDA_ERROR_UNKNOWN : e;
}

void Completions::recycle(Waiting& w) {
  if (w.owned) spare_[w.context].insert(spare_[w.context].end(), w.events.begin(), w.events.end());
  w.events.clear();
}

CUresult Completions::after(CUcontext context, CUstream stream, Done done, Brings brings) {
  CUevent event;
  if (CUresult e = record(context, stream, &event)) return e;
  Waiting w{context, {event}, true, std::move(done), {}};
  w.brings = brings;
  w.behind = stream;
  waiting_.push_back(std::move(w));
  return CUDA_SUCCESS;
}

CUresult Completions::after_all(CUcontext context, const std::vector<CUstream>& streams, std::vector<CUevent> recorded,
                                Done done) {
  Waiting w{context, std::move(recorded), true, std::move(done), {}};
  for (CUstream stream : streams) {
    CUevent event;
    if (CUresult e = record(context, stream, &event)) {
      recycle(w);
      return e;
    }
    w.events.push_back(event);
  }
  w.brings = Brings::news;
  waiting_.push_back(std::move(w));
  return CUDA_SUCCESS;
}

void Completions::when_idle(CUcontext context, std::vector<CUstream> streams, Done done, Brings brings) {
  Waiting w{context, {}, true, std::move(done), std::move(streams), false};
  w.brings = brings;
  waiting_.push_back(std::move(w));
  unsettled_ = true;
}

void Completions::settle_all() {
  unsettled_ = false;
  for (Waiting& w : waiting_) {
    if (std::exchange(w.settled, true)) continue;
    enter_(w.context);
    for (CUstream stream : w.streams) {
      CUevent event;
      if (w.failed == CUDA_SUCCESS && (w.failed = record(w.context, stream, &event)) == CUDA_SUCCESS)
        w.events.push_back(event);
    }
    w.streams.clear();
  }
}

CUresult Completions::ask(Waiting& w) {
  CUresult result = w.failed != CUDA_SUCCESS ? w.failed : ask_driver(w);
  if (result != CUDA_ERROR_NOT_READY) recycle(w);
  return result;
}

CUresult Completions::ask_driver(Waiting& w) {
  while (!w.streams.empty()) {
    if (CUresult e = driver_.cuStreamQuery(w.streams.back())) return e;
    w.streams.pop_back();
  }
  while (!w.events.empty()) {
    if (CUresult e = driver_.cuEventQuery(w.events.back())) return e;
    // Done with, also if an earlier one is not: it need not be asked again.
    if (w.owned) spare_[w.context].push_back(w.events.back());
    w.events.pop_back();
  }
  return CUDA_SUCCESS;
}

CUresult Completions::after_event(CUcontext context, CUevent event, Done done) {
  Waiting w{context, {event}, false, std::move(done), {}};
  w.brings = Brings::news;
  waiting_.push_back(std::move(w));
  return CUDA_SUCCESS;
}

CUresult Completions::occupy(CUcontext context, CUstream stream, bool waits) {
  CUevent event;
  if (CUresult e = record(context, stream, &event)) return e;
  const CUresult result = waits ? driver_.cuStreamWaitEvent(stream, event, 0) : CUDA_SUCCESS;
  spare_[context].push_back(event);  // a wait is for what was recorded when it was asked for
  return result;
}

void Completions::retire(CUstream stream) {
  for (Waiting& w : waiting_) {
    if (w.behind == stream) w.behind.reset();
  }
}

bool Completions::is_held(const Waiting& w) const {
  return w.behind && std::find(held_.begin(), held_.end(), std::pair(w.context, *w.behind)) != held_.end();
}

bool Completions::progress() {
  // In a stream nothing is over before what came before it, so only the oldest is asked. Streams wait for one another,
  // too: something that is over may come after something that was not when it was asked. All are asked again until none
  // has more to say, so that what came first is told first.
  bool any = false;
  for (bool more = true; more;) {
    more = false;
    held_.clear();
    for (Waiting& w : waiting_) {
      if (w.result != CUDA_ERROR_NOT_READY || is_held(w)) continue;
      enter_(w.context);
      if ((w.result = ask(w)) != CUDA_ERROR_NOT_READY)
        any = more = true;
      else if (w.behind)
        held_.emplace_back(w.context, *w.behind);
    }
  }
  if (!any) return false;
  struct Finished {
    Done done;
    CUresult result;
    bool settled;
    Brings brings;
  };
  std::vector<Finished> finished;
  std::erase_if(waiting_, [&](Waiting& w) {
    if (w.result == CUDA_ERROR_NOT_READY) return false;
    finished.push_back({std::move(w.done), w.result, w.settled, w.brings});
    return true;
  });
  // `done` may hand work to the driver or arrange for something new, and may ask for progress itself.
  settle();
  std::stable_partition(finished.begin(), finished.end(), [](const Finished& f) { return f.brings == Brings::bytes; });
  for (Finished& f : finished) {
    // With others behind it, `done` may not be the first to hand something to the driver.
    idle_ = !f.settled && finished.size() == 1;
    f.done(f.result);
  }
  idle_ = false;
  return true;
}

void Completions::drain() {
  while (!waiting_.empty()) {
    if (!progress()) sched_yield();
  }
}

}  // namespace nm::server
