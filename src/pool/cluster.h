// The hosts, on shelves. A pool of ten thousand GPUs may not be looked through for each decision, so every host stands,
// for each kind of GPU that it has, on the shelf of how many it could give: "three idle H200 in one NVLink island, for
// passthrough". The best host for a claim is then the first one on the lowest shelf that is high enough, and a claim
// for which no shelf is high enough has no room: nobody needs to be asked. GPUs of which a part is taken stand in order
// of what is left of them.
//
// A host that is reserved for a claim stands on no shelf.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "pool/host.h"
#include "pool/lease.h"

namespace nm::pool {

struct HostEntry;
struct ById {
  bool operator()(const HostEntry* a, const HostEntry* b) const;
};

inline constexpr Path kWays[] = {Path::network, Path::passthrough};
inline constexpr size_t index_of(Path way) { return way == Path::network ? 0 : 1; }
// Within a host, where `any` and `same_host` are the same.
inline constexpr size_t kNearnesses = 3;
inline constexpr size_t nearness_of(Topology topology) {
  return topology == Topology::same_numa ? 1 : topology == Topology::nvlink ? 2 : 0;
}

// Hosts by a count, in order of their ids.
class Shelves {
 public:
  using Shelf = std::set<HostEntry*, ById>;
  void put(HostEntry* host, size_t count);
  void take(HostEntry* host, size_t count);
  size_t top() const { return shelves_.empty() ? 0 : shelves_.size() - 1; }  // no host has more
  const Shelf& at(size_t count) const { return count < shelves_.size() ? shelves_[count] : kEmpty; }

 private:
  static const Shelf kEmpty;
  std::vector<Shelf> shelves_;
};

template <class T>
using ByWayAndNearness = std::array<std::array<T, kNearnesses>, 2>;

// A GPU of which a part is taken, over the network. `room` is the scarcer of memory and compute, thousandths.
struct OpenGpu {
  int room = 0;
  HostEntry* host = nullptr;
  size_t device = 0;
  bool operator<(const OpenGpu& other) const;
};

// GPUs of one model, size and the same labels of their hosts.
struct Group {
  std::string model;
  Mib memory = 0;
  std::map<std::string, std::string> labels;

  ByWayAndNearness<Shelves> used, whole;  // by idle GPUs: hosts with leases, and those without any
  ByWayAndNearness<Shelves> clearable;    // by GPUs that are idle or only lent; hosts that have a lent one
  ByWayAndNearness<Shelves> all;          // by GPUs, whatever their state
  std::array<int64_t, 2> idle{}, total{};
  std::set<OpenGpu> open;
  std::set<OpenGpu> reclaimable;                  // those with something lent, by the room if all that were taken back
  std::set<std::pair<Time, std::string>> drains;  // hosts that are in use, by when the last lease on them ends
};

// Where a host stands, for one group. Computed anew when anything on it changes.
struct Standing {
  Group* group = nullptr;
  bool whole = false;
  ByWayAndNearness<uint8_t> idle{}, clearable{}, all{};
  std::vector<OpenGpu> open, reclaimable;
  Time drained{};  // the epoch: nothing runs
};

struct HostEntry {
  Host host;                                       // with what is left
  std::vector<std::vector<const Lease*>> holders;  // of each device
  std::string reserved_for;                        // a claim's id
  std::vector<Standing> standings;

  bool reserved() const { return !reserved_for.empty(); }
};

class Cluster {
 public:
  Cluster() = default;
  Cluster(Cluster&&) = default;

  // Adds a host, or replaces what is known of one. `leases` are those that have devices on it; what is left of the
  // devices is computed from them. Without them it is taken as `host` says.
  void put(Host host);
  void put(Host host, const std::vector<const Lease*>& leases);
  void drop(const std::string& id);

  // Whether the lease's devices are there with so much left: the error names the device and who has it.
  Result<void> can_hold(const Lease& lease) const;
  void hold(const Lease* lease);     // which must outlive its release
  void release(const Lease* lease);  // devices of hosts that are gone are passed over
  void changed(const Lease* lease);  // lent no more, or ending

  void reserve(HostEntry& host, const std::string& claim);
  void unreserve(HostEntry& host);

  HostEntry* find(const std::string& id);
  const HostEntry* find(const std::string& id) const;
  const std::map<std::string, HostEntry>& hosts() const { return hosts_; }
  const std::map<std::string, std::unique_ptr<Group>>& groups() const { return groups_; }
  uint64_t group_epoch() const { return group_epoch_; }  // changes with the groups there are
  size_t reserved_count() const { return reserved_; }
  Snapshot snapshot() const;

  // The work of a decision: hosts looked at one by one.
  void examine() const { ++examined_; }
  uint64_t examined() const { return examined_; }

  // Whether the device can be part of a new lease by this way, as far as its state says.
  static bool open_to(const Host& host, const Device& device, Path way);

  // Sums, for reports; kept, not counted.
  int64_t share_total() const { return share_total_; }           // of all devices
  int64_t share_held() const { return share_held_; }             // taken by leases
  int64_t share_on_whole_hosts() const { return share_whole_; }  // idle, on wholly idle hosts
  int64_t share_idle() const { return share_idle_; }

 private:
  void remove(HostEntry& entry);
  void stand(HostEntry& entry);
  void account(const HostEntry& entry, int sign);
  Group* group_for(const Host& host, const Device& device);

  std::map<std::string, HostEntry> hosts_;
  std::map<std::string, std::unique_ptr<Group>> groups_;  // by a text of model, size and labels
  uint64_t group_epoch_ = 0;
  size_t reserved_ = 0;
  int64_t share_total_ = 0, share_held_ = 0, share_whole_ = 0, share_idle_ = 0;
  mutable uint64_t examined_ = 0;
};

// What of a device is left, in the scarcer of memory and compute.
int room(const Device& device);
// When the device's last lease ends: the epoch if it has none, kNever if one has no end.
Time free_at(const HostEntry& entry, size_t device);

}  // namespace nm::pool
