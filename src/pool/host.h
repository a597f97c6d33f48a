// What there is to be granted: hosts with devices, as each host's daemon last told, and what the leases have left of
// them. Values; the pool keeps its own, indexed, in cluster.h.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "pool/claim.h"

namespace nm::pool {

struct Device {
  // `attached`: in a guest without the pool's doing. `quarantined`: somebody, or a failed health check, has taken it
  // out. `lost`: it does not answer. Leases that a device has stay; it gets no new ones.
  enum class State { ready, attached, quarantined, lost };

  std::string id;     // UUID or PCI address, unique on its host
  std::string model;  // "NVIDIA H200"
  Mib memory = 0;
  int numa = -1;    // -1: not known; all such of a host count as one node
  int island = -1;  // NVLink-connected with the others of this number on its host; -1: with none
  State state = State::ready;
  bool network = true, passthrough = false;  // the ways by which this host can hand it over

  // What leases have left.
  Mib memory_left = 0;
  int share_left = kWhole;
  Path held = Path::any;  // by which way leases have it; any: none has

  bool idle() const { return held == Path::any; }
  bool operator==(const Device&) const = default;
};

struct Host {
  std::string id;
  bool draining = false;  // leases stay, no new ones
  std::map<std::string, std::string> labels;
  std::vector<Device> devices;

  const Device* find(std::string_view device) const;
  bool operator==(const Host&) const = default;
};

using Snapshot = std::vector<Host>;

inline constexpr size_t kMostDevices = 64;  // on one host

Result<void> check(const Host& host);
Result<Host> parse_host(std::string_view json);
std::string to_json(const Host& host);
std::string_view word(Device::State state);

// Of the compute that is idle, the part that is not on wholly idle hosts, and so of no use to a claim for whole hosts.
// From 0 to 1; 0 if nothing is idle.
double fragmentation(const Snapshot& snapshot);

}  // namespace nm::pool
