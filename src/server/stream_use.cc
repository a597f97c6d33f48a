#include "server/stream_use.h"

namespace nm::server {

bool StreamUse::retire(CUstream stream) {
  auto it = streams_.find(stream);
  if (it == streams_.end()) return false;
  bool used = it->second.used && !it->second.blocking;
  streams_.erase(it);
  last_entry_ = nullptr;
  return used;
}

StreamUse::Wait StreamUse::take(CUcontext context) {
  Wait wait;
  wait.streams.push_back(nullptr);
  for (auto& [stream, entry] : streams_) {
    if (entry.context != context) continue;
    if (entry.blocking)
      wait.blocking = true;
    else if (std::exchange(entry.used, false))
      wait.streams.push_back(stream);
  }
  std::erase_if(retired_, [&](const auto& r) {
    if (r.first == context) wait.events.push_back(r.second);
    return r.first == context;
  });
  return wait;
}

void StreamUse::forget(CUcontext context) {
  last_entry_ = nullptr;
  std::erase_if(streams_, [context](const auto& s) { return s.second.context == context; });
  std::erase_if(retired_, [context](const auto& r) { return r.first == context; });
}

}  // namespace nm::server
