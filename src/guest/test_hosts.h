// Hosts for the tests, as values: what read_topology would say of them.
#pragma once

#include <string>
#include <vector>

#include "guest/shape.h"

namespace nm::guest {

struct TestHost {
  std::string name;
  HostTopology topology;
};

// `nodes` nodes of `cores` cores with `threads` threads each, numbered as Linux does: first threads first.
inline HostTopology make_topology(int nodes, int cores, int threads, uint64_t memory_each, int bits) {
  HostTopology host{.physical_bits = bits, .kvm = true, .kvm_usable = true, .qemu = "/usr/bin/qemu-system-x86_64"};
  host.ovmf = OvmfFiles{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"};
  host.root = true;
  host.memlock = ~uint64_t{0};
  for (int n = 0; n < nodes; ++n) {
    Node node{.number = n, .memory = memory_each, .free = memory_each / 16 * 15};
    for (int c = 0; c < cores; ++c) {
      Core core;
      for (int t = 0; t < threads; ++t) core.push_back(t * nodes * cores + n * cores + c);
      node.cores.push_back(core);
    }
    for (int to = 0; to < nodes; ++to) node.distances.emplace_back(to, to == n ? 10 : 21);
    host.nodes.push_back(std::move(node));
  }
  return host;
}

inline std::vector<TestHost> test_hosts() {
  std::vector<TestHost> hosts = {
      {"two-core", make_topology(1, 2, 1, 6 * kGiB, 40)},   {"desktop", make_topology(1, 8, 2, 64 * kGiB, 39)},
      {"dgx", make_topology(2, 56, 2, 1024 * kGiB, 52)},    {"xeon", make_topology(2, 16, 2, 128 * kGiB, 46)},
      {"epyc-nps4", make_topology(8, 8, 2, 64 * kGiB, 48)}, {"one-core", make_topology(1, 1, 1, 2 * kGiB, 36)},
      {"no-smt", make_topology(4, 12, 1, 96 * kGiB, 46)},
  };
  hosts[4].topology.amd = true;
  for (Node& node : hosts[2].topology.nodes) node.free_pages_1g = 512;
  for (Node& node : hosts[3].topology.nodes) node.free_pages_2m = 16 * 1024;
  hosts[1].topology.iommu_bits = 39;
  return hosts;
}

inline inventory::Bar test_bar(uint64_t size, bool wide = true, bool prefetchable = true) {
  return {.size = size, .wide = wide, .prefetchable = prefetchable};
}

// As the H100's: 16 MiB, 128 GiB, 32 MiB.
inline PassedGpu test_gpu(uint8_t bus, std::optional<int> node, uint64_t large = 128 * kGiB) {
  PassedGpu gpu{.numa_node = node};
  gpu.functions.push_back(
      {.host = {.bus = bus}, .vendor = 0x10de, .bars = {test_bar(16 * kMiB), test_bar(large), test_bar(32 * kMiB)}});
  return gpu;
}

}  // namespace nm::guest
