#include "guest/topology.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "inventory/scratch.h"

namespace nm::guest {
namespace {

using inventory::FakeMachine;

std::string node_file(int node, const char* name) {
  return fmt::format("/sys/devices/system/node/node{}/{}", node, name);
}

TEST(CpuList, ReadsTheKernelsNotation) {
  EXPECT_EQ(parse_cpu_list("0-2,8\n"), (std::vector<int>{0, 1, 2, 8}));
  EXPECT_EQ(parse_cpu_list("5"), (std::vector<int>{5}));
  EXPECT_EQ(parse_cpu_list("3,1,1-2"), (std::vector<int>{1, 2, 3}));
  for (const char* nothing : {"", "\n", "x", "-1", "4-2", "0-99999999", "99999999999999999999"}) {
    EXPECT_TRUE(parse_cpu_list(nothing).empty()) << nothing;
  }
}

TEST(Topology, OfATwoSocketMachine) {
  FakeMachine machine("dgx");
  for (int cpu = 0; cpu < 224; ++cpu) {
    machine.tree.file(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu),
                      fmt::format("{},{}\n", cpu % 112, cpu % 112 + 112));
  }
  machine.tree.file("/sys/devices/system/cpu/online", "0-223\n");
  machine.tree.file(node_file(1, "meminfo"),
                    "Node 1 MemTotal:  1048576 kB\nNode 1 MemFree:  524288 kB\nNode 1 FilePages: 1024 kB\n");
  machine.tree.file(node_file(1, "distance"), "21 10\n");
  machine.tree.file(node_file(1, "hugepages/hugepages-1048576kB/free_hugepages"), "400\n");
  const HostTopology host = read_topology(machine.host);
  ASSERT_EQ(host.nodes.size(), 2u);
  EXPECT_EQ(host.nodes[1].cores.size(), 56u);
  EXPECT_EQ(host.nodes[1].cores[0], (Core{56, 168}));
  EXPECT_EQ(host.nodes[1].memory, kGiB);
  EXPECT_EQ(host.nodes[1].free, 513 * kMiB);
  EXPECT_EQ(host.nodes[1].free_pages_1g, 400u);
  EXPECT_EQ(host.nodes[1].distance_to(0), 21);
  EXPECT_EQ(host.nodes[1].distance_to(1), 10);
  EXPECT_EQ(host.nodes[0].distance_to(1), 20) << "no table: what firmware without one says";
  EXPECT_EQ(host.physical_bits, 46);
  EXPECT_EQ(host.qemu, "/usr/bin/qemu-system-x86_64");
  EXPECT_TRUE(host.kvm);
  EXPECT_FALSE(host.ovmf);
}

TEST(Topology, OfAKernelWithoutNuma) {
  FakeMachine machine("desktop");
  machine.tree.file("/proc/meminfo", "MemTotal: 2097152 kB\nMemAvailable: 1048576 kB\n");
  machine.tree.file("/sys/devices/system/cpu/online", "0-3\n");
  machine.tree.file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "7\n");
  machine.tree.file("/usr/share/OVMF/OVMF_CODE_4M.fd", "");
  machine.tree.file("/usr/share/OVMF/OVMF_VARS_4M.fd", "");
  machine.tree.file("/sys/class/iommu/dmar0/intel-iommu/cap", "9d2008c40660462\n");
  const HostTopology host = read_topology(machine.host);
  ASSERT_EQ(host.nodes.size(), 1u);
  EXPECT_EQ(host.nodes[0].cpus(), 4u);
  EXPECT_EQ(host.nodes[0].memory, 2 * kGiB);
  EXPECT_EQ(host.nodes[0].free, kGiB);
  EXPECT_EQ(host.nodes[0].free_pages_2m, 7u);
  EXPECT_EQ(host.iommu_bits, 39);
  ASSERT_TRUE(host.ovmf);
  EXPECT_EQ(host.ovmf->code, "/usr/share/OVMF/OVMF_CODE_4M.fd");
}

TEST(Topology, KnowsAnArmHost) {
  EXPECT_FALSE(read_topology(FakeMachine("gh200").host).x86);
  EXPECT_TRUE(read_topology(FakeMachine("apu").host).x86);
  EXPECT_TRUE(read_topology(FakeMachine("apu").host).amd);
}

TEST(Topology, UsesOnlyProcessorsThatItMay) {
  FakeMachine machine("desktop");
  machine.tree.file("/sys/devices/system/cpu/online", "0-7\n");
  machine.tree.file("/proc/self/status", "Name:\tx\nCpus_allowed_list:\t2-3,6\n");
  EXPECT_EQ(read_topology(machine.host).nodes[0].cores, (std::vector<Core>{{2}, {3}, {6}}));
}

TEST(Topology, LeavesOutNodesOfMemoryAlone) {
  FakeMachine machine("desktop");
  machine.tree.file(node_file(0, "cpulist"), "0-1\n");
  machine.tree.file(node_file(1, "cpulist"), "\n");
  EXPECT_EQ(read_topology(machine.host).nodes.size(), 1u);
}

TEST(Topology, NonsenseIsNoCrash) {
  FakeMachine machine("none");
  machine.tree.file("/sys/devices/system/cpu/online", "0-7\n");
  machine.tree.file(node_file(0, "cpulist"), "0-1,zzz,3");
  machine.tree.file(node_file(0, "meminfo"),
                    "Node 0 MemTotal: 99999999999999999999 kB\nNode 0 MemFree: -3 kB\nMemFree:\n");
  machine.tree.file(node_file(0, "distance"), "\xff 900 -4");
  machine.tree.file("/sys/devices/system/node/node999999999999/cpulist", "0\n");
  machine.tree.file("/sys/devices/system/node/nodeX/cpulist", "0\n");
  machine.tree.file("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "17,,");
  machine.tree.file("/sys/class/iommu/x/intel-iommu/cap", "not a number");
  const HostTopology host = read_topology(machine.host);
  ASSERT_EQ(host.nodes.size(), 1u);
  EXPECT_EQ(host.nodes[0].cores, (std::vector<Core>{{0}, {1}})) << "the list ends where it makes no sense";
}

TEST(Topology, OfThisVeryMachine) {
  const inventory::DirectoryHost host;
  const HostTopology topology = read_topology(host);
  ASSERT_FALSE(topology.nodes.empty());
  EXPECT_GT(topology.nodes[0].cpus(), 0u);
  EXPECT_GT(topology.nodes[0].free, 0u);
}

}  // namespace
}  // namespace nm::guest
