#include "pool/queue.h"

#include <algorithm>

namespace nm::pool {

Waiting* Queue::find(const std::string& id) {
  const auto found = waiting_.find(id);
  return found == waiting_.end() ? nullptr : &found->second;
}

Waiting& Queue::add(Claim claim, uint64_t number, Time since, const Cluster& cluster, Order order) {
  const Shape shape(claim);
  auto& state = shapes_[shape];
  if (!state) state = std::make_unique<ShapeState>(ShapeState{.wish = Wish(shape, cluster)});
  ++state->waiting;
  const std::string id = claim.id;
  Waiting& waiting = waiting_[id];
  waiting = {.claim = std::move(claim), .number = number, .since = since, .shape = state.get()};
  Lines& lines = lines_of(waiting, order);
  lines.project = order == Order::fair ? waiting.claim.project : "";
  ++lines.waiting;
  Line& line = lines.lines[state.get()];
  line.claims[turn(waiting, order)] = &waiting;
  line.fresh = true;
  return waiting;
}

void Queue::remove(const std::string& id, Order order) {
  const auto found = waiting_.find(id);
  Waiting& waiting = found->second;
  Lines& lines = lines_of(waiting, order);
  const auto line = lines.lines.find(waiting.shape);
  line->second.claims.erase(turn(waiting, order));
  if (line->second.claims.empty()) lines.lines.erase(line);
  if (--lines.waiting == 0) projects_.erase(lines.project);
  if (--waiting.shape->waiting == 0) shapes_.erase(Shape(waiting.claim));
  waiting_.erase(found);
}

void Queue::unstick() {
  for (auto& [shape, state] : shapes_) state->stuck = false;
}

void Queue::refresh(const Cluster& cluster) {
  for (auto& [shape, state] : shapes_) {
    if (state->wish.epoch == cluster.group_epoch()) continue;
    state->wish = Wish(shape, cluster);
    state->stuck = false;
  }
}

Walk::Walk(const Queue& queue, const Policy& policy, const Uses& uses, Time now) : policy_(policy), now_(now) {
  for (const auto& [name, lines] : queue.projects()) {
    Lane lane{.lines = &lines, .rule = policy.order == Order::fair ? policy.rule(name) : ProjectRule{}};
    if (const auto use = uses.find(name); use != uses.end()) lane.use = use->second;
    for (const auto& [shape, line] : lines.lines) lane.cursors.emplace_back(line.claims.begin(), &line);
    lanes_.push_back(std::move(lane));
  }
}

const Waiting* Walk::within(Lane& lane) {
  for (;;) {
    std::pair<std::map<Turn, Waiting*>::const_iterator, const Line*>* best = nullptr;
    for (auto& cursor : lane.cursors) {
      if (cursor.first == cursor.second->claims.end()) continue;
      if (!best || cursor.first->first < best->first->first) best = &cursor;
    }
    if (!best) return nullptr;
    const Waiting* waiting = best->first->second;
    const int64_t size = waiting->size();
    if (!lane.rule.quota || lane.use.kept + lane.more + lane.hold + size <= *lane.rule.quota) return waiting;
    if (lane.hold == 0 && size <= *lane.rule.quota) lane.hold = size;
    lane.later.push_back(waiting);
    ++best->first;
  }
}

const Waiting* Walk::next() {
  for (;;) {
    Lane* best = nullptr;
    const Waiting* waiting = nullptr;
    double lowest = 0;
    for (Lane& lane : lanes_) {
      const Waiting* candidate =
          beyond_ ? (lane.later_at < lane.later.size() ? lane.later[lane.later_at] : nullptr) : within(lane);
      if (!candidate) continue;
      const double key = standing(lane.use, lane.more, lane.rule.weight, policy_.half_life, now_);
      if (best && key >= lowest) continue;
      best = &lane;
      waiting = candidate;
      lowest = key;
    }
    if (!best && beyond_) return nullptr;
    if (!best) {
      beyond_ = true;
      continue;
    }
    best->more += waiting->size();
    if (beyond_) {
      ++best->later_at;
    } else {
      for (auto& cursor : best->cursors) {
        if (cursor.first != cursor.second->claims.end() && cursor.first->second == waiting) ++cursor.first;
      }
    }
    return waiting;
  }
}

}  // namespace nm::pool
