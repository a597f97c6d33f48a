// The definition of a domain. What libvirt has no element for, the reserves of root ports and OVMF's window, goes to
// QEMU by its own name (qemu:override, qemu:commandline).
#include <fmt/format.h>

#include <algorithm>

#include "base/xml.h"
#include "guest/render.h"
#include "inventory/reader.h"

namespace nm::guest {
namespace {

// "0,3-5"
std::string cpu_set(const std::vector<int>& cpus) {
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpus[i]);
    if (end - i > 1) text += fmt::format("-{}", cpus[end - 1]);
    i = end;
  }
  return text;
}

class Xml {
 public:
  // `tag` is "name attribute='value'", all of it ours or escaped.
  void open(const std::string& tag) {
    line("<" + tag + ">");
    open_.push_back(tag.substr(0, tag.find(' ')));
  }
  void close() {
    const std::string name = open_.back();
    open_.pop_back();
    line("</" + name + ">");
  }
  void empty(const std::string& tag) { line("<" + tag + "/>"); }
  void text(const std::string& tag, const std::string& value) {
    line(fmt::format("<{}>{}</{}>", tag, value, tag.substr(0, tag.find(' '))));
  }
  std::string take() { return std::move(out_); }

 private:
  void line(const std::string& text) { out_ += std::string(2 * open_.size(), ' ') + text + "\n"; }

  std::string out_;
  std::vector<std::string> open_;
};

std::string pci_address(int bus, int slot, int function = 0, bool multifunction = false) {
  return fmt::format("address type='pci' domain='0x0000' bus='{:#04x}' slot='{:#04x}' function='{:#x}'{}", bus, slot,
                     function, multifunction ? " multifunction='on'" : "");
}

class Domain {
 public:
  Domain(const GuestShape& shape, const std::string& program) : shape_(shape), program_(program) {}

  std::string take() {
    x_.open(fmt::format("domain type='{}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
                        shape_.kvm ? "kvm" : "qemu"));
    x_.text("name", xml_escaped(shape_.name));
    memory();
    processors();
    system();
    devices();
    qemu();
    x_.close();
    return x_.take();
  }

 private:
  void memory() {
    x_.text("memory unit='MiB'", fmt::format("{}", shape_.memory() / kMiB));
    x_.open("memoryBacking");
    const bool huge =
        std::any_of(shape_.nodes.begin(), shape_.nodes.end(), [](const GuestNode& node) { return node.page_size > 0; });
    if (huge) {
      x_.open("hugepages");
      for (size_t i = 0; i < shape_.nodes.size(); ++i) {
        if (shape_.nodes[i].page_size == 0) continue;
        x_.empty(fmt::format("page size='{}' unit='KiB'{}", shape_.nodes[i].page_size >> 10,
                             shape_.numa() ? fmt::format(" nodeset='{}'", i) : ""));
      }
      x_.close();
    }
    x_.empty("source type='memfd'");
    x_.empty("allocation mode='immediate'");
    x_.close();
    if (!shape_.nodes[0].bind) return;
    std::vector<int> host_nodes;
    for (const GuestNode& node : shape_.nodes) host_nodes.push_back(node.host_node);
    x_.open("numatune");
    x_.empty(fmt::format("memory mode='strict' nodeset='{}'", cpu_set(host_nodes)));
    for (size_t i = 0; shape_.numa() && i < shape_.nodes.size(); ++i) {
      x_.empty(fmt::format("memnode cellid='{}' mode='strict' nodeset='{}'", i, shape_.nodes[i].host_node));
    }
    x_.close();
  }

  void processors() {
    x_.text("vcpu placement='static'", fmt::format("{}", shape_.vcpus.size()));
    if (shape_.disk) x_.text("iothreads", "1");
    x_.open("cputune");
    for (size_t i = 0; i < shape_.vcpus.size(); ++i) {
      x_.empty(fmt::format("vcpupin vcpu='{}' cpuset='{}'", i, shape_.vcpus[i].host_cpu));
    }
    x_.empty(fmt::format("emulatorpin cpuset='{}'", cpu_set(shape_.other_cpus)));
    if (shape_.disk) x_.empty(fmt::format("iothreadpin iothread='1' cpuset='{}'", cpu_set(shape_.other_cpus)));
    x_.close();
    if (shape_.kvm) {
      x_.open("cpu mode='host-passthrough' check='none' migratable='off'");
    } else {
      x_.open("cpu mode='maximum' check='none'");
    }
    x_.empty(fmt::format("topology sockets='{}' dies='1' cores='{}' threads='{}'", shape_.sockets, shape_.cores,
                         shape_.threads));
    if (shape_.kvm) {
      x_.empty("maxphysaddr mode='passthrough'");
    } else {
      x_.empty(fmt::format("maxphysaddr mode='emulate' bits='{}'", shape_.physical_bits));
    }
    if (shape_.amd && shape_.threads > 1) x_.empty("feature policy='require' name='topoext'");
    if (!shape_.kvm && shape_.ovmf) x_.empty("feature policy='disable' name='pdpe1gb'");
    if (shape_.numa()) cells();
    x_.close();
  }

  void cells() {
    const size_t each = shape_.vcpus.size() / shape_.nodes.size();
    x_.open("numa");
    for (size_t i = 0; i < shape_.nodes.size(); ++i) {
      const GuestNode& node = shape_.nodes[i];
      std::vector<int> cpus;
      for (size_t k = 0; k < each; ++k) cpus.push_back(static_cast<int>(i * each + k));
      x_.open(fmt::format("cell id='{}' cpus='{}' memory='{}' unit='MiB'", i, cpu_set(cpus), node.memory / kMiB));
      x_.open("distances");
      for (size_t k = 0; k < node.distances.size(); ++k) {
        x_.empty(fmt::format("sibling id='{}' value='{}'", k, node.distances[k]));
      }
      x_.close();
      x_.close();
    }
    x_.close();
  }

  void system() {
    x_.open(shape_.ovmf ? "os firmware='efi'" : "os");
    x_.text("type arch='x86_64' machine='q35'", "hvm");
    if (shape_.ovmf) {  // without secure boot, which would refuse GPUs' drivers that nobody signed
      x_.open("firmware");
      x_.empty("feature enabled='no' name='secure-boot'");
      x_.close();
    }
    x_.empty("boot dev='hd'");
    x_.close();
    x_.open("features");
    x_.empty("acpi");
    x_.empty("apic");
    if (shape_.hide_hypervisor) {
      x_.open("hyperv mode='custom'");
      x_.empty("vendor_id state='on' value='nearmetal'");
      x_.close();
      x_.open("kvm");
      x_.empty("hidden state='on'");
      x_.close();
    }
    x_.close();
    x_.empty("clock offset='utc'");
  }

  void devices() {
    x_.open("devices");
    if (!program_.empty()) x_.text("emulator", xml_escaped(program_));
    buses();
    for (size_t i = 0; i < shape_.ports.size(); ++i) hostdevs(shape_.ports[i], port_index(i));
    disk();
    network();
    x_.open("serial type='pty'");
    x_.empty("target port='0'");
    x_.close();
    x_.empty("controller type='usb' model='none'");
    x_.empty("memballoon model='none'");  // what a GPU may reach cannot be taken back
    x_.close();
  }

  // Indices of libvirt's controllers: 0 is the root complex, then expanders, then ports.
  size_t expanders() const { return shape_.numa() ? shape_.nodes.size() : 0; }
  size_t port_index(size_t port) const { return 1 + expanders() + port; }

  void buses() {
    x_.open("controller type='pci' index='0' model='pcie-root'");
    x_.text("pcihole64 unit='KiB'", fmt::format("{}", shape_.space.hole64_size >> 10));
    x_.close();
    for (size_t i = 0; i < expanders(); ++i) {
      x_.open(fmt::format("controller type='pci' index='{}' model='pcie-expander-bus'", 1 + i));
      x_.open(fmt::format("target busNr='{}'", expander_bus(i, shape_.nodes.size())));
      x_.text("node", fmt::format("{}", i));
      x_.close();
      x_.empty(pci_address(0, kFirstSlot + static_cast<int>(i)));
      x_.close();
    }
    const std::vector<Slotted> slots = slotted(shape_);
    for (size_t i = 0; i < slots.size(); ++i) {
      x_.open(fmt::format("controller type='pci' index='{}' model='pcie-root-port'", port_index(i)));
      x_.empty(fmt::format("target chassis='{0}' port='{0:#x}'", i + 1));
      x_.empty(pci_address(shape_.numa() ? 1 + slots[i].port->node : 0, slots[i].slot));
      x_.close();
    }
  }

  // libvirt binds these to vfio-pci by itself when the domain starts: no journal of ours is behind a printed
  // definition.
  void hostdevs(const RootPort& port, size_t index) {
    for (const PassedFunction& function : port.functions) {
      x_.open("hostdev mode='subsystem' type='pci' managed='yes'");
      x_.open("source");
      x_.empty(fmt::format("address domain='{:#06x}' bus='{:#04x}' slot='{:#04x}' function='{:#x}'",
                           function.host.domain, function.host.bus, function.host.device, function.host.function));
      x_.close();
      x_.empty(fmt::format("alias name='ua-{}'", device_id(port, function)));
      x_.empty(pci_address(static_cast<int>(index), 0, function.function,
                           function.function == 0 && port.functions.size() > 1));
      x_.close();
    }
  }

  void disk() {
    if (!shape_.disk) return;
    x_.open("disk type='file' device='disk'");
    x_.empty(fmt::format("driver name='qemu' type='{}'{} discard='unmap' iothread='1'", shape_.disk->format,
                         shape_.disk->direct ? " cache='none' io='native'" : ""));
    x_.empty("source file='" + xml_escaped(shape_.disk->path) + "'");
    x_.empty("target dev='vda' bus='virtio'");
    x_.empty(pci_address(0, kDiskSlot));
    x_.close();
  }

  void network() {
    const std::string name = xml_escaped(shape_.network.name);
    switch (shape_.network.kind) {
      case Network::Kind::none:
        return;
      case Network::Kind::user:
        x_.open("interface type='user'");
        break;
      case Network::Kind::bridge:
        x_.open("interface type='bridge'");
        x_.empty("source bridge='" + name + "'");
        break;
      case Network::Kind::tap:
        x_.open("interface type='ethernet'");
        x_.empty("target dev='" + name + "' managed='no'");
        break;
    }
    x_.empty("model type='virtio'");
    x_.empty(pci_address(0, kNetSlot));
    x_.close();
  }

  void qemu() {
    if (shape_.ovmf) {
      x_.open("qemu:commandline");
      x_.empty("qemu:arg value='-fw_cfg'");
      x_.empty(fmt::format("qemu:arg value='name=opt/ovmf/X-PciMmio64Mb,string={}'", shape_.space.window_size / kMiB));
      x_.close();
    }
    if (shape_.ports.empty()) return;
    x_.open("qemu:override");
    for (size_t i = 0; i < shape_.ports.size(); ++i) {
      const RootPort& port = shape_.ports[i];
      const auto reserve = [&](const char* name, uint64_t bytes) {
        x_.empty(fmt::format("qemu:property name='{}' type='unsigned' value='{}'", name, bytes));
      };
      x_.open(fmt::format("qemu:device alias='pci.{}'", port_index(i)));
      x_.open("qemu:frontend");
      reserve("pref64-reserve", port.window.prefetchable);
      reserve("mem-reserve", port.window.low);
      if (!port.window.io) reserve("io-reserve", 0);
      x_.close();
      x_.close();
      if (!port.clique) continue;
      x_.open(fmt::format("qemu:device alias='ua-{}'", device_id(port, port.functions.at(0))));
      x_.open("qemu:frontend");
      reserve("x-nv-gpudirect-clique", static_cast<uint64_t>(*port.clique));
      x_.close();
      x_.close();
    }
    x_.close();
  }

  const GuestShape& shape_;
  const std::string& program_;
  Xml x_;
};

}  // namespace

Result<std::string> domain_xml(const GuestShape& shape, const std::string& program) {
  for (const std::string& text : {shape.name, shape.network.name, program, shape.disk ? shape.disk->path : ""}) {
    if (xml_can_hold(text)) continue;
    return Error{fmt::format("\"{}\" cannot stand in a domain's definition: XML has no such characters. Rename it.",
                             inventory::clean(text, 80))};
  }
  return Domain(shape, program).take();
}

}  // namespace nm::guest
