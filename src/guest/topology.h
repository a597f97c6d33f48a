// What a host can give to a guest: processors and memory by NUMA node, the width of addresses, the programs. Read
// through the same small interface as the inventory; values, so that the shape of a guest is computed from any
// machine's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/host.h"

namespace nm::guest {

inline constexpr uint64_t kMiB = 1 << 20, kGiB = 1 << 30;

// Hardware threads of one core, by the host's numbers, ascending.
using Core = std::vector<int>;

struct Node {
  int number = 0;
  std::vector<Core> cores;        // only threads that this process may use
  uint64_t memory = 0, free = 0;  // bytes; free: what can be had without swapping, huge pages not counted
  uint64_t free_pages_1g = 0, free_pages_2m = 0;  // huge pages that nobody has
  std::vector<std::pair<int, int>> distances;     // to node, as the firmware says; 10 is itself

  size_t cpus() const;
  int distance_to(int node) const;
};

struct OvmfFiles {
  std::string code, variables;  // variables: what a guest's own copy is made of
};

struct HostTopology {
  std::vector<Node> nodes;  // those with processors, by number; never empty
  int physical_bits = 0;    // of the processor's addresses; 0: not known
  int iommu_bits = 0;       // of the addresses that a device may use; 0: not known
  bool x86 = true;          // the only kind that guests are made for yet
  bool amd = false;         // addresses just below 1 TiB are HyperTransport's there
  bool kvm = false, kvm_usable = false;
  bool vhost_net = false;
  std::string qemu;  // path; empty: not installed
  std::optional<OvmfFiles> ovmf;
  bool root = false;
  uint64_t memlock = 0;  // bytes that this process may lock; ~0: all

  const Node* node(int number) const;
};

HostTopology read_topology(const inventory::Host& host);

// "0-3,8" as the kernel writes sets of processors; what is malformed ends the list.
std::vector<int> parse_cpu_list(std::string_view text);

}  // namespace nm::guest
