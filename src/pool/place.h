// Where a claim goes. A pure function of what there is, what is wished and what the owner prefers; nothing here knows
// time, projects or who waits (pool.h).
//
// In order: the client's own host, if it has room (shared memory is faster than any network); then GPUs with the least
// memory that suffices, so that small claims leave the big models alone; then, packing, GPUs of which a part is taken
// already, hosts that are in use already with the fewest idle GPUs, and whole hosts last, the smallest first. On the
// host, the smallest NVLink island and NUMA node that suffice. Only where no host has room, and the claim allows it,
// several hosts, as few as possible.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pool/cluster.h"
#include "pool/policy.h"

namespace nm::pool {

struct Grant {
  Path way = Path::network;
  std::vector<Held> devices;  // those of a host stand together
  int64_t charge = 0;
  bool operator==(const Grant&) const = default;
};

// What is missing: what the claim wishes, the most that one host could give of it now, and all hosts together.
struct Missing {
  int64_t wished = 0, on_one_host = 0, in_all = 0;
  bool operator==(const Missing&) const = default;
};
struct Wait {
  std::string reason;  // a sentence
  Missing missing;
  bool operator==(const Wait&) const = default;
};
// The pool, as it is, can never grant this, however long it waits.
struct Refuse {
  std::string sentence;
  bool operator==(const Refuse&) const = default;
};
using Answer = std::variant<Grant, Wait, Refuse>;

Answer place(const Snapshot& snapshot, const Claim& claim, const Policy& policy);

// --- the same in pieces, for those who keep a Cluster

// All of a claim that says where it can go. Claims of one shape have room or have none together.
struct Shape {
  int number = 1;
  std::string model;
  Memory memory;
  int share = 0;
  Path path = Path::any;
  Topology topology = Topology::any;
  std::map<std::string, std::string> labels;

  explicit Shape(const Claim& claim);
  Claim claim() const;  // one of this shape
  friend bool operator<(const Shape& a, const Shape& b);
};

// A shape and the GPUs of a cluster that can serve it, the smallest first.
struct Wish {
  struct Kind {
    std::string model;
    Mib memory = 0;
    std::array<bool, 2> ways{};  // by which it suffices
    std::array<Need, 2> need{};
    std::vector<Group*> groups;
  };
  Claim claim;
  std::vector<Kind> kinds;
  int64_t most_charge = 0;  // of any grant
  uint64_t epoch = 0;       // of the groups that were looked at

  Wish(const Shape& shape, const Cluster& cluster);
};

std::optional<Grant> find_room(const Cluster& cluster, const Wish& wish, const std::string& client_host,
                               Placement placement);
// The same, but on these hosts only, reserved or not.
std::optional<Grant> find_room_on(const Cluster& cluster, const Wish& wish, const std::vector<const HostEntry*>& hosts,
                                  Placement placement);

Wait explain(const Cluster& cluster, const Wish& wish);
std::optional<Refuse> refuse(const Cluster& cluster, const Wish& wish);

}  // namespace nm::pool
