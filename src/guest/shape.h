// What a guest should look like that is to run its GPUs as the bare machine does: computed, as a value, from the GPUs,
// the host and what the user wishes. Nothing is read or changed here. The rules, each with its reason:
//   - virtual processors on the cores beside the GPU, one to one, threads of a core staying threads of a core: a GPU on
//     the far socket costs latency and bandwidth, and a guest that takes two threads for two cores schedules badly;
//   - memory from the same nodes, on huge pages where there are free ones: the IOMMU and the processor miss less;
//   - more than one host node: as many guest nodes, with the host's distances, each GPU on a root bus of its node, so
//   that
//     the guest's kernel, CUDA and NCCL see where things are;
//   - a root port for each GPU, sized by its BARs, and spare ones, so that more can be plugged in later;
//   - where this cannot be had, a sentence: an error if the guest would not start or not keep its promise, a note if it
//   is
//     only slower.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "guest/address_space.h"
#include "guest/topology.h"
#include "inventory/inventory.h"

namespace nm::guest {

enum class Accel { automatic, kvm, tcg };
enum class Firmware { automatic, ovmf, seabios };
enum class HugePages { automatic, require, off };

struct Disk {
  std::string path, format = "raw";  // or qcow2
  bool direct = false;               // the file system allows O_DIRECT
};

struct Network {
  enum class Kind { none, user, bridge, tap } kind = Kind::user;
  std::string name;  // of the bridge or the tap device
};

// What the user says; what is absent is chosen.
struct Wish {
  std::string name;
  std::optional<int> cpus;
  std::optional<uint64_t> memory;
  Accel accel = Accel::automatic;
  Firmware firmware = Firmware::automatic;
  HugePages huge_pages = HugePages::automatic;
  bool hide_hypervisor = false;
  bool peer_to_peer = false;
  int spare_ports = 1;
  Network network;
  std::optional<Disk> disk;  // without: the firmware looks for something to start and finds nothing
};

// A function of the host that goes to the guest.
struct PassedFunction {
  inventory::PciAddress host;
  uint16_t vendor = 0;
  std::vector<inventory::Bar> bars;
  int function = 0;  // its number in the guest
};

// A GPU with those of its card that go with it; the GPU itself is first.
struct PassedGpu {
  std::vector<PassedFunction> functions;
  std::optional<int> numa_node;
};
PassedGpu passed_gpu(const inventory::Host& host, const inventory::Gpu& gpu,
                     const std::vector<inventory::PciAddress>& companions);

struct Vcpu {
  int host_cpu = 0, node = 0;  // node: of the guest
};

struct GuestNode {
  int host_node = 0;
  uint64_t memory = 0;
  uint64_t page_size = 0;  // of huge pages; 0: the usual ones
  bool bind = false;       // memory comes from host_node alone
  std::vector<int> distances;
};

struct RootPort {
  std::string id;  // "gpu0", "spare0"
  int node = 0;    // of the guest; its root bus, where there are several
  PortWindow window;
  std::vector<PassedFunction> functions;
  std::optional<int> clique;  // GPUs that may reach each other's memory
};

struct GuestShape {
  std::string name;
  bool kvm = true, amd = false, hide_hypervisor = false;
  int physical_bits = 0;
  int sockets = 1, cores = 1, threads = 1;  // cores of a socket, threads of a core
  std::vector<Vcpu> vcpus;                  // by index, as QEMU counts: thread, then core, then socket
  std::vector<int> other_cpus;              // of the host, for QEMU's own threads
  std::vector<GuestNode> nodes;             // one: the guest has no NUMA
  std::vector<RootPort> ports;
  AddressSpace space;
  std::optional<OvmfFiles> ovmf;  // none: SeaBIOS
  std::optional<Disk> disk;
  Network network;
  bool vhost_net = false;
  std::vector<std::string> notes;  // sentences: what is slower than it could be, and the cure

  uint64_t memory() const;
  bool numa() const { return nodes.size() > 1; }
  size_t gpus() const;
};

Result<GuestShape> shape_guest(const inventory::Inventory& inventory, const std::vector<PassedGpu>& gpus,
                               const HostTopology& host, const Wish& wish);

// "16 GiB", "1.5 GiB", "512 MiB"
std::string size_text(uint64_t bytes);

}  // namespace nm::guest
