// The GPUs of a host at one moment: values, read once and never changed. Taking the snapshot changes nothing on the
// host, needs no driver and no rights; what only root can see is absent and said to be (decision 16).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inventory/host.h"
#include "inventory/pci_address.h"

namespace nm::inventory {

// Any PCI function, as far as a GPU's neighbours are of interest.
struct PciFunction {
  PciAddress address;
  uint16_t vendor = 0, device = 0, subsystem_vendor = 0, subsystem_device = 0;
  uint32_t class_code = 0;  // 0xCCSSPP
  std::string driver;       // empty: none
  std::optional<int> iommu_group;
  std::optional<int> numa_node;     // absent: the firmware did not say
  std::vector<PciAddress> bridges;  // from the nearest one up to the root port

  bool is_bridge() const { return class_code >> 8 == 0x0604; }
  bool is_gpu() const;
  bool is_nvswitch() const { return vendor == 0x10de && class_code >> 8 == 0x0680; }
  std::string kind() const;  // "audio", "USB", "NVMe", "PCI bridge", else "class 0c80"
  std::string ids() const;   // "10de:2330"
};

struct Bar {
  int index = 0;
  uint64_t address = 0, size = 0;
  bool io = false, wide = false, prefetchable = false;
  std::vector<uint64_t> possible;  // sizes that a resizable BAR can have; empty: it cannot be resized
};

struct PcieLink {
  double gigatransfers = 0;  // a second and lane; 0: not known
  int width = 0;
  double gigabytes() const;  // a second in one direction, after the line code
  std::string text() const;  // "16.0 GT/s x16", "" if not known
};

// A link nearer to the processor that carries less than the GPU's own can.
struct Bottleneck {
  PciAddress at;
  PcieLink link;
};

struct VgpuType {  // mediated devices
  std::string type, name;
  std::optional<uint32_t> available;
};

struct Sriov {
  uint32_t total = 0, enabled = 0;
  std::vector<PciAddress> functions;
};

struct Mig {
  bool capable = false;
  size_t instances = 0;  // GPU instances that exist
};

struct Holder {
  enum class Kind { process, display, persistence, exporter, audio, virtual_machine, framebuffer, console, server };
  Kind kind = Kind::process;
  int pid = 0;  // 0: the kernel itself
  std::string name;
  std::string guest;               // of a virtual machine
  std::vector<std::string> files;  // what it has open, "/dev/nvidia0"
  bool certain = true;             // false: it runs, and whether it has this GPU only root can see
  std::string text() const;        // "Xorg (pid 812, display)", "VM train1 (pid 99)"
};

struct GroupMember {
  enum class Role { gpu, same_card, bridge, other };
  Role role = Role::other;
  PciFunction function;
  // Must leave its driver before VFIO gives the group to anybody.
  bool in_the_way() const { return role == Role::other && !function.driver.empty() && !vfio(); }
  bool vfio() const;
};

enum class State { host, free, vfio, attached, lost };
enum class Verdict { ready, steps, blocked, taken };

struct Readiness {
  Verdict verdict = Verdict::blocked;
  std::vector<std::string> reasons;  // each the rest of "not yet: ...", with names
  std::string text() const;          // one line
};

struct Gpu {
  PciFunction function;
  std::string vendor_name, model;
  std::string uuid;         // as NVIDIA's driver tells
  bool integrated = false;  // a part of the processor
  bool boot_display = false;
  uint64_t rom_size = 0;
  std::string power_state;
  bool asleep = false;  // then nothing was asked that would wake it: no link, no BARs' other sizes
  std::string driver_override;
  std::vector<std::string> drivers_possible;  // modules that name this device, and VFIO's
  std::vector<Bar> bars;
  std::vector<std::string> reset_methods;
  PcieLink link, link_max;
  std::optional<Bottleneck> bottleneck;
  std::optional<Sriov> sriov;
  std::optional<PciAddress> physical_function;
  std::vector<VgpuType> vgpu_types;
  Mig mig;
  std::string group_type;          // "DMA-FQ", "identity", ...
  std::vector<GroupMember> group;  // all of it, this GPU too
  std::vector<PciFunction> card;   // the other functions of its slot
  std::vector<Holder> holders;
  std::vector<std::string> monitors;  // connectors with something on them
  State state = State::host;
  std::string attached_to;  // "VM train1", "crosvm (pid 3)"
  Readiness readiness;

  uint64_t largest_bar() const;
};

struct Inventory {
  std::vector<Gpu> gpus;
  std::vector<PciFunction> nvswitches;
  bool iommu = false;
  std::string virtual_machine;  // what the host itself runs on, if it is a guest: "QEMU", "a hypervisor"
  bool root = false;
  size_t processes_unseen = 0;              // of other users
  std::vector<std::string> root_would_add;  // sentences
  std::vector<std::string> troubles;        // sentences about what could not be made sense of
};

Inventory take_inventory(const Host& host);

std::string state_text(const Gpu& gpu);
std::string_view word(State state);
std::string_view word(Verdict verdict);
std::string_view word(Holder::Kind kind);
std::string_view word(GroupMember::Role role);

}  // namespace nm::inventory
