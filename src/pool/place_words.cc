// Why a claim has no room, and why it never will: sentences for whoever wrote it.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "pool/model_name.h"
#include "pool/place.h"

namespace nm::pool {
namespace {

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string in_words(int64_t count) { return count == 1 ? "1 GPU" : fmt::format("{} GPUs", count); }

// The most that any one host, or all together, could give if everything were idle.
struct Bounds {
  int64_t on_one_host = 0, in_all = 0;
};
Bounds bounds(const Wish& wish) {
  Bounds most;
  const size_t near = nearness_of(wish.claim.topology);
  for (const Wish::Kind& kind : wish.kinds) {
    for (size_t way = 0; way < 2; ++way) {
      if (!kind.ways[way]) continue;
      int64_t sum = 0;
      for (const Group* group : kind.groups) {
        most.on_one_host = std::max<int64_t>(most.on_one_host, group->all[way][near].top());
        sum += group->total[way];
      }
      most.in_all = std::max(most.in_all, sum);
    }
  }
  return most;
}

Refuse no_such_model(const std::string& said, const std::set<std::string>& known) {
  const std::vector<std::string> all(known.begin(), known.end());
  const auto nearest = nearest_models(said, all);
  const std::vector<std::string> some(all.begin(), all.begin() + static_cast<long>(std::min<size_t>(all.size(), 5)));
  return {fmt::format("No host of the pool has a GPU of model \"{}\". {}: {}.", said,
                      nearest.empty() ? "There are" : "The nearest are", listed(nearest.empty() ? some : nearest))};
}

}  // namespace

Wait explain(const Cluster& cluster, const Wish& wish) {
  Missing missing{.wished = wish.claim.number};
  const size_t near = nearness_of(wish.claim.topology);
  int most_left = 0;
  bool part = false;
  for (const Wish::Kind& kind : wish.kinds) {
    for (size_t way = 0; way < 2; ++way) {
      if (!kind.ways[way]) continue;
      part = part || !kind.need[way].whole;
      int64_t sum = 0;
      for (const Group* group : kind.groups) {
        missing.on_one_host =
            std::max<int64_t>({missing.on_one_host, static_cast<int64_t>(group->used[way][near].top()),
                               static_cast<int64_t>(group->whole[way][near].top())});
        sum += group->idle[way];
        if (!group->open.empty()) most_left = std::max(most_left, group->open.rbegin()->room);
      }
      missing.in_all = std::max(missing.in_all, sum);
    }
  }
  std::string reason;
  if (bounds(wish).in_all == 0) {
    reason = cluster.hosts().empty() ? "No host has joined the pool yet" : "No host that is there now has such a GPU";
  } else if (part && wish.claim.number == 1) {
    reason = fmt::format("No GPU has room for {}: of none is more left than {}", describe(wish.claim),
                         print_share(most_left));
  } else {
    reason = fmt::format("There is no room for {}: one host can give {} now, all together {}", describe(wish.claim),
                         in_words(missing.on_one_host), in_words(missing.in_all));
  }
  if (const size_t kept = cluster.reserved_count()) {
    reason += fmt::format("; {} kept for claims whose turn it is",
                          kept == 1 ? "1 host is" : fmt::format("{} hosts are", kept));
  }
  return {reason + ".", missing};
}

std::optional<Refuse> refuse(const Cluster& cluster, const Wish& wish) {
  const Claim& claim = wish.claim;
  std::set<std::string> known;
  Mib largest = 0;
  bool named = false, labelled = false;
  for (const auto& [key, group] : cluster.groups()) {
    if (group->total[0] + group->total[1] == 0) continue;
    known.insert(group->model);
    if (!names_model(claim.model, group->model)) continue;
    named = true;
    const auto has = [&](const auto& label) {
      const auto found = group->labels.find(label.first);
      return found != group->labels.end() && found->second == label.second;
    };
    if (!std::all_of(claim.labels.begin(), claim.labels.end(), has)) continue;
    labelled = true;
    largest = std::max(largest, group->memory);
  }
  if (known.empty()) return std::nullopt;  // hosts may still be joining
  if (!named) return no_such_model(claim.model, known);
  const std::string what = claim.model.empty() ? "GPU" : claim.model;
  if (!labelled) {
    std::string labels;
    for (const auto& [name, value] : claim.labels)
      labels += fmt::format("{}{}={}", labels.empty() ? "" : ", ", name, value);
    return Refuse{fmt::format("No host with {} has the labels {}. Ask for fewer of them.", what, labels)};
  }
  if (wish.kinds.empty()) {
    return Refuse{fmt::format("No {} of the pool has {} of memory: {} is the most. Ask for less.", what,
                              print(claim.memory), print(Memory{.mib = largest}))};
  }
  const Bounds most = bounds(wish);
  if (most.in_all == 0) {
    return Refuse{fmt::format("No host hands over {} by {}. Leave the path out, or ask for another model.", what,
                              word(claim.path))};
  }
  const int64_t possible = claim.topology == Topology::any ? most.in_all : most.on_one_host;
  if (claim.number > possible) {
    return Refuse{fmt::format("{} is more than the pool has: {} {}. Ask for fewer{}.", describe(claim), possible,
                              claim.topology == Topology::any ? "in all" : "is the most so near to each other",
                              claim.topology == Topology::any ? "" : ", or leave out how near they are to be")};
  }
  return std::nullopt;
}

}  // namespace nm::pool
