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

void Completions::arrange(Waiting w) {
  w.number = arranged_++;
  waiting_.push_back(std::move(w));
}

CUresult Completions::after(CUcontext context, CUstream stream, Done done, Brings brings) {
  CUevent event;
  if (CUresult e = record(context, stream, &event)) return e;
  Waiting w{context, {event}, true, std::move(done), {}};
  w.brings = brings;
  arrange(std::move(w));
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
  arrange(std::move(w));
  return CUDA_SUCCESS;
}

void Completions::when_idle(CUcontext context, std::vector<CUstream> streams, Done done, Brings brings) {
  Waiting w{context, {}, true, std::move(done), std::move(streams), false};
  w.brings = brings;
  arrange(std::move(w));
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
  arrange(std::move(w));
  return CUDA_SUCCESS;
}

bool Completions::progress() {
  struct Finished {
    Done done;
    CUresult result;
    bool settled;
    Brings brings;
    uint64_t number;
  };
  std::vector<Finished> finished;
  // Until nothing more is found: what finished before something that we find may have been asked just too early.
  for (bool found = true; found && !waiting_.empty();) {
    found = false;
    // Newest first: what came before something finished in its stream is then seen as finished, too.
    for (size_t i = waiting_.size(); i-- > 0;) {
      Waiting& w = waiting_[i];
      enter_(w.context);
      CUresult result = ask(w);
      if (result == CUDA_ERROR_NOT_READY) continue;
      found = true;
      finished.push_back({std::move(w.done), result, w.settled, w.brings, w.number});
      waiting_.erase(waiting_.begin() + static_cast<long>(i));
    }
  }
  // `done` may hand work to the driver or arrange for something new, and may ask for progress itself.
  if (!finished.empty()) settle();
  if (finished.size() > 1) {
    std::sort(finished.begin(), finished.end(), [](const Finished& a, const Finished& b) {
      return a.brings != b.brings ? a.brings == Brings::bytes : a.number < b.number;
    });
  }
  for (Finished& f : finished) {
    // With others behind it, `done` may not be the first to hand something to the driver.
    idle_ = !f.settled && finished.size() == 1;
    f.done(f.result);
  }
  idle_ = false;
  return !finished.empty();
}

void Completions::drain() {
  while (!waiting_.empty()) {
    if (!progress()) sched_yield();
  }
}

}  // namespace nm::server
