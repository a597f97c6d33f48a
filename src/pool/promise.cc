// Who found no room and must not be overtaken for ever. The first of those who wait get hosts that are kept for them:
//
//  - a claim within an explicit quota gets back what others borrowed: leases are told to end, the fewest that make
//  room;
//  - else hosts drain for it: those that, by the limits of what runs on them, will be free first.
//
// Kept hosts stand on no shelf, so nobody else finds them, but for those who leave before they are needed (decide.cc).
// Claims beyond their quota are promised nothing: they live on what is idle.
#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "pool/pool.h"

namespace nm::pool {
namespace {

constexpr size_t kLooked = 64;      // claims that a decision considers for promises
constexpr size_t kCandidates = 16;  // hosts from each order

// When `number` devices that serve, near enough to each other, will be free on a host. Nothing: it has not so many.
std::optional<Time> free_for(const HostEntry& entry, const Wish& wish, const Wish::Kind& kind, Path way, size_t number,
                             Time now) {
  struct Free {
    int place;
    Time at;
  };
  std::vector<Free> devices;
  for (size_t d = 0; d < entry.host.devices.size(); ++d) {
    Device device = entry.host.devices[d];
    if (device.model != kind.model || device.memory != kind.memory) continue;
    device.held = Path::any;
    if (!Cluster::open_to(entry.host, device, way)) continue;
    int place = 0;
    if (wish.claim.topology == Topology::same_numa) place = device.numa;
    if (wish.claim.topology == Topology::nvlink) place = device.island < 0 ? -2 - static_cast<int>(d) : device.island;
    devices.push_back({place, std::max(now, free_at(entry, d))});
  }
  std::sort(devices.begin(), devices.end(),
            [](const Free& a, const Free& b) { return std::tie(a.place, a.at) < std::tie(b.place, b.at); });
  std::optional<Time> best;
  for (size_t begin = 0; begin < devices.size();) {
    size_t end = begin;
    while (end < devices.size() && devices[end].place == devices[begin].place) ++end;
    if (end - begin >= number) best = std::min(best.value_or(kNever), devices[begin + number - 1].at);
    begin = end;
  }
  return best;
}

size_t devices_of(const HostEntry& entry, const Wish::Kind& kind, Path way) {
  size_t count = 0;
  for (Device device : entry.host.devices) {
    device.held = Path::any;
    count += device.model == kind.model && device.memory == kind.memory && Cluster::open_to(entry.host, device, way);
  }
  return count;
}

// Whether these hosts could serve the wish if nothing ran on them.
bool could_serve(const std::vector<const HostEntry*>& hosts, const Wish& wish) {
  const auto number = static_cast<size_t>(wish.claim.number);
  for (const Path way : kWays) {
    for (const Wish::Kind& kind : wish.kinds) {
      if (!kind.ways[index_of(way)]) continue;
      size_t sum = 0;
      for (const HostEntry* host : hosts) {
        if (free_for(*host, wish, kind, way, number, Time{})) return true;
        sum += devices_of(*host, kind, way);
      }
      if (wish.claim.topology == Topology::any && sum >= number) return true;
    }
  }
  return false;
}

// One whole GPU among whole ones needs no promise: the next that ends makes room for whoever is first then. Several
// must be gathered, and so must the parts of one.
bool must_gather(const Wish& wish) {
  if (wish.claim.number > 1) return true;
  for (const Wish::Kind& kind : wish.kinds) {
    for (const Group* group : kind.groups) {
      if (!group->open.empty()) return true;
    }
  }
  return false;
}

size_t held_leases(const HostEntry& entry) {
  size_t count = 0;
  for (const auto& holders : entry.holders) count += holders.size();
  return count;
}

}  // namespace

int64_t Pool::promised_to(const std::string& project, const Waiting* except) const {
  int64_t sum = 0;
  for (const Promise& promise : promises_) {
    const Waiting* waiting = queue_.find(promise.claim);
    if (waiting && waiting != except && waiting->claim.project == project) sum += waiting->size();
  }
  return sum;
}

void Pool::promise(Waiting& waiting, const std::vector<HostEntry*>& hosts, Time by, bool taken) {
  Promise made{.claim = waiting.claim.id, .by = by, .taken = taken};
  for (HostEntry* host : hosts) {
    made.hosts.push_back(host->host.id);
    cluster_.reserve(*host, waiting.claim.id);
  }
  promises_.push_back(std::move(made));
  waiting.promised = true;
}

void Pool::drop_promise(const std::string& claim) {
  const auto found =
      std::find_if(promises_.begin(), promises_.end(), [&](const Promise& p) { return p.claim == claim; });
  if (found == promises_.end()) return;
  for (const std::string& id : found->hosts) {
    if (HostEntry* host = cluster_.find(id)) cluster_.unreserve(*host);
  }
  promises_.erase(found);
  if (Waiting* waiting = queue_.find(claim)) waiting->promised = false;
  gained_ = true;
}

void Pool::keep_promises(Actions& actions) {
  const std::vector<Promise> made = promises_;
  for (const Promise& promise : made) {
    Waiting* waiting = queue_.find(promise.claim);
    std::vector<const HostEntry*> hosts;
    for (const std::string& id : promise.hosts) {
      if (const HostEntry* host = cluster_.find(id)) hosts.push_back(host);
    }
    const ProjectRule& project = rule(waiting->claim.project);
    const std::string& lines = policy_.order == Order::fair ? waiting->claim.project : std::string();
    const bool within = !project.quota || use(waiting->claim.project).kept + waiting->size() +
                                                  held_back(queue_.projects().at(lines), waiting) <=
                                              *project.quota;
    // Overtaken within its own project, or its hosts are not what they were.
    if (!within || !could_serve(hosts, waiting->shape->wish)) {
      drop_promise(promise.claim);
      continue;
    }
    if (const auto found = find_room_on(cluster_, waiting->shape->wish, hosts, policy_.placement)) {
      grant(*waiting, *found, false, actions);
    }
  }
}

void Pool::make_promises(Actions& actions) {
  const auto draining = [&] {
    return static_cast<int>(
        std::count_if(promises_.begin(), promises_.end(), [](const Promise& p) { return !p.taken; }));
  };
  const bool may_take = policy_.take_back && !borrowed_by_.empty();
  if (!may_take && draining() >= policy_.reservations) return;
  // Nothing has become free: for those who waited before, nothing has changed.
  uint64_t first = gained_ ? 0 : UINT64_MAX;
  for (const std::string& id : fresh_) {
    if (const Waiting* waiting = queue_.find(id)) first = std::min(first, waiting->number);
  }
  std::set<const ShapeState*> nothing_lent, no_hosts;  // found so for a claim of this shape: the next one need not look
  Walk walk(queue_, policy_, uses_, now_);
  for (size_t looked = 0; looked < kLooked; ++looked) {
    const Waiting* next = walk.next();
    if (!next || walk.beyond()) return;
    if (next->promised || next->number < first) continue;
    Waiting& waiting = *queue_.find(next->claim.id);
    if (may_take && rule(waiting.claim.project).quota && !nothing_lent.contains(waiting.shape)) {
      if (take_back(waiting, actions)) continue;
      nothing_lent.insert(waiting.shape);
    }
    // A small pool is not drained for many at once.
    const size_t kept = cluster_.reserved_count();
    const bool more = draining() < policy_.reservations && (kept == 0 || kept < cluster_.hosts().size() / 8);
    if (more && must_gather(waiting.shape->wish) && !no_hosts.contains(waiting.shape) && !drain_hosts(waiting)) {
      no_hosts.insert(waiting.shape);
    }
  }
}

bool Pool::drain_hosts(Waiting& waiting) {
  const Wish& wish = waiting.shape->wish;
  const auto number = static_cast<size_t>(wish.claim.number);
  struct Candidate {
    HostEntry* host;
    Time at;
    size_t leases, devices;
  };
  std::vector<Candidate> best;
  Time best_by = kNever;
  size_t best_leases = 0;
  for (const Path way : kWays) {
    for (const Wish::Kind& kind : wish.kinds) {
      if (!kind.ways[index_of(way)]) continue;
      // Those with the most idle, and those that are idle first.
      std::set<std::string> ids;
      std::vector<Candidate> candidates;
      const auto consider = [&](HostEntry* host) -> size_t {
        if (host->reserved()) return 0;
        const size_t devices = devices_of(*host, kind, way);
        if (devices == 0 || !ids.insert(host->host.id).second) return devices;
        cluster_.examine();
        const auto at = free_for(*host, wish, kind, way, std::min(number, devices), now_);
        if (at) candidates.push_back({host, *at, held_leases(*host), devices});
        return devices;
      };
      const size_t near = nearness_of(wish.claim.topology);
      for (Group* group : kind.groups) {
        // As many as it takes, and some to choose from.
        size_t seen = 0, sum = 0;
        for (const Shelves* shelves : {&group->used[index_of(way)][near], &group->whole[index_of(way)][near]}) {
          for (size_t count = shelves->top(); count > 0; --count) {
            for (HostEntry* host : shelves->at(count)) {
              if (++seen > kCandidates && sum >= number) break;
              sum += consider(host);
            }
          }
        }
        seen = sum = 0;
        for (const auto& [time, id] : group->drains) {
          if (++seen > kCandidates && sum >= number) break;
          sum += consider(cluster_.find(id));
        }
      }
      std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return std::tie(a.at, a.leases, a.host->host.id) < std::tie(b.at, b.leases, b.host->host.id);
      });
      std::vector<Candidate> chosen;
      for (const Candidate& candidate : candidates) {  // one host that does, the soonest
        if (candidate.devices >= number) {
          chosen = {candidate};
          break;
        }
      }
      if (chosen.empty() && wish.claim.topology == Topology::any) {
        size_t sum = 0;
        for (const Candidate& candidate : candidates) {
          if (sum >= number) break;
          sum += candidate.devices;
          chosen.push_back(candidate);
        }
        if (sum < number) chosen.clear();
      }
      if (chosen.empty()) continue;
      Time by{};
      size_t leases = 0;
      for (const Candidate& candidate : chosen) {
        by = std::max(by, candidate.at);
        leases += candidate.leases;
      }
      if (best.empty() || std::tie(by, leases) < std::tie(best_by, best_leases)) {
        best = chosen;
        best_by = by;
        best_leases = leases;
      }
    }
  }
  if (best.empty()) return false;
  std::vector<HostEntry*> hosts;
  for (const Candidate& candidate : best) hosts.push_back(candidate.host);
  promise(waiting, hosts, best_by, false);
  return true;
}

}  // namespace nm::pool
