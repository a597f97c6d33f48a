#include "pool/cluster.h"

#include <fmt/format.h>

#include <algorithm>

namespace nm::pool {

const Shelves::Shelf Shelves::kEmpty;

bool ById::operator()(const HostEntry* a, const HostEntry* b) const { return a->host.id < b->host.id; }

bool OpenGpu::operator<(const OpenGpu& other) const {
  if (room != other.room) return room < other.room;
  if (host != other.host) return !host || (other.host && host->host.id < other.host->host.id);  // none: before all
  return device < other.device;
}

void Shelves::put(HostEntry* host, size_t count) {
  if (count == 0) return;
  if (shelves_.size() <= count) shelves_.resize(count + 1);
  shelves_[count].insert(host);
}

void Shelves::take(HostEntry* host, size_t count) {
  if (count == 0) return;
  shelves_[count].erase(host);
  while (!shelves_.empty() && shelves_.back().empty()) shelves_.pop_back();
}

int room(const Device& device) {
  return static_cast<int>(std::min<int64_t>(device.share_left, device.memory_left * kWhole / device.memory));
}

Time free_at(const HostEntry& entry, size_t device) {
  Time latest{};
  for (const Lease* lease : entry.holders[device])
    latest = std::max(latest, lease->ending ? lease->granted : lease->until);
  return latest;
}

bool Cluster::open_to(const Host& host, const Device& device, Path way) {
  if (host.draining || device.state != Device::State::ready) return false;
  return way == Path::network ? device.network && device.held != Path::passthrough
                              : device.passthrough && device.idle();
}

HostEntry* Cluster::find(const std::string& id) {
  const auto found = hosts_.find(id);
  return found == hosts_.end() ? nullptr : &found->second;
}

const HostEntry* Cluster::find(const std::string& id) const { return const_cast<Cluster*>(this)->find(id); }

Group* Cluster::group_for(const Host& host, const Device& device) {
  std::string key = fmt::format("{}\n{}", device.model, device.memory);
  for (const auto& [name, value] : host.labels) key += fmt::format("\n{}\n{}", name, value);
  auto& group = groups_[key];
  if (!group) {
    group = std::make_unique<Group>(Group{.model = device.model, .memory = device.memory, .labels = host.labels});
    ++group_epoch_;
  }
  return group.get();
}

void Cluster::put(Host host) { put(std::move(host), {}); }

void Cluster::put(Host host, const std::vector<const Lease*>& leases) {
  HostEntry& entry = hosts_[host.id];
  if (!entry.host.id.empty()) remove(entry);
  entry.host = std::move(host);
  entry.holders.assign(entry.host.devices.size(), {});
  entry.standings.clear();
  for (const Device& device : entry.host.devices) {
    Group* group = group_for(entry.host, device);
    const auto same = [&](const Standing& standing) { return standing.group == group; };
    if (std::none_of(entry.standings.begin(), entry.standings.end(), same)) entry.standings.push_back({.group = group});
  }
  // On no shelf and with nothing held, from here.
  account(entry, 1);
  stand(entry);
  for (const Lease* lease : leases) hold(lease);
}

void Cluster::drop(const std::string& id) {
  const auto found = hosts_.find(id);
  if (found == hosts_.end()) return;
  if (found->second.reserved()) --reserved_;
  remove(found->second);
  hosts_.erase(found);
}

Result<void> Cluster::can_hold(const Lease& lease) const {
  for (const Held& held : lease.devices) {
    const HostEntry* entry = find(held.host);
    const Device* device = entry ? entry->host.find(held.device) : nullptr;
    if (!device)
      return Error{fmt::format("Lease {} has device {} of host {}, which is not in the pool.", lease.id, held.device,
                               held.host)};
    const auto& holders = entry->holders[static_cast<size_t>(device - entry->host.devices.data())];
    const bool other_way = !device->idle() && device->held != lease.path;
    const bool alone = lease.path == Path::passthrough && !device->idle();
    if (other_way || alone || device->memory_left < held.memory || device->share_left < held.share) {
      return Error{fmt::format("Lease {} cannot have device {} of host {}: lease {} has it. End one of them.", lease.id,
                               held.device, held.host, holders.empty() ? "(unknown)" : holders.back()->id)};
    }
  }
  return {};
}

namespace {

// The devices of a lease, host by host: `each` is called once for each host that is there.
template <class Each>
void for_hosts(std::map<std::string, HostEntry>& hosts, const Lease& lease, Each each) {
  for (size_t i = 0; i < lease.devices.size();) {
    size_t end = i;
    while (end < lease.devices.size() && lease.devices[end].host == lease.devices[i].host) ++end;
    const auto found = hosts.find(lease.devices[i].host);
    if (found != hosts.end()) each(found->second, i, end);
    i = end;
  }
}

}  // namespace

void Cluster::hold(const Lease* lease) {
  for_hosts(hosts_, *lease, [&](HostEntry& entry, size_t begin, size_t end) {
    account(entry, -1);
    for (size_t i = begin; i < end; ++i) {
      const Held& held = lease->devices[i];
      for (size_t d = 0; d < entry.host.devices.size(); ++d) {
        Device& device = entry.host.devices[d];
        if (device.id != held.device) continue;
        if (std::find(entry.holders[d].begin(), entry.holders[d].end(), lease) != entry.holders[d].end()) continue;
        device.memory_left = std::max<Mib>(0, device.memory_left - held.memory);
        device.share_left = std::max(0, device.share_left - held.share);
        device.held = lease->path;
        entry.holders[d].push_back(lease);
      }
    }
    account(entry, 1);
    stand(entry);
  });
}

void Cluster::release(const Lease* lease) {
  for_hosts(hosts_, *lease, [&](HostEntry& entry, size_t begin, size_t end) {
    account(entry, -1);
    for (size_t i = begin; i < end; ++i) {
      const Held& held = lease->devices[i];
      for (size_t d = 0; d < entry.host.devices.size(); ++d) {
        Device& device = entry.host.devices[d];
        auto& holders = entry.holders[d];
        const auto found = std::find(holders.begin(), holders.end(), lease);
        if (device.id != held.device || found == holders.end()) continue;
        holders.erase(found);
        device.memory_left = std::min(device.memory, device.memory_left + held.memory);
        device.share_left = std::min(kWhole, device.share_left + held.share);
        if (!holders.empty()) continue;
        device.held = Path::any;
        device.memory_left = device.memory;
        device.share_left = kWhole;
      }
    }
    account(entry, 1);
    stand(entry);
  });
}

void Cluster::changed(const Lease* lease) {
  for_hosts(hosts_, *lease, [&](HostEntry& entry, size_t, size_t) { stand(entry); });
}

void Cluster::reserve(HostEntry& host, const std::string& claim) {
  if (!host.reserved()) ++reserved_;
  host.reserved_for = claim;
  stand(host);
}

void Cluster::unreserve(HostEntry& host) {
  if (!host.reserved()) return;
  --reserved_;
  host.reserved_for.clear();
  stand(host);
}

Snapshot Cluster::snapshot() const {
  Snapshot hosts;
  hosts.reserve(hosts_.size());
  for (const auto& [id, entry] : hosts_) hosts.push_back(entry.host);
  return hosts;
}

void Cluster::account(const HostEntry& entry, int sign) {
  bool whole = true;
  int64_t idle = 0;
  for (const Device& device : entry.host.devices) {
    whole = whole && device.idle();
    const bool taken_whole = device.held == Path::passthrough;
    share_total_ += sign * kWhole;
    share_held_ += sign * (taken_whole ? kWhole : kWhole - device.share_left);
    if (device.state == Device::State::ready && !entry.host.draining && !taken_whole) idle += device.share_left;
  }
  share_idle_ += sign * idle;
  if (whole) share_whole_ += sign * idle;
}

namespace {

// The most devices in one place: on the host, in one NUMA node, in one island. Hosts have few of either.
class Places {
 public:
  void add(const Device& device) {
    ++host_;
    numa_most_ = std::max(numa_most_, ++slot(numa_, device.numa));
    // A GPU that is linked with nobody is an island of one.
    island_most_ = std::max<uint8_t>(island_most_, device.island < 0 ? 1 : ++slot(islands_, device.island));
  }
  std::array<uint8_t, kNearnesses> most() const { return {host_, numa_most_, island_most_}; }

 private:
  struct Count {
    int key = 0;
    uint8_t count = 0;
  };
  using Counts = std::array<Count, kMostDevices>;
  uint8_t& slot(Counts& counts, int key) {
    size_t i = 0;
    while (counts[i].count != 0 && counts[i].key != key) ++i;
    counts[i].key = key;
    return counts[i].count;
  }
  Counts numa_{}, islands_{};
  uint8_t host_ = 0, numa_most_ = 0, island_most_ = 0;
};

template <class Each>
void for_shelves(Standing& standing, Each each) {
  Group& group = *standing.group;
  for (size_t way = 0; way < 2; ++way) {
    for (size_t near = 0; near < kNearnesses; ++near) {
      each(standing.whole ? group.whole[way][near] : group.used[way][near], standing.idle[way][near]);
      each(group.clearable[way][near], standing.clearable[way][near]);
      each(group.all[way][near], standing.all[way][near]);
    }
  }
}

Standing computed(HostEntry& entry, Group* group, bool whole) {
  Standing now{.group = group, .whole = whole};
  std::array<Places, 2> idle, clearable, all;
  bool has_lent = false;
  for (size_t d = 0; d < entry.host.devices.size(); ++d) {
    const Device& device = entry.host.devices[d];
    if (device.model != group->model || device.memory != group->memory) continue;
    if (device.network) all[0].add(device);
    if (device.passthrough) all[1].add(device);
    now.drained = std::max(now.drained, free_at(entry, d));
    if (entry.reserved()) continue;
    for (const Path way : kWays) {
      if (device.idle() && Cluster::open_to(entry.host, device, way)) idle[index_of(way)].add(device);
    }
    const bool network = Cluster::open_to(entry.host, device, Path::network);
    if (network && !device.idle() && room(device) > 0) now.open.push_back({room(device), &entry, d});
    // What could be had by taking back. A lease that is ending already gives its room anyway, to whom it was promised.
    int lent = 0;
    bool clear = true;
    Device cleared = device;
    for (const Lease* lease : entry.holders[d]) {
      if (!lease->borrowed || lease->ending) {
        clear = false;
        continue;
      }
      ++lent;
      for (const Held& held : lease->devices) {
        if (held.device != device.id || held.host != entry.host.id) continue;
        cleared.memory_left += held.memory;
        cleared.share_left += held.share;
      }
    }
    if (lent > 0 && clear) {
      cleared.held = Path::any;
      cleared.share_left = kWhole;
      cleared.memory_left = cleared.memory;
    }
    if (clear) {
      for (const Path way : kWays) {
        if (Cluster::open_to(entry.host, cleared, way)) clearable[index_of(way)].add(device);
      }
    }
    has_lent = has_lent || lent > 0;
    if (lent > 0 && Cluster::open_to(entry.host, cleared, Path::network))
      now.reclaimable.push_back({room(cleared), &entry, d});
  }
  for (size_t way = 0; way < 2; ++way) {
    now.idle[way] = idle[way].most();
    now.all[way] = all[way].most();
    if (has_lent) now.clearable[way] = clearable[way].most();
  }
  return now;
}

}  // namespace

void Cluster::remove(HostEntry& entry) {
  account(entry, -1);
  for (Standing& standing : entry.standings) {
    Group& group = *standing.group;
    for_shelves(standing, [&](Shelves& shelves, size_t count) { shelves.take(&entry, count); });
    for (const OpenGpu& gpu : standing.open) group.open.erase(gpu);
    for (const OpenGpu& gpu : standing.reclaimable) group.reclaimable.erase(gpu);
    if (standing.drained != Time{}) group.drains.erase({standing.drained, entry.host.id});
    for (size_t way = 0; way < 2; ++way) {
      group.idle[way] -= standing.idle[way][0];
      group.total[way] -= standing.all[way][0];
    }
    standing = {.group = &group};
  }
}

// From where the host stood to where it stands now: of the shelves only those that changed are touched.
void Cluster::stand(HostEntry& entry) {
  const bool whole =
      std::all_of(entry.host.devices.begin(), entry.host.devices.end(), [](const Device& d) { return d.idle(); });
  for (Standing& was : entry.standings) {
    Group& group = *was.group;
    Standing now = computed(entry, &group, whole);
    if (entry.reserved()) now.drained = {};
    for (size_t way = 0; way < 2; ++way) {
      for (size_t near = 0; near < kNearnesses; ++near) {
        const auto move = [&](Shelves& from, size_t old_count, Shelves& to, size_t count) {
          if (&from == &to && old_count == count) return;
          from.take(&entry, old_count);
          to.put(&entry, count);
        };
        const auto idle = [&](bool whole_host) -> Shelves& {
          return whole_host ? group.whole[way][near] : group.used[way][near];
        };
        move(idle(was.whole), was.idle[way][near], idle(now.whole), now.idle[way][near]);
        move(group.clearable[way][near], was.clearable[way][near], group.clearable[way][near],
             now.clearable[way][near]);
        move(group.all[way][near], was.all[way][near], group.all[way][near], now.all[way][near]);
      }
      group.idle[way] += now.idle[way][0] - was.idle[way][0];
      group.total[way] += now.all[way][0] - was.all[way][0];
    }
    for (const OpenGpu& gpu : was.open) group.open.erase(gpu);
    for (const OpenGpu& gpu : was.reclaimable) group.reclaimable.erase(gpu);
    group.open.insert(now.open.begin(), now.open.end());
    group.reclaimable.insert(now.reclaimable.begin(), now.reclaimable.end());
    if (was.drained != now.drained) {
      if (was.drained != Time{}) group.drains.erase({was.drained, entry.host.id});
      if (now.drained != Time{}) group.drains.insert({now.drained, entry.host.id});
    }
    was = std::move(now);
  }
}

}  // namespace nm::pool
