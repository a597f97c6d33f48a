// Which streams a wait for a whole context has to wait for.
//
// The legacy stream and the blocking streams wait for one another; a stream that does not take part in that is waited
// for by name, if it was used since the last time.
#pragma once

#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda_abi.h"

namespace nm::server {

class StreamUse {
 public:
  void created(CUstream stream, CUcontext context, bool blocking) { streams_[stream] = {context, blocking, false}; }
  // Named by a call in `context`, which is the stream's own unless the call says so for nothing.
  void named(CUstream stream, CUcontext context) {
    // Most calls name the stream of the call before.
    if (stream != last_ || !last_entry_) {
      last_entry_ = &streams_.try_emplace(stream, Entry{context, false, false}).first->second;
      last_ = stream;
    }
    last_entry_->used = true;
  }
  // True unless it was made not to take part: the legacy stream has no entry, nor has one that somebody else made.
  bool is_blocking(CUstream stream) const {
    auto it = streams_.find(stream);
    return it == streams_.end() || it->second.blocking;
  }
  // The stream is going. True if there may be work in it that nothing else would be waited for.
  bool retire(CUstream stream);
  // Work of a stream that is gone, to be waited for with its context.
  void left_behind(CUcontext context, CUevent event) { retired_.emplace_back(context, event); }

  struct Wait {
    std::vector<CUstream> streams;  // the legacy stream and the used ones that are not blocking
    std::vector<CUevent> events;    // of streams that are gone
    bool blocking = false;          // the context has blocking streams: asking the legacy stream alone says little
  };
  // What a wait for `context` has to wait for; the next one will not have to.
  Wait take(CUcontext context);
  void forget(CUcontext context);

 private:
  struct Entry {
    CUcontext context;
    bool blocking, used;
  };
  std::unordered_map<CUstream, Entry> streams_;
  CUstream last_ = nullptr;
  Entry* last_entry_ = nullptr;  // its place in streams_; null: unknown
  std::vector<std::pair<CUcontext, CUevent>> retired_;
};

}  // namespace nm::server
