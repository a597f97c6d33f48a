#include "client/capture_state.h"

namespace nm::client {

void CaptureState::begin(uint64_t stream, uint64_t context) {
  end(stream);  // it may have ended in a way that was not heard of here
  uint64_t number = next_++;
  captures_[number] = {stream, context};
  members_[stream] = {number, Part::surely};
}

void CaptureState::erase(uint64_t capture) {
  captures_.erase(capture);
  std::erase_if(members_, [capture](const auto& m) { return m.second.capture == capture; });
  if (captures_.empty()) events_.clear();
}

void CaptureState::end(uint64_t stream) {
  for (const auto& [number, capture] : captures_) {
    if (capture.origin == stream) return erase(number);
  }
  // A stream that had joined leaves alone.
  members_.erase(stream);
}

void CaptureState::end_context(uint64_t context) {
  for (auto it = captures_.begin(); it != captures_.end();) {
    uint64_t number = it->first;
    bool gone = it->second.context == context;
    ++it;
    if (gone) erase(number);
  }
}

CaptureState::Part CaptureState::part(uint64_t stream) const {
  auto it = members_.find(stream);
  return it == members_.end() ? Part::none : it->second.part;
}

void CaptureState::settle(uint64_t stream, bool takes_part) {
  auto it = members_.find(stream);
  if (it == members_.end()) return;
  if (takes_part)
    it->second.part = Part::surely;
  else if (it->second.part == Part::may)
    members_.erase(it);
}

void CaptureState::record(uint64_t event, uint64_t stream, bool external) {
  auto it = members_.find(stream);
  if (it == members_.end() || external)
    events_.erase(event);
  else
    events_[event] = it->second.capture;
}

bool CaptureState::wait(uint64_t stream, uint64_t event, bool external) {
  if (external) return false;  // a node, or a wait like any other
  auto member = members_.find(stream);
  auto recorded = events_.find(event);
  if (recorded == events_.end()) return member != members_.end();  // ISOLATION
  auto capture = captures_.find(recorded->second);
  if (member != members_.end()) return member->second.capture != recorded->second;  // MERGE, or ISOLATION
  if (capture == captures_.end()) return false;
  members_[stream] = {recorded->second, Part::may};
  return capture->second.doubted;
}

void CaptureState::doubt() {
  for (auto& [number, capture] : captures_) capture.doubted = true;
}

bool CaptureState::is_doubted(uint64_t stream) const {
  auto member = members_.find(stream);
  if (member == members_.end()) return false;
  auto capture = captures_.find(member->second.capture);
  return capture != captures_.end() && capture->second.doubted;
}

}  // namespace nm::client
