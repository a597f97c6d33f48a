// What was borrowed goes back to a claim that is within its quota: which leases have to end for it. The fewest GPUs,
// and those of the claim's own project before others'.
#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "pool/pool.h"

namespace nm::pool {
namespace {

constexpr size_t kCandidates = 16;

struct LeaseById {
  bool operator()(const Lease* a, const Lease* b) const { return a->id < b->id; }
};
using Victims = std::set<const Lease*, LeaseById>;

struct Cost {
  int64_t others = 0, all = 0;
  size_t leases = 0;
  auto operator<=>(const Cost&) const = default;
};

Cost cost_of(const Victims& victims, const std::string& project) {
  Cost cost{.leases = victims.size()};
  for (const Lease* lease : victims) {
    cost.all += lease->charge;
    if (lease->claim.project != project) cost.others += lease->charge;
  }
  return cost;
}

struct Plan {
  std::vector<HostEntry*> hosts;
  Victims victims;
  Cost cost;
};

void keep_better(std::optional<Plan>* best, Plan plan) {
  const auto key = [](const Plan& p) { return std::tie(p.cost, p.hosts.front()->host.id); };
  if (!*best || key(plan) < key(**best)) *best = std::move(plan);
}

bool lent(const Lease* lease) { return lease->borrowed && !lease->ending; }

// One claim's search.
class Reclaim {
 public:
  Reclaim(const Cluster& cluster, const Waiting& waiting)
      : cluster_(cluster), wish_(waiting.shape->wish), project_(waiting.claim.project) {}

  std::optional<Plan> best() {
    std::optional<Plan> best;
    const auto number = static_cast<size_t>(wish_.claim.number);
    for (const Path way : kWays) {
      for (const Wish::Kind& kind : wish_.kinds) {
        if (!kind.ways[index_of(way)]) continue;
        if (number == 1 && !kind.need[index_of(way)].whole) part(kind, &best);
        one_host(kind, way, number, &best);
      }
    }
    if (best || wish_.claim.topology != Topology::any || number == 1) return best;
    for (const Path way : kWays) {
      for (const Wish::Kind& kind : wish_.kinds) {
        if (kind.ways[index_of(way)]) many_hosts(kind, way, number, &best);
      }
    }
    return best;
  }

 private:
  // The cheapest `number` devices of a host that are idle or can be cleared, near enough to each other.
  std::optional<Victims> clear(const HostEntry& entry, const Wish::Kind& kind, Path way, size_t number) const {
    cluster_.examine();
    struct Clearable {
      int place;
      Cost cost;
      size_t device;
    };
    std::vector<Clearable> devices;
    for (size_t d = 0; d < entry.host.devices.size(); ++d) {
      Device device = entry.host.devices[d];
      const auto& holders = entry.holders[d];
      if (device.model != kind.model || device.memory != kind.memory ||
          !std::all_of(holders.begin(), holders.end(), lent))
        continue;
      if (holders.empty() && !device.idle()) continue;
      device.held = Path::any;
      if (!Cluster::open_to(entry.host, device, way)) continue;
      int place = 0;
      if (wish_.claim.topology == Topology::same_numa) place = device.numa;
      if (wish_.claim.topology == Topology::nvlink)
        place = device.island < 0 ? -2 - static_cast<int>(d) : device.island;
      devices.push_back({place, cost_of(Victims(holders.begin(), holders.end()), project_), d});
    }
    std::sort(devices.begin(), devices.end(), [](const Clearable& a, const Clearable& b) {
      return std::tie(a.place, a.cost, a.device) < std::tie(b.place, b.cost, b.device);
    });
    std::optional<Victims> best;
    for (size_t begin = 0; begin < devices.size();) {
      size_t end = begin;
      Victims victims;
      while (end < devices.size() && devices[end].place == devices[begin].place) {
        if (end - begin < number)
          victims.insert(entry.holders[devices[end].device].begin(), entry.holders[devices[end].device].end());
        ++end;
      }
      if (end - begin >= number && (!best || cost_of(victims, project_) < cost_of(*best, project_))) best = victims;
      begin = end;
    }
    return best;
  }

  void one_host(const Wish::Kind& kind, Path way, size_t number, std::optional<Plan>* best) const {
    size_t seen = 0;
    for (const Group* group : kind.groups) {
      const Shelves& shelves = group->clearable[index_of(way)][nearness_of(wish_.claim.topology)];
      for (size_t count = number; count <= shelves.top(); ++count) {
        for (HostEntry* host : shelves.at(count)) {
          if (++seen > kCandidates && *best) return;
          if (const auto victims = clear(*host, kind, way, number))
            keep_better(best, {{host}, *victims, cost_of(*victims, project_)});
        }
      }
    }
  }

  void many_hosts(const Wish::Kind& kind, Path way, size_t number, std::optional<Plan>* best) const {
    struct Candidate {
      HostEntry* host;
      size_t count;
      Cost cost;
    };
    std::vector<Candidate> candidates;
    std::set<const HostEntry*> seen;
    size_t sum = 0;
    for (const Group* group : kind.groups) {
      for (const Shelves* shelves :
           {&group->clearable[index_of(way)][0], &group->used[index_of(way)][0], &group->whole[index_of(way)][0]}) {
        for (size_t count = shelves->top(); count > 0; --count) {
          for (HostEntry* host : shelves->at(count)) {
            if (sum >= number && candidates.size() > kCandidates) break;
            if (!seen.insert(host).second) continue;
            const auto victims = clear(*host, kind, way, count);
            if (!victims) continue;
            sum += count;
            candidates.push_back({host, count, cost_of(*victims, project_)});
          }
        }
      }
    }
    if (sum < number) return;
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
      return std::tie(a.cost, a.host->host.id) < std::tie(b.cost, b.host->host.id);
    });
    Plan plan;
    size_t left = number;
    for (const Candidate& candidate : candidates) {
      if (left == 0) break;
      const size_t here = std::min(left, candidate.count);
      if (const auto victims = clear(*candidate.host, kind, way, here))
        plan.victims.insert(victims->begin(), victims->end());
      plan.hosts.push_back(candidate.host);
      left -= here;
    }
    plan.cost = cost_of(plan.victims, project_);
    keep_better(best, std::move(plan));
  }

  // A part of a GPU: of its lent parts, the youngest first until there is room.
  void part(const Wish::Kind& kind, std::optional<Plan>* best) const {
    const Need& need = kind.need[index_of(Path::network)];
    const auto least = static_cast<int>(std::min<int64_t>(need.share, need.memory * kWhole / kind.memory));
    size_t seen = 0;
    for (const Group* group : kind.groups) {
      for (auto gpu = group->reclaimable.lower_bound({least, nullptr, 0}); gpu != group->reclaimable.end(); ++gpu) {
        if (++seen > kCandidates && *best) return;
        cluster_.examine();
        const Device& device = gpu->host->host.devices[gpu->device];
        std::vector<const Lease*> loans;
        for (const Lease* lease : gpu->host->holders[gpu->device]) {
          if (lent(lease)) loans.push_back(lease);
        }
        std::sort(loans.begin(), loans.end(), [&](const Lease* a, const Lease* b) {
          const auto key = [&](const Lease* l) {
            return std::tuple(l->claim.project != project_, -l->granted.time_since_epoch().count(), l->id);
          };
          return key(a) < key(b);
        });
        Mib memory = device.memory_left;
        int share = device.share_left;
        Victims victims;
        for (const Lease* lease : loans) {
          if (memory >= need.memory && share >= need.share) break;
          for (const Held& held : lease->devices) {
            if (held.host != gpu->host->host.id || held.device != device.id) continue;
            memory += held.memory;
            share += held.share;
          }
          victims.insert(lease);
        }
        const bool by_passthrough =
            device.held == Path::passthrough && victims.size() != gpu->host->holders[gpu->device].size();
        if (memory < need.memory || share < need.share || by_passthrough) continue;
        keep_better(best, {{gpu->host}, victims, cost_of(victims, project_)});
      }
    }
  }

  const Cluster& cluster_;
  const Wish& wish_;
  const std::string& project_;
};

}  // namespace

bool Pool::take_back(Waiting& waiting, Actions& actions) {
  const auto plan = Reclaim(cluster_, waiting).best();
  if (!plan || plan->victims.empty()) return false;
  const Time by = now_ + policy_.grace;
  for (const Lease* victim : plan->victims) {
    Lease& lease = leases_.at(victim->id);
    end(lease);
    actions.push_back(TakenBack{lease.id, waiting.claim.id, by});
  }
  promise(waiting, plan->hosts, by, true);
  return true;
}

}  // namespace nm::pool
