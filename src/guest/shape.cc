#include "guest/shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "guest/placement.h"
#include "inventory/pci.h"
#include "inventory/reader.h"

namespace nm::guest {
namespace {

constexpr int kEmulatedBits = 48, kEmulatedOvmfBits = 40;  // QEMU emulates any processor
constexpr int kMostOvmfBits = 46;                          // OVMF itself goes no further
constexpr int kUnknownBits = 39;                           // the fewest of any processor with an IOMMU
constexpr size_t kMostPorts = 24;                          // of one root bus: slots and bus numbers
constexpr uint64_t kUsualSpare = 64 * kGiB;
constexpr uint64_t kMemlockRoom = kGiB;  // what QEMU locks beside the guest's memory
constexpr uint16_t kNvidia = 0x10de;
constexpr int kCliques = 16;

Result<void> choose_accel(const HostTopology& host, const Wish& wish, GuestShape& shape) {
  shape.kvm = wish.accel == Accel::kvm || (wish.accel == Accel::automatic && host.kvm);
  if (shape.kvm && !host.kvm) {
    return Error{
        "This host has no /dev/kvm, which --accel kvm needs. `nearmetal doctor` says how to get it; --accel tcg "
        "emulates "
        "the processor instead, many times slower."};
  }
  if (shape.kvm && !host.kvm_usable) {
    return Error{
        "You may not use /dev/kvm. As root: usermod -aG kvm \"$USER\", then log in anew; or run this as root."};
  }
  if (!shape.kvm && wish.accel == Accel::automatic) {
    shape.notes.push_back(
        "This host has no /dev/kvm: the guest's processor is emulated, many times slower. `nearmetal doctor` says how "
        "to "
        "get it.");
  }
  if (!shape.kvm && wish.hide_hypervisor) {
    return Error{"--hide-hypervisor hides KVM, and an emulated guest (--accel tcg) has none. Leave it out."};
  }
  return {};
}

Result<void> choose_firmware(const HostTopology& host, const Wish& wish, GuestShape& shape) {
  if (wish.firmware == Firmware::seabios) return {};
  shape.ovmf = host.ovmf;
  if (shape.ovmf) return {};
  if (wish.firmware == Firmware::ovmf) {
    return Error{
        "OVMF is not installed. On Debian and Ubuntu: apt install ovmf; on Fedora: dnf install edk2-ovmf. Or use "
        "--firmware seabios."};
  }
  shape.notes.push_back(
      "OVMF is not installed, so the guest starts with SeaBIOS: systems that were installed for UEFI do not start with "
      "it. On Debian and Ubuntu: apt install ovmf.");
  return {};
}

// What any GPU of this host would need, so that it can be plugged in later.
PortWindow largest_window(const inventory::Inventory& inventory) {
  PortWindow largest;
  for (const inventory::Gpu& gpu : inventory.gpus) {
    const PortWindow window = window_for(gpu.bars);
    largest.prefetchable = std::max(largest.prefetchable, window.prefetchable);
    largest.low = std::max(largest.low, window.low);
    largest.io |= window.io;
  }
  if (largest.prefetchable == 0) largest.prefetchable = kUsualSpare;
  largest.low = std::max(largest.low, 64 * kMiB);
  return largest;
}

Result<void> add_ports(const inventory::Inventory& inventory, const std::vector<PassedGpu>& gpus, const Wish& wish,
                       GuestShape& shape) {
  for (size_t i = 0; i < gpus.size(); ++i) {
    RootPort port{.id = fmt::format("gpu{}", i), .functions = gpus[i].functions};
    for (size_t node = 0; node < shape.nodes.size(); ++node) {
      if (gpus[i].numa_node == shape.nodes[node].host_node) port.node = static_cast<int>(node);
    }
    std::vector<inventory::Bar> bars;
    for (const PassedFunction& function : port.functions) {
      bars.insert(bars.end(), function.bars.begin(), function.bars.end());
    }
    port.window = window_for(bars);
    // Never nothing: another GPU may come here when this one has gone.
    port.window.prefetchable = std::max(port.window.prefetchable, kMiB);
    port.window.low = std::max(port.window.low, 2 * kMiB);
    // Across sockets GPUs do not reach each other, whatever a guest is told.
    const bool nvidia = !port.functions.empty() && port.functions[0].vendor == kNvidia;
    if (wish.peer_to_peer && nvidia && port.node < kCliques) port.clique = port.node;
    shape.ports.push_back(std::move(port));
  }
  const PortWindow spare = largest_window(inventory);
  for (int i = 0; i < wish.spare_ports; ++i) {
    const int node = i % static_cast<int>(shape.nodes.size());
    shape.ports.push_back({.id = fmt::format("spare{}", i), .node = node, .window = spare});
  }
  std::vector<size_t> of_node(shape.nodes.size());
  for (const RootPort& port : shape.ports) ++of_node[static_cast<size_t>(port.node)];
  const size_t most = *std::max_element(of_node.begin(), of_node.end());
  const size_t room = std::min(kMostPorts, shape.numa() ? 0xc0 / shape.nodes.size() - 2 : kMostPorts);
  if (most > room) {
    return Error{
        fmt::format("{} root ports on one bus are more than the {} that fit. Pass fewer GPUs or ask for fewer "
                    "--spare-ports.",
                    most, room)};
  }
  return {};
}

std::vector<std::vector<PortWindow>> by_root(const GuestShape& shape) {
  std::vector<std::vector<PortWindow>> roots(shape.nodes.size());
  for (const RootPort& port : shape.ports) roots[static_cast<size_t>(port.node)].push_back(port.window);
  return roots;
}

bool fits(const AddressSpace& space, int bits, bool ovmf) {
  return space.bits() <= bits && (!ovmf || space.window_size <= kMostOvmfWindow);
}

// With room to plug if the addresses allow it; else as much as the ports need; else without the spare ones' room.
Result<void> choose_window(GuestShape& shape) {
  const bool ovmf = shape.ovmf.has_value();
  const int bits = ovmf ? std::min(shape.physical_bits, kMostOvmfBits) : shape.physical_bits;
  for (const bool exact : {false, true}) {
    shape.space = lay_out(shape.memory(), window_of(by_root(shape), exact), shape.amd);
    if (fits(shape.space, bits, ovmf)) return {};
  }
  bool spares = false;
  for (RootPort& port : shape.ports) {
    if (!port.functions.empty()) continue;
    spares = true;
    port.window.prefetchable = kMiB;
  }
  shape.space = lay_out(shape.memory(), window_of(by_root(shape), true), shape.amd);
  if (fits(shape.space, bits, ovmf)) {
    if (spares) {
      shape.notes.push_back(
          fmt::format("The processor's {} bits of address leave no room for another large GPU: the spare root ports "
                      "take small ones.",
                      bits));
    }
    return {};
  }
  return Error{
      fmt::format("The guest needs {} bits of address, for {} of memory and {} of its GPUs' BARs, and {} has {}. Pass "
                  "fewer GPUs or "
                  "give it less memory.",
                  shape.space.bits(), size_text(shape.memory()), size_text(shape.space.window_size),
                  ovmf && bits < shape.physical_bits ? "OVMF" : "the processor", bits)};
}

Result<void> check_low_window(const GuestShape& shape) {
  uint64_t sum = 0;
  for (const RootPort& port : shape.ports) sum += port.window.low;
  if (sum <= kLowRoom) return {};
  return Error{fmt::format(
      "The GPUs have {} of BARs that must lie below 4 GiB, and {} fit there. Pass fewer of them, or ask for fewer "
      "--spare-ports.",
      size_text(sum), size_text(kLowRoom))};
}

Result<void> check_devices_reach(const HostTopology& host, const GuestShape& shape) {
  if (shape.gpus() == 0 || host.iommu_bits == 0) return {};
  if (shape.space.ram_end >> std::min(host.iommu_bits, 63) == 0) return {};
  return Error{
      fmt::format("The guest's memory would end at {}, and this host's IOMMU lets a device reach {} bits of address. "
                  "Give the guest "
                  "less memory.",
                  size_text(shape.space.ram_end), host.iommu_bits)};
}

Result<void> check_memlock(const HostTopology& host, const GuestShape& shape) {
  const uint64_t needed = shape.memory() + kMemlockRoom;
  if (shape.gpus() == 0 || host.root || host.memlock >= needed) return {};
  return Error{fmt::format(
      "You may lock {} of memory, and a guest of {} with a GPU locks all of its own. In /etc/security/limits.d/"
      "nearmetal.conf: \"@kvm - memlock unlimited\", then log in anew; or run this as root.",
      size_text(host.memlock), size_text(shape.memory()))};
}

GpusOfNodes nodes_of(const inventory::Inventory& inventory, const std::vector<PassedGpu>& gpus,
                     const HostTopology& host) {
  // What the firmware does not place, and what it places on memory alone, is taken to be on the first node.
  const auto known = [&](std::optional<int> node) {
    return node && host.node(*node) ? *node : host.nodes.front().number;
  };
  GpusOfNodes nodes;
  for (const PassedGpu& gpu : gpus) nodes.wanted.push_back(known(gpu.numa_node));
  for (const inventory::Gpu& gpu : inventory.gpus) nodes.all.push_back(known(gpu.function.numa_node));
  return nodes;
}

void note_unknown_nodes(const std::vector<PassedGpu>& gpus, const HostTopology& host, GuestShape& shape) {
  if (host.nodes.size() < 2) return;
  for (const PassedGpu& gpu : gpus) {
    if (gpu.functions.empty() || (gpu.numa_node && host.node(*gpu.numa_node))) continue;
    shape.notes.push_back(
        fmt::format("The firmware does not say which NUMA node {} is on: it is taken to be node {}. A setting like "
                    "\"NUMA nodes per "
                    "socket\" or a newer firmware may cure it.",
                    gpu.functions[0].host.text(), host.nodes.front().number));
  }
}

}  // namespace

PassedGpu passed_gpu(const inventory::Host& host, const inventory::Gpu& gpu,
                     const std::vector<inventory::PciAddress>& companions) {
  const inventory::PciAddress& self = gpu.function.address;
  PassedGpu passed{.numa_node = gpu.function.numa_node};
  passed.functions.push_back({.host = self, .vendor = gpu.function.vendor, .bars = gpu.bars});
  inventory::Reader reader(host);
  int next = 1;
  for (const inventory::PciAddress& companion : companions) {
    if (companion == self) continue;
    PassedFunction function{.host = companion, .vendor = gpu.function.vendor, .function = companion.function};
    uint64_t rom = 0;
    std::vector<std::string> trouble;
    const std::string resources = inventory::device_directory(companion) + "/resource";
    function.bars = inventory::parse_resources(reader.raw(resources, 8192).value_or(""), rom, trouble);
    // The GPU is function 0 of its card as a rule. Where it is not, all are counted anew: a card needs a function 0.
    if (self.function != 0 || function.function == 0) function.function = next;
    ++next;
    passed.functions.push_back(std::move(function));
  }
  return passed;
}

uint64_t GuestShape::memory() const {
  uint64_t sum = 0;
  for (const GuestNode& node : nodes) sum += node.memory;
  return sum;
}

size_t GuestShape::gpus() const {
  return static_cast<size_t>(
      std::count_if(ports.begin(), ports.end(), [](const RootPort& port) { return !port.functions.empty(); }));
}

Result<GuestShape> shape_guest(const inventory::Inventory& inventory, const std::vector<PassedGpu>& gpus,
                               const HostTopology& host, const Wish& wish) {
  if (!host.x86) {
    return Error{
        "This host's processor is no x86, and guests are made for x86-64 alone. Start the guest with its own tools, then: "
        "nearmetal attach GPU --vm NAME"};
  }
  GuestShape shape{.name = wish.name, .hide_hypervisor = wish.hide_hypervisor};
  shape.disk = wish.disk;
  shape.network = wish.network;
  shape.vhost_net = host.vhost_net;
  if (const auto good = choose_accel(host, wish, shape); !good) return good.error();
  if (const auto good = choose_firmware(host, wish, shape); !good) return good.error();
  shape.amd = host.amd || !shape.kvm;  // what QEMU emulates calls itself so
  if (shape.kvm) {
    shape.physical_bits = host.physical_bits > 0 ? host.physical_bits : kUnknownBits;
  } else {
    // With pages of 1 GiB in an emulated processor Debian 12's OVMF hangs, and without them OVMF uses no more than 40.
    shape.physical_bits = shape.ovmf ? kEmulatedOvmfBits : kEmulatedBits;
  }
  note_unknown_nodes(gpus, host, shape);
  if (const auto good = place(host, nodes_of(inventory, gpus, host), wish, shape); !good) return good.error();
  if (const auto good = add_ports(inventory, gpus, wish, shape); !good) return good.error();
  if (const auto good = choose_window(shape); !good) return good.error();
  if (const auto good = check_low_window(shape); !good) return good.error();
  if (const auto good = check_devices_reach(host, shape); !good) return good.error();
  if (const auto good = check_memlock(host, shape); !good) return good.error();
  return shape;
}

std::string size_text(uint64_t bytes) {
  if (bytes % kGiB == 0 || bytes >= 100 * kGiB) return fmt::format("{} GiB", bytes / kGiB);
  if (bytes >= kGiB) return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
  if (bytes % kMiB == 0 || bytes >= 10 * kMiB) return fmt::format("{} MiB", bytes / kMiB);
  return fmt::format("{} KiB", bytes >> 10);
}

}  // namespace nm::guest
