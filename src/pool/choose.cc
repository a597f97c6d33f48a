#include "pool/choose.h"

#include <algorithm>
#include <tuple>

namespace nm::pool {
namespace {

bool fits(const HostEntry& entry, const Device& device, const Wish::Kind& kind, Path way) {
  if (device.model != kind.model || device.memory != kind.memory || !Cluster::open_to(entry.host, device, way))
    return false;
  const Need& need = kind.need[index_of(way)];
  if (need.whole) return device.idle();
  return device.memory_left >= need.memory && device.share_left >= need.share;
}

using Part = std::vector<size_t>;  // device indices

// The devices by island or NUMA node. A device that is linked with nobody is an island of its own.
std::vector<Part> parts(const Host& host, const Part& of, int Device::*place) {
  std::vector<std::pair<int, Part>> found;
  for (const size_t d : of) {
    const int key = host.devices[d].*place;
    const bool alone = place == &Device::island && key < 0;
    auto part = std::find_if(found.begin(), found.end(), [&](const auto& p) { return !alone && p.first == key; });
    if (part == found.end()) part = found.insert(found.end(), {alone ? -2 - static_cast<int>(d) : key, {}});
    part->second.push_back(d);
  }
  std::vector<Part> result;
  for (auto& [key, part] : found) result.push_back(std::move(part));
  return result;
}

class Chooser {
 public:
  Chooser(const HostEntry& entry, size_t number, Placement placement)
      : host_(entry.host), number_(number), placement_(placement) {}

  // The part that serves best: packing, the one in which the fewest idle GPUs are broken into and the least is left
  // over.
  const Part* best(const std::vector<Part>& parts) const {
    const Part* best = nullptr;
    for (const Part& part : parts) {
      if (part.size() >= number_ && (!best || rank(part) < rank(*best))) best = &part;
    }
    return best;
  }

  // Within a part of which any devices will do: from one island or, failing that, one node; else from as few as
  // possible.
  Part take(const Part& part) const {
    for (const auto place : {&Device::island, &Device::numa}) {
      const auto smaller = parts(host_, part, place);
      if (smaller.size() < 2) continue;
      if (const Part* one = best(smaller)) return place == &Device::island ? first(*one) : take_across(*one);
    }
    return take_across(part);
  }

 private:
  bool idle(size_t d) const { return host_.devices[d].idle(); }
  bool spread() const { return placement_ == Placement::spread; }

  std::tuple<int64_t, int64_t, size_t> rank(const Part& part) const {
    const auto open = static_cast<int64_t>(std::count_if(part.begin(), part.end(), [&](size_t d) { return !idle(d); }));
    const int64_t broken = std::max<int64_t>(0, static_cast<int64_t>(number_) - open);
    const auto size = static_cast<int64_t>(part.size());
    // The fullest open GPU decides where parts of GPUs go, when the parts are alike otherwise.
    int least = kWhole;
    for (const size_t d : part) {
      if (!idle(d)) least = std::min(least, room(host_.devices[d]));
    }
    return spread() ? std::tuple(-broken, -size, part[0]) : std::tuple(broken, broken > 0 ? size : least, part[0]);
  }

  Part first(Part part) const {
    std::sort(part.begin(), part.end(), [&](size_t a, size_t b) {
      const auto key = [&](size_t d) {
        const int left = room(host_.devices[d]);
        return spread() ? std::tuple(!idle(d), -left, d) : std::tuple(idle(d), left, d);
      };
      return key(a) < key(b);
    });
    part.resize(number_);
    std::sort(part.begin(), part.end());
    return part;
  }

  // The largest islands first, so that few are needed.
  Part take_across(const Part& part) const {
    auto islands = parts(host_, part, &Device::island);
    if (const Part* one = best(islands)) return first(*one);
    std::stable_sort(islands.begin(), islands.end(), [](const Part& a, const Part& b) { return a.size() > b.size(); });
    Part order;
    for (const Part& island : islands) {
      if (order.size() < number_) order.insert(order.end(), island.begin(), island.end());
    }
    // Devices of which a part is taken go before idle ones, wherever they are linked.
    if (!spread()) std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return idle(a) < idle(b); });
    order.resize(number_);
    std::sort(order.begin(), order.end());
    return order;
  }

  const Host& host_;
  const size_t number_;
  const Placement placement_;
};

}  // namespace

size_t count_fitting(const HostEntry& entry, const Wish::Kind& kind, Path way) {
  return static_cast<size_t>(std::count_if(entry.host.devices.begin(), entry.host.devices.end(),
                                           [&](const Device& device) { return fits(entry, device, kind, way); }));
}

std::vector<size_t> choose(const HostEntry& entry, const Wish& wish, const Wish::Kind& kind, Path way, size_t number,
                           Placement placement) {
  Part fitting;
  for (size_t d = 0; d < entry.host.devices.size(); ++d) {
    if (fits(entry, entry.host.devices[d], kind, way)) fitting.push_back(d);
  }
  if (number == 0 || fitting.size() < number) return {};
  const Chooser chooser(entry, number, placement);
  std::vector<Part> allowed;
  switch (wish.claim.topology) {
    case Topology::same_numa:
      allowed = parts(entry.host, fitting, &Device::numa);
      break;
    case Topology::nvlink:
      allowed = parts(entry.host, fitting, &Device::island);
      break;
    default:
      allowed = {fitting};
  }
  const Part* part = chooser.best(allowed);
  return part ? chooser.take(*part) : Part{};
}

}  // namespace nm::pool
