// What happens next. In this order:
//
//  1. Leases whose time is over are told to end.
//  2. Claims that the pool can never grant are refused; only now, when they are new: later a host may just be away.
//  3. Promises: hosts that were kept for a claim, and can serve it now, do.
//  4. The first round: claims within their projects' quotas, the project with the lowest standing first. The first
//  claim
//     of a project that finds no room holds its part of the quota back, or smaller ones would use it up for ever.
//  5. The second round: whoever may borrow, in the same order, from what is left.
//  6. New promises to those that found no room in the first round (promise.cc).
//  7. What was borrowed and is within the quota by now is kept.
#include <fmt/format.h>

#include <algorithm>

#include "pool/pool.h"
#include "pool/text.h"

namespace nm::pool {
namespace {

constexpr size_t kBackfillClaims = 8, kBackfillHosts = 16;

}  // namespace

std::vector<Action> Pool::decide(Time now) {
  now_ = std::max(now_, now);
  Actions actions = std::move(pending_);
  pending_.clear();
  while (!by_until_.empty() && by_until_.begin()->first <= now_) {
    const std::string id = by_until_.begin()->second;
    end(leases_.at(id));
    actions.push_back(Expired{id});
  }
  if (!gained_ && fresh_.empty()) return actions;

  ++decision_;
  queue_.refresh(cluster_);
  refuse_impossible(actions);
  if (gained_) keep_promises(actions);  // may set hosts free, for all others
  if (gained_) queue_.unstick();
  round(true, actions);
  round(false, actions);
  make_promises(actions);
  if (gained_) settle(actions);
  gained_ = false;
  for (const std::string& id : fresh_) {
    const Waiting* waiting = queue_.find(id);
    if (!waiting) continue;
    Wait wait = explain(cluster_, waiting->shape->wish);
    wait.reason = why(id, now_);
    actions.push_back(Waits{id, std::move(wait)});
  }
  fresh_.clear();
  return actions;
}

void Pool::refuse_impossible(Actions& actions) {
  for (const std::string& id : fresh_) {
    const Waiting* waiting = queue_.find(id);
    if (!waiting) continue;
    std::string sentence;
    const ProjectRule& project = rule(waiting->claim.project);
    if (const auto never = refuse(cluster_, waiting->shape->wish)) {
      sentence = never->sentence;
    } else if (project.quota && !project.borrow && waiting->size() > *project.quota) {
      sentence = fmt::format("Project {} has a quota of {} and may not borrow; the claim is for {}. Ask for fewer.",
                             waiting->claim.project, print_gpus(*project.quota), print_gpus(waiting->size()));
    }
    if (sentence.empty()) continue;
    actions.push_back(Refused{id, sentence});
    queue_.remove(id, policy_.order);
  }
}

// What of a project's quota others of its claims may not use: the promised, and the first that waits for it.
int64_t Pool::held_back(const Lines& lines, const Waiting* except) const {
  const ProjectRule& project = rule(lines.project);
  const Waiting* head = nullptr;
  Turn first;
  for (const auto& [shape, line] : lines.lines) {
    const auto& [turn, waiting] = *line.claims.begin();
    if (waiting->size() > *project.quota || (head && !(turn < first))) continue;
    head = waiting;
    first = turn;
  }
  int64_t held = promised_to(lines.project, except);
  if (head && head != except && !head->promised) held += head->size();
  return held;
}

// The project's next claim of this round: the best head of a line that has not been tried.
Waiting* Pool::candidate(Lines& lines, bool within) {
  const ProjectRule& project = rule(lines.project);
  if (!within && (!project.quota || !project.borrow)) return nullptr;
  const auto used = uses_.find(lines.project);
  const int64_t kept = used == uses_.end() ? 0 : used->second.kept;
  for (;;) {
    Line* best = nullptr;
    for (auto& [shape, line] : lines.lines) {
      if (line.tried == decision_ || line.out == round_) continue;
      if (shape->stuck && !gained_ && !line.fresh) continue;
      if (!best || line.claims.begin()->first < best->claims.begin()->first) best = &line;
    }
    if (!best) return nullptr;
    Waiting* head = best->claims.begin()->second;
    if (!within || !project.quota || kept + held_back(lines, head) + head->size() <= *project.quota) return head;
    best->out = round_;
  }
}

void Pool::round(bool within, Actions& actions) {
  ++round_;
  struct Lane {
    std::string project;
    Waiting* next;
  };
  std::vector<Lane> lanes;
  for (auto& [project, lines] : queue_.projects()) {
    if (Waiting* next = candidate(lines, within)) lanes.push_back({project, next});
  }
  while (!lanes.empty()) {
    auto best = lanes.begin();
    double lowest = 0;
    for (auto lane = lanes.begin(); lane != lanes.end(); ++lane) {
      const double key =
          standing(uses_[lane->project], lane->next->size(), rule(lane->project).weight, policy_.half_life, now_);
      if (lane != lanes.begin() && key >= lowest) continue;
      lowest = key;
      best = lane;
    }
    Lines& lines = queue_.projects().at(best->project);
    // What waits in the second round for another to be served may be within the quota after that.
    const ProjectRule& project = rule(best->project);
    const bool borrowed = !within && project.quota &&
                          use(best->project).kept + held_back(lines, best->next) + best->next->size() > *project.quota;
    try_line(lines, *best->next, borrowed, actions);
    const auto left = queue_.projects().find(best->project);  // gone, if that was the last of its claims
    best->next = left == queue_.projects().end() ? nullptr : candidate(left->second, within);
    if (!best->next) lanes.erase(best);
  }
}

bool Pool::try_line(Lines& lines, Waiting& head, bool borrowed, Actions& actions) {
  if (!head.shape->stuck) {
    if (const auto found = find_room(cluster_, head.shape->wish, head.claim.client_host, policy_.placement)) {
      grant(head, *found, borrowed, actions);
      return true;
    }
    head.shape->stuck = true;
  }
  Line& line = lines.lines.at(head.shape);
  line.tried = decision_;
  line.fresh = false;
  return backfill(line, borrowed, actions);
}

// Hosts that are kept for others and drain: who is sure to be gone before they are needed may use them until then.
bool Pool::backfill(Line& line, bool borrowed, Actions& actions) {
  size_t seen = 0;
  for (const auto& [turn, waiting] : line.claims) {
    if (++seen > kBackfillClaims) break;
    if (waiting->claim.limit == Duration{0}) continue;
    if (seen > 1 && !borrowed && rule(waiting->claim.project).quota) break;  // it was checked for the line's first
    std::vector<const HostEntry*> hosts;
    for (const Promise& promise : promises_) {
      if (promise.by == kNever || now_ + waiting->claim.limit > promise.by) continue;
      for (const std::string& id : promise.hosts) {
        const HostEntry* host = cluster_.find(id);
        if (host && hosts.size() < kBackfillHosts && promise.claim != waiting->claim.id) hosts.push_back(host);
      }
    }
    if (hosts.empty()) continue;
    const auto found = find_room_on(cluster_, waiting->shape->wish, hosts, policy_.placement);
    if (!found) return false;
    grant(*waiting, *found, borrowed, actions);
    return true;
  }
  return false;
}

void Pool::grant(Waiting& waiting, const Grant& grant, bool borrowed, Actions& actions) {
  Lease lease{.id = fmt::format("{}-{}", waiting.claim.id.substr(0, kMostText - 24), next_lease_++),
              .claim = waiting.claim};
  lease.path = grant.way;
  lease.devices = grant.devices;
  lease.charge = grant.charge;
  lease.granted = now_;
  lease.until = waiting.claim.limit == Duration{0} ? kNever : now_ + waiting.claim.limit;
  lease.borrowed = borrowed;
  const Origin origin{waiting.number, waiting.since};
  drop_promise(waiting.claim.id);
  queue_.remove(waiting.claim.id, policy_.order);  // `waiting` is gone
  origins_[lease.id] = origin;
  actions.push_back(Granted{enter(std::move(lease))});
}

// What its project's other leases have made room for is borrowed no more, the oldest first; after the claims that wait
// for the same quota, and not before them.
void Pool::settle(Actions& actions) {
  std::vector<std::string> projects;
  for (const auto& [project, leases] : borrowed_by_) projects.push_back(project);
  for (const std::string& project : projects) {
    const ProjectRule& its = rule(project);
    const auto lines = queue_.projects().find(project);
    const int64_t back = !its.quota || lines == queue_.projects().end() ? 0 : held_back(lines->second, nullptr);
    for (;;) {
      const auto borrowed = borrowed_by_.find(project);
      if (borrowed == borrowed_by_.end()) break;
      Lease& oldest = leases_.at(borrowed->second.begin()->second);
      if (its.quota && use(project).kept + back + oldest.charge > *its.quota) break;
      borrowed->second.erase(borrowed->second.begin());
      if (borrowed->second.empty()) borrowed_by_.erase(borrowed);
      oldest.borrowed = false;
      use(project).change(0, oldest.charge, now_, policy_.half_life);
      cluster_.changed(&oldest);
      actions.push_back(Kept{oldest.id});
    }
  }
}

std::vector<Place> Pool::queue(Time now) const {
  std::vector<Place> places;
  Walk walk(queue_, policy_, uses_, std::max(now, now_));
  while (const Waiting* waiting = walk.next())
    places.push_back({waiting, places.size() + 1, why(waiting->claim.id, now)});
  return places;
}

std::string Pool::why(const std::string& claim, Time now) const {
  const Waiting* waiting = queue_.find(claim);
  if (!waiting) return "";
  const auto promise =
      std::find_if(promises_.begin(), promises_.end(), [&](const Promise& p) { return p.claim == claim; });
  if (promise != promises_.end()) {
    std::string hosts;
    for (size_t i = 0; i < promise->hosts.size() && i < 3; ++i) hosts += (i ? ", " : "") + promise->hosts[i];
    if (promise->hosts.size() > 3) hosts += fmt::format(" and {} more", promise->hosts.size() - 3);
    std::string until = "; nobody has said until when";
    if (promise->by != kNever)
      until = promise->by > now ? fmt::format(", in {} at the latest", print(promise->by - now)) : ", at any moment";
    return fmt::format("It is next on {}, as soon as {} there {}{}.", hosts,
                       promise->taken ? "what was borrowed" : "what runs", promise->taken ? "is back" : "ends", until);
  }
  const ProjectRule& project = rule(waiting->claim.project);
  const auto used = uses_.find(waiting->claim.project);
  const int64_t kept = used == uses_.end() ? 0 : used->second.kept;
  if (project.quota && kept + waiting->size() > *project.quota &&
      (!project.borrow || waiting->size() <= *project.quota)) {
    return fmt::format("Project {} uses {} of its quota of {}, and this claim is for {}{}.", waiting->claim.project,
                       print_gpus(kept), print_gpus(*project.quota), print_gpus(waiting->size()),
                       project.borrow ? "; nothing is idle to borrow" : "; it may not borrow");
  }
  return explain(cluster_, waiting->shape->wish).reason;
}

}  // namespace nm::pool
