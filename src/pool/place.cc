#include "pool/place.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_set>

#include "pool/choose.h"
#include "pool/model_name.h"

namespace nm::pool {
namespace {

struct Spot {
  const HostEntry* host;
  std::vector<size_t> devices;
};

bool has_labels(const std::map<std::string, std::string>& has, const std::map<std::string, std::string>& wished) {
  return std::all_of(wished.begin(), wished.end(), [&](const auto& label) {
    const auto found = has.find(label.first);
    return found != has.end() && found->second == label.second;
  });
}

Grant granted(const Wish::Kind& kind, Path way, const std::vector<Spot>& spots) {
  Grant grant{.way = way};
  const Need& need = kind.need[index_of(way)];
  for (const Spot& spot : spots) {
    for (const size_t d : spot.devices) {
      grant.devices.push_back({spot.host->host.id, spot.host->host.devices[d].id, need.memory, need.share});
      grant.charge += need.charge(kind.memory);
    }
  }
  return grant;
}

// Looks for room for one kind of GPU by one way.
class Search {
 public:
  Search(const Cluster& cluster, const Wish& wish, const Wish::Kind& kind, Path way, Placement placement)
      : cluster_(cluster),
        wish_(wish),
        kind_(kind),
        way_(way),
        placement_(placement),
        near_(nearness_of(wish.claim.topology)) {
    for (const Group* group : kind.groups) {
      top_ = std::max({top_, used(*group).top(), whole(*group).top()});
    }
  }

  // On one host.
  std::vector<Spot> one_host(size_t number) {
    const Need& need = kind_.need[index_of(way_)];
    if (!need.whole && placement_ != Placement::spread) {
      if (auto spots = open_host(number); !spots.empty()) return spots;
    }
    if (auto spots = idle_host(number); !spots.empty()) return spots;
    if (!need.whole && placement_ == Placement::spread) return open_host(number);
    return {};
  }

  // On as few hosts as there must be: the fullest shelves first, and for what remains the best host.
  std::vector<Spot> many_hosts() {
    size_t left = static_cast<size_t>(wish_.claim.number);
    std::vector<Spot> spots;
    if (!kind_.need[index_of(way_)].whole) take_open(&left, &spots);
    int64_t idle = 0;
    for (const Group* group : kind_.groups) idle += group->idle[index_of(way_)];
    if (idle < static_cast<int64_t>(left)) return {};
    for (size_t count = top_; count > 0 && left > 0; --count) {
      for (const bool whole_ones : {false, true}) {
        for (const Group* group : kind_.groups) {
          for (const HostEntry* host : (whole_ones ? whole(*group) : used(*group)).at(count)) {
            if (left == 0) break;
            if (taken_.contains(host)) continue;
            if (count >= left) {
              auto last = idle_host(left);
              spots.insert(spots.end(), last.begin(), last.end());
              return last.empty() ? std::vector<Spot>{} : spots;
            }
            if (!try_host(host, std::min(left, count), &spots)) continue;
            left -= std::min(left, count);
          }
        }
      }
    }
    return left == 0 ? spots : std::vector<Spot>{};
  }

 private:
  const Shelves& used(const Group& group) const { return group.used[index_of(way_)][near_]; }
  const Shelves& whole(const Group& group) const { return group.whole[index_of(way_)][near_]; }

  bool try_host(const HostEntry* host, size_t number, std::vector<Spot>* spots) {
    cluster_.examine();
    auto devices = choose(*host, wish_, kind_, way_, number, placement_);
    if (devices.empty()) return false;
    taken_.insert(host);
    spots->push_back({host, std::move(devices)});
    return true;
  }

  // The first hosts of a shelf over all groups, in order of their ids.
  const HostEntry* first(size_t count, bool whole_ones) const {
    const HostEntry* first = nullptr;
    for (const Group* group : kind_.groups) {
      for (const HostEntry* host : (whole_ones ? whole(*group) : used(*group)).at(count)) {
        if (taken_.contains(host)) continue;
        if (!first || host->host.id < first->host.id) first = host;
        break;
      }
    }
    return first;
  }

  std::vector<Spot> idle_host(size_t number) {
    const auto in_order = [&](auto... passes) -> const HostEntry* {
      const HostEntry* host = nullptr;
      ((host = host ? host : passes()), ...);
      return host;
    };
    const auto lowest = [&](bool whole_ones) -> const HostEntry* {
      for (size_t count = number; count <= top_; ++count) {
        if (const HostEntry* host = first(count, whole_ones)) return host;
      }
      return nullptr;
    };
    const HostEntry* host = nullptr;
    switch (placement_) {
      case Placement::pack:
        host = in_order([&] { return lowest(false); }, [&] { return lowest(true); });
        break;
      case Placement::best_fit:
        for (size_t count = number; count <= top_ && !host; ++count)
          host = sooner(first(count, false), first(count, true));
        break;
      case Placement::spread:
        for (size_t count = top_; count >= number && count > 0 && !host; --count) {
          host = in_order([&] { return first(count, true); }, [&] { return first(count, false); });
        }
        break;
      case Placement::first_fit:
        for (size_t count = number; count <= top_; ++count)
          host = sooner(host, sooner(first(count, false), first(count, true)));
        break;
    }
    std::vector<Spot> spots;
    if (host) try_host(host, number, &spots);
    return spots;
  }

  static const HostEntry* sooner(const HostEntry* a, const HostEntry* b) {
    if (!a || !b) return a ? a : b;
    return a->host.id < b->host.id ? a : b;
  }

  // The least room in which the need can fit. With more memory than compute, or the other way round, not all of them
  // do.
  int least() const {
    const Need& need = kind_.need[index_of(way_)];
    return static_cast<int>(std::min<int64_t>(need.share, need.memory * kWhole / kind_.memory));
  }

  bool fits(const OpenGpu& gpu) const {
    const Need& need = kind_.need[index_of(way_)];
    const Device& device = gpu.host->host.devices[gpu.device];
    return device.memory_left >= need.memory && device.share_left >= need.share;
  }

  // GPUs of which a part is taken, those with the least room first (spreading: the most).
  std::vector<const OpenGpu*> open_gpus(size_t most) const {
    std::vector<const OpenGpu*> found;
    for (const Group* group : kind_.groups) {
      size_t here = 0;
      const auto consider = [&](const OpenGpu& gpu) {
        cluster_.examine();
        if (!fits(gpu)) return true;
        found.push_back(&gpu);
        return ++here < most;
      };
      if (placement_ == Placement::spread) {
        for (auto gpu = group->open.rbegin(); gpu != group->open.rend() && gpu->room >= least(); ++gpu) {
          if (!consider(*gpu)) break;
        }
      } else {
        for (auto gpu = group->open.lower_bound({least(), nullptr, 0}); gpu != group->open.end(); ++gpu) {
          if (!consider(*gpu)) break;
        }
      }
    }
    std::stable_sort(found.begin(), found.end(), [&](const OpenGpu* a, const OpenGpu* b) {
      return placement_ == Placement::spread      ? a->room > b->room
             : placement_ == Placement::first_fit ? a->host->host.id < b->host->host.id
                                                  : *a < *b;
    });
    return found;
  }

  std::vector<Spot> open_host(size_t number) {
    if (way_ != Path::network) return {};
    std::vector<Spot> spots;
    const size_t most = number == 1 && placement_ != Placement::first_fit ? 1 : SIZE_MAX;
    std::unordered_set<const HostEntry*> seen;
    for (const OpenGpu* gpu : open_gpus(most)) {
      if (seen.insert(gpu->host).second && try_host(gpu->host, number, &spots)) return spots;
    }
    return {};
  }

  // Hosts that have open GPUs, with all that serve there.
  void take_open(size_t* left, std::vector<Spot>* spots) {
    if (way_ != Path::network) return;
    for (const OpenGpu* gpu : open_gpus(*left)) {
      if (*left == 0 || taken_.contains(gpu->host)) continue;
      const size_t here = std::min(*left, count_fitting(*gpu->host, kind_, way_));
      if (try_host(gpu->host, here, spots)) *left -= here;
    }
  }

  const Cluster& cluster_;
  const Wish& wish_;
  const Wish::Kind& kind_;
  const Path way_;
  const Placement placement_;
  const size_t near_;
  size_t top_ = 0;
  std::unordered_set<const HostEntry*> taken_;
};

}  // namespace

Shape::Shape(const Claim& claim)
    : number(claim.number),
      model(claim.model),
      memory(claim.memory),
      share(claim.share),
      path(claim.path),
      topology(claim.number == 1 ? Topology::any : claim.topology),
      labels(claim.labels) {}

Claim Shape::claim() const {
  Claim claim;
  claim.number = number;
  claim.model = model;
  claim.memory = memory;
  claim.share = share;
  claim.path = path;
  claim.topology = topology;
  claim.labels = labels;
  return claim;
}

bool operator<(const Shape& a, const Shape& b) {
  const auto key = [](const Shape& s) {
    return std::tie(s.number, s.model, s.memory.mib, s.memory.thousandths, s.share, s.path, s.topology, s.labels);
  };
  return key(a) < key(b);
}

Wish::Wish(const Shape& shape, const Cluster& cluster) : claim(shape.claim()), epoch(cluster.group_epoch()) {
  for (const auto& [key, group] : cluster.groups()) {
    if (!names_model(claim.model, group->model) || !has_labels(group->labels, claim.labels)) continue;
    Kind wanted{.model = group->model, .memory = group->memory};
    for (const Path way : kWays) {
      if (claim.path != Path::any && claim.path != way) continue;
      wanted.ways[index_of(way)] = suffices(claim, group->memory, way);
      wanted.need[index_of(way)] = need_on(claim, group->memory, way);
    }
    if (!wanted.ways[0] && !wanted.ways[1]) continue;
    const auto same = [&](const Kind& kind) { return kind.model == group->model && kind.memory == group->memory; };
    auto kind = std::find_if(kinds.begin(), kinds.end(), same);
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), std::move(wanted));
    kind->groups.push_back(group.get());
    for (const Path way : kWays) {
      if (kind->ways[index_of(way)]) {
        most_charge = std::max(most_charge, int64_t{claim.number} * kind->need[index_of(way)].charge(kind->memory));
      }
    }
  }
  if (kinds.empty()) most_charge = int64_t{claim.number} * kWhole;
  std::sort(kinds.begin(), kinds.end(),
            [](const Kind& a, const Kind& b) { return std::tie(a.memory, a.model) < std::tie(b.memory, b.model); });
}

std::optional<Grant> find_room_on(const Cluster& cluster, const Wish& wish, const std::vector<const HostEntry*>& hosts,
                                  Placement placement) {
  const auto number = static_cast<size_t>(wish.claim.number);
  for (const Path way : kWays) {
    for (const Wish::Kind& kind : wish.kinds) {
      if (!kind.ways[index_of(way)]) continue;
      std::vector<Spot> spots;
      size_t left = number;
      for (const HostEntry* host : hosts) {
        cluster.examine();
        if (!has_labels(host->host.labels, wish.claim.labels)) continue;
        if (auto devices = choose(*host, wish, kind, way, number, placement); !devices.empty()) {
          return granted(kind, way, {{host, std::move(devices)}});
        }
        const size_t here = std::min(left, count_fitting(*host, kind, way));
        if (wish.claim.topology == Topology::any && here > 0) {
          spots.push_back({host, choose(*host, wish, kind, way, here, placement)});
          left -= here;
        }
      }
      if (left == 0) return granted(kind, way, spots);
    }
  }
  return std::nullopt;
}

std::optional<Grant> find_room(const Cluster& cluster, const Wish& wish, const std::string& client_host,
                               Placement placement) {
  const auto number = static_cast<size_t>(wish.claim.number);
  const HostEntry* own = client_host.empty() ? nullptr : cluster.find(client_host);
  if (own && !own->reserved() && has_labels(own->host.labels, wish.claim.labels)) {
    for (const Path way : kWays) {
      for (const Wish::Kind& kind : wish.kinds) {
        if (!kind.ways[index_of(way)]) continue;
        cluster.examine();
        auto devices = choose(*own, wish, kind, way, number, placement);
        if (!devices.empty()) return granted(kind, way, {{own, std::move(devices)}});
      }
    }
  }
  for (const bool across : {false, true}) {
    if (across && (wish.claim.topology != Topology::any || number == 1)) break;
    for (const Path way : kWays) {
      for (const Wish::Kind& kind : wish.kinds) {
        if (!kind.ways[index_of(way)]) continue;
        Search search(cluster, wish, kind, way, placement);
        const auto spots = across ? search.many_hosts() : search.one_host(number);
        if (!spots.empty()) return granted(kind, way, spots);
      }
    }
  }
  return std::nullopt;
}

Answer place(const Snapshot& snapshot, const Claim& claim, const Policy& policy) {
  if (const auto good = check(claim); !good) return Refuse{good.error().message};
  Cluster cluster;
  for (const Host& host : snapshot) {
    if (const auto good = check(host); !good) return Refuse{good.error().message};
    cluster.put(host);
  }
  const Wish wish(Shape(claim), cluster);
  if (auto never = refuse(cluster, wish)) return *never;
  if (auto grant = find_room(cluster, wish, claim.client_host, policy.placement)) return *grant;
  return explain(cluster, wish);
}

}  // namespace nm::pool
