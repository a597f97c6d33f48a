// What must hold of every shape, on hosts of many kinds and for wishes of many kinds; no recorded outputs.
#include "guest/shape.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "guest/test_hosts.h"
#include "inventory/scratch.h"

namespace nm::guest {
namespace {

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Asked {
  TestHost host;
  inventory::Inventory inventory;
  std::vector<PassedGpu> gpus;
  Wish wish;
  Result<GuestShape> shape() const { return shape_guest(inventory, gpus, host.topology, wish); }
};

TestHost host_named(const std::string& name) {
  for (TestHost& host : test_hosts()) {
    if (host.name == name) return host;
  }
  ADD_FAILURE() << name;
  return {};
}

// `nodes`: of each GPU of the host; the first `count` go to the guest.
Asked ask(const std::string& host, std::vector<int> nodes, size_t count) {
  Asked asked{.host = host_named(host), .wish = {.name = "train1"}};
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto bus = static_cast<uint8_t>(0x10 + i);
    const PassedGpu gpu = test_gpu(bus, nodes[i], host == "dgx" ? 128 * kGiB : 16 * kGiB);
    inventory::Gpu whole;
    whole.function.address.bus = bus;
    whole.function.numa_node = nodes[i];
    whole.bars = gpu.functions[0].bars;
    asked.inventory.gpus.push_back(whole);
    if (i < count) asked.gpus.push_back(gpu);
  }
  return asked;
}

// Everything that a shape promises.
void check(const Asked& asked, const GuestShape& shape) {
  const HostTopology& host = asked.host.topology;
  SCOPED_TRACE(asked.host.name);

  // Processors: as many as the topology says, each host thread once, on the node that the guest takes it to be on.
  ASSERT_EQ(shape.vcpus.size(), static_cast<size_t>(shape.sockets * shape.cores * shape.threads));
  std::map<int, int> node_of_cpu;
  std::map<int, std::pair<int, size_t>> core_of_cpu;
  for (const Node& node : host.nodes) {
    for (size_t core = 0; core < node.cores.size(); ++core) {
      for (const int cpu : node.cores[core]) node_of_cpu[cpu] = node.number, core_of_cpu[cpu] = {node.number, core};
    }
  }
  std::set<int> pinned;
  for (const Vcpu& vcpu : shape.vcpus) {
    EXPECT_TRUE(pinned.insert(vcpu.host_cpu).second) << vcpu.host_cpu;
    ASSERT_TRUE(node_of_cpu.contains(vcpu.host_cpu));
    ASSERT_LT(static_cast<size_t>(vcpu.node), shape.nodes.size());
    EXPECT_EQ(node_of_cpu[vcpu.host_cpu], shape.nodes[static_cast<size_t>(vcpu.node)].host_node);
  }
  for (size_t i = 0; i < shape.vcpus.size(); ++i) {
    const auto threads = static_cast<size_t>(shape.threads);
    EXPECT_EQ(shape.vcpus[i].node, static_cast<int>(i / (shape.vcpus.size() / shape.nodes.size())));
    if (i % threads != 0) {
      EXPECT_EQ(core_of_cpu[shape.vcpus[i].host_cpu], core_of_cpu[shape.vcpus[i - 1].host_cpu])
          << "threads of one core";
    } else if (i > 0 && threads > 1) {
      EXPECT_NE(core_of_cpu[shape.vcpus[i].host_cpu], core_of_cpu[shape.vcpus[i - 1].host_cpu]) << "cores of their own";
    }
  }
  EXPECT_FALSE(shape.other_cpus.empty());

  // Memory: all of it, in whole pages, that are there.
  uint64_t sum = 0;
  for (const GuestNode& node : shape.nodes) {
    const Node& there = *host.node(node.host_node);
    sum += node.memory;
    EXPECT_EQ(node.memory % (2 * kMiB), 0u);
    if (node.page_size) {
      EXPECT_EQ(node.memory % node.page_size, 0u);
      EXPECT_GE((node.page_size == kGiB ? there.free_pages_1g : there.free_pages_2m) * node.page_size, node.memory);
    } else {
      EXPECT_LE(node.memory, there.free);
    }
    EXPECT_EQ(node.bind, host.nodes.size() > 1);
    EXPECT_EQ(node.distances.size(), shape.nodes.size());
  }
  EXPECT_EQ(sum, shape.memory());
  EXPECT_EQ(sum, asked.wish.memory.value_or(sum));
  EXPECT_EQ(static_cast<int>(shape.vcpus.size()), asked.wish.cpus.value_or(static_cast<int>(shape.vcpus.size())));

  // Buses: each GPU behind a port of its own, on the node where it is; windows that hold the BARs, within the
  // addresses.
  std::set<std::string> ids;
  std::set<inventory::PciAddress> seen;
  for (const RootPort& port : shape.ports) {
    EXPECT_TRUE(ids.insert(port.id).second);
    uint64_t wide = 0, low = 0, largest = 0;
    for (const PassedFunction& function : port.functions) {
      EXPECT_TRUE(seen.insert(function.host).second);
      for (const inventory::Bar& bar : function.bars) {
        if (bar.io) continue;
        (bar.wide && bar.prefetchable ? wide : low) += bar.size;
        if (bar.wide && bar.prefetchable) largest = std::max(largest, bar.size);
      }
    }
    EXPECT_GE(port.window.prefetchable, wide);
    EXPECT_GE(port.window.low, low);
    EXPECT_EQ(port.window.prefetchable % std::max<uint64_t>(largest, 1), 0u);
  }
  EXPECT_EQ(shape.gpus(), asked.gpus.size());
  for (size_t i = 0; i < asked.gpus.size(); ++i) {
    EXPECT_TRUE(seen.contains(asked.gpus[i].functions[0].host));
    const auto node = static_cast<size_t>(shape.ports[i].node);
    if (asked.gpus[i].numa_node && host.node(*asked.gpus[i].numa_node)) {
      EXPECT_EQ(shape.nodes[node].host_node, *asked.gpus[i].numa_node);
    }
  }
  uint64_t windows = 0;
  for (const RootPort& port : shape.ports) windows += port.window.prefetchable;
  EXPECT_GE(shape.space.window_size, windows);
  EXPECT_GE(shape.space.window_base, shape.space.ram_end);
  EXPECT_LE(shape.space.bits(), shape.physical_bits);
}

TEST(Shape, KeepsItsPromisesOnEveryHostAndForAnyWish) {
  std::mt19937 random(3);
  size_t made = 0, refused = 0;
  for (const TestHost& host : test_hosts()) {
    for (int round = 0; round < 300; ++round) {
      std::vector<int> nodes;
      for (size_t i = random() % 9; i > 0; --i)
        nodes.push_back(static_cast<int>(random() % host.topology.nodes.size()));
      Asked asked = ask(host.name, nodes, nodes.empty() ? 0 : random() % (nodes.size() + 1));
      if (random() % 2) asked.wish.cpus = 1 + static_cast<int>(random() % (random() % 2 ? 8 : 260));
      if (random() % 2)
        asked.wish.memory = (1 + random() % (random() % 2 ? 64 : 2048)) * (random() % 2 ? 512 * kMiB : kGiB);
      asked.wish.spare_ports = static_cast<int>(random() % 4);
      asked.wish.huge_pages = static_cast<HugePages>(random() % 3);
      if (random() % 4 == 0) asked.wish.firmware = Firmware::seabios;
      if (random() % 4 == 0) asked.wish.accel = Accel::tcg;
      const auto shape = asked.shape();
      if (!shape) {
        ++refused;
        EXPECT_GT(shape.error().message.size(), 40u);
        EXPECT_TRUE(shape.error().message.ends_with('.')) << shape.error().message;
        continue;
      }
      ++made;
      check(asked, *shape);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(made, 500u);
  EXPECT_GT(refused, 100u);
}

TEST(Shape, WithoutWishesAGuestGetsItsGpusShare) {
  const auto shape = ask("dgx", {0, 0, 0, 0, 1, 1, 1, 1}, 1).shape();
  ASSERT_TRUE(shape) << shape.error().message;
  EXPECT_EQ(shape->vcpus.size(), 28u) << "a quarter of the node's 56 cores, both threads";
  EXPECT_EQ(shape->threads, 2);
  EXPECT_EQ(shape->memory(), 128 * kGiB) << "a quarter of the node's 512 pages of 1 GiB";
  EXPECT_EQ(shape->nodes[0].page_size, kGiB);
  EXPECT_FALSE(shape->numa());
  EXPECT_TRUE(shape->notes.empty()) << shape->notes[0];
}

TEST(Shape, GpusOnTwoNodesMakeAGuestWithTwoNodes) {
  Asked asked = ask("dgx", {0, 0, 0, 0, 1, 1, 1, 1}, 8);
  asked.wish.peer_to_peer = true;
  const auto shape = asked.shape();
  ASSERT_TRUE(shape) << shape.error().message;
  check(asked, *shape);
  ASSERT_EQ(shape->nodes.size(), 2u);
  EXPECT_EQ(shape->nodes[0].distances, (std::vector<int>{10, 21}));
  EXPECT_EQ(shape->ports[0].node, 0);
  EXPECT_EQ(shape->ports[7].node, 1);
  EXPECT_EQ(shape->ports[0].clique, 0);
  EXPECT_EQ(shape->ports[7].clique, 1) << "GPUs of another socket are not reached";
  EXPECT_GT(shape->space.window_size, uint64_t{8 * 256} * kGiB);
}

TEST(Shape, PeerToPeerIsLeftOutUnlessAsked) {
  const auto shape = ask("dgx", {0, 0}, 2).shape();
  ASSERT_TRUE(shape);
  for (const RootPort& port : shape->ports) EXPECT_FALSE(port.clique);
}

TEST(Shape, AGuestBiggerThanANodeGetsTheNearestOneToo) {
  Asked asked = ask("xeon", {1}, 1);
  asked.wish.cpus = 48;
  const auto shape = asked.shape();
  ASSERT_TRUE(shape) << shape.error().message;
  check(asked, *shape);
  EXPECT_EQ(shape->nodes.size(), 2u);
  EXPECT_EQ(shape->ports[0].node, 1) << "its GPU stays where it is";
}

TEST(Shape, OddNumbersOfCpusStayOddAndSaySoOnlyWhereNodesForbidThem) {
  Asked asked = ask("desktop", {0}, 1);
  asked.wish.cpus = 3;
  auto shape = asked.shape();
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->threads, 1);
  Asked wide = ask("xeon", {0, 1}, 2);
  wide.wish.cpus = 7;
  shape = wide.shape();
  ASSERT_FALSE(shape);
  EXPECT_TRUE(mentions(shape.error().message, "7 CPUs cannot be spread evenly over NUMA nodes 0 and 1"));
  EXPECT_TRUE(mentions(shape.error().message, "--cpus 6"));
}

struct Refusal {
  const char* host;
  void (*change)(Asked&);
  const char* says;
};

TEST(Shape, RefusesInSentencesThatNameTheNextStep) {
  const Refusal refusals[] = {
      {"xeon", [](Asked& a) { a.host.topology.x86 = false; }, "nearmetal attach GPU --vm NAME"},
      {"xeon", [](Asked& a) { a.wish.cpus = 65; }, "would have 65 CPUs, and this host has 64"},
      {"two-core", [](Asked& a) { a.wish.memory = 64 * kGiB; }, "Ask for less with --memory"},
      {"two-core", [](Asked& a) { a.wish.memory = 2 * kGiB + 4096; }, "a multiple of 2 MiB"},
      {"two-core", [](Asked& a) { a.wish.memory = 0; }, "0 GiB of memory is no size"},
      {"two-core", [](Asked& a) { a.wish.memory = ~uint64_t{0} / (2 * kMiB) * 2 * kMiB; },
       "more than a guest can address"},
      {"two-core", [](Asked& a) { a.wish.huge_pages = HugePages::require; }, "huge pages"},
      {"xeon", [](Asked& a) { a.host.topology.kvm = a.host.topology.kvm_usable = false, a.wish.accel = Accel::kvm; },
       "has no /dev/kvm"},
      {"xeon", [](Asked& a) { a.host.topology.kvm_usable = false; }, "You may not use /dev/kvm"},
      {"xeon", [](Asked& a) { a.host.topology.ovmf.reset(), a.wish.firmware = Firmware::ovmf; }, "apt install ovmf"},
      {"xeon", [](Asked& a) { a.wish.accel = Accel::tcg, a.wish.hide_hypervisor = true; }, "Leave it out"},
      {"xeon", [](Asked& a) { a.host.topology.root = false, a.host.topology.memlock = 8 * kMiB; }, "memlock unlimited"},
      {"xeon", [](Asked& a) { a.host.topology.physical_bits = 36, a.wish.memory = 60 * kGiB; }, "bits of address"},
      {"xeon", [](Asked& a) { a.host.topology.iommu_bits = 36, a.wish.memory = 80 * kGiB; },
       "IOMMU lets a device reach 36"},
      {"xeon", [](Asked& a) { a.wish.spare_ports = 40; }, "root ports on one bus"},
      {"xeon", [](Asked& a) { a.gpus[0].functions[0].bars = {test_bar(2 * kGiB, false, false)}; }, "below 4 GiB"},
      {"dgx",
       [](Asked& a) {
         a.wish.cpus = 260;
         a.host.topology = make_topology(2, 70, 2, 512 * kGiB, 46);
       },
       "beyond 255"},
  };
  for (const Refusal& refusal : refusals) {
    Asked asked = ask(refusal.host, {0}, 1);
    refusal.change(asked);
    const auto shape = asked.shape();
    if (shape) {
      ADD_FAILURE() << "not refused: " << refusal.says;
      continue;
    }
    EXPECT_TRUE(mentions(shape.error().message, refusal.says)) << shape.error().message;
  }
}

TEST(Shape, FallsBackToEmulationOnlyWithASentence) {
  Asked asked = ask("two-core", {}, 0);
  asked.host.topology.kvm = asked.host.topology.kvm_usable = false;
  auto shape = asked.shape();
  ASSERT_TRUE(shape);
  EXPECT_FALSE(shape->kvm);
  ASSERT_FALSE(shape->notes.empty());
  EXPECT_TRUE(mentions(shape->notes[0], "emulated, many times slower"));
  asked.wish.accel = Accel::tcg;
  shape = asked.shape();
  ASSERT_TRUE(shape);
  for (const std::string& note : shape->notes) EXPECT_FALSE(mentions(note, "emulated")) << "it was asked for";
}

TEST(Shape, SaysWhatUsualPagesCost) {
  const auto shape = ask("desktop", {0}, 1).shape();
  ASSERT_TRUE(shape);
  ASSERT_EQ(shape->nodes[0].page_size, 0u);
  ASSERT_FALSE(shape->notes.empty());
  EXPECT_TRUE(mentions(shape->notes[0], "pages of 4 KiB"));
  EXPECT_TRUE(mentions(shape->notes[0], "sysctl vm.nr_hugepages="));
}

TEST(Shape, SmallAddressesTakeTheSparePortsRoomBeforeTheGpus) {
  Asked asked = ask("desktop", {0}, 1);  // 39 bits
  asked.gpus[0].functions[0].bars = {test_bar(64 * kGiB), test_bar(16 * kMiB)};
  asked.inventory.gpus[0].bars = asked.gpus[0].functions[0].bars;
  const auto shape = asked.shape();
  ASSERT_TRUE(shape) << shape.error().message;
  check(asked, *shape);
  EXPECT_EQ(shape->ports[0].window.prefetchable, 128 * kGiB);
  EXPECT_EQ(shape->ports[1].window.prefetchable, kMiB);
  EXPECT_TRUE(mentions(shape->notes.back(), "39 bits of address leave no room"));
}

TEST(Shape, GpusOfInventorysMachinesAreTakenWithTheirCompanions) {
  inventory::FakeMachine machine("desktop");
  const inventory::Inventory inventory = machine.inventory();
  ASSERT_EQ(inventory.gpus.size(), 1u);
  std::vector<inventory::PciAddress> companions;
  for (const auto& function : inventory.gpus[0].card) companions.push_back(function.address);
  const PassedGpu gpu = passed_gpu(machine.host, inventory.gpus[0], companions);
  ASSERT_EQ(gpu.functions.size(), 4u);
  std::set<int> numbers;
  for (const PassedFunction& function : gpu.functions) {
    EXPECT_TRUE(numbers.insert(function.function).second);
    EXPECT_FALSE(function.bars.empty()) << function.host.text();
  }
  Asked asked{.host = host_named("desktop"), .inventory = inventory, .gpus = {gpu}, .wish = {.name = "x"}};
  const auto shape = asked.shape();
  ASSERT_TRUE(shape) << shape.error().message;
  check(asked, *shape);
  EXPECT_TRUE(shape->ports[0].window.io) << "the card has an I/O BAR";
}

TEST(Shape, AFunctionThatIsNotTheFirstOfItsCardBecomesTheFirst) {
  inventory::FakeMachine machine("a100-vfs");
  for (const inventory::Gpu& gpu : machine.inventory().gpus) {
    if (!gpu.physical_function) continue;
    EXPECT_NE(gpu.function.address.function, 0);
    EXPECT_EQ(passed_gpu(machine.host, gpu, {}).functions[0].function, 0);
  }
}

TEST(SizeText, IsShort) {
  EXPECT_EQ(size_text(16 * kGiB), "16 GiB");
  EXPECT_EQ(size_text(1536 * kMiB), "1.5 GiB");
  EXPECT_EQ(size_text(512 * kMiB), "512 MiB");
  EXPECT_EQ(size_text(64 << 10), "64 KiB");
}

}  // namespace
}  // namespace nm::guest
