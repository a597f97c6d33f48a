// The command as one would type it: every option in QEMU's key=value form, so that `--dry-run` can be read.
#include <fmt/format.h>

#include <algorithm>

#include "guest/render.h"

namespace nm::guest {
namespace {

constexpr const char* kVendorId = "nearmetal";  // what a guest is told instead of KVM's name; at most 12 characters

std::string cpu(const GuestShape& shape) {
  std::string text = shape.kvm
                         ? "host,migratable=off,host-phys-bits=on"
                         : fmt::format("max,phys-bits={}{}", shape.physical_bits, shape.ovmf ? ",pdpe1gb=off" : "");
  if (shape.amd && shape.threads > 1) text += ",topoext=on";  // else an AMD guest sees threads as cores
  if (shape.hide_hypervisor) text += fmt::format(",kvm=off,hv_vendor_id={}", kVendorId);
  return text;
}

std::string backend(const GuestNode& node, size_t index) {
  std::string text = node.page_size ? fmt::format("memory-backend-memfd,id=mem{},size={}M,hugetlb=on,hugetlbsize={}M",
                                                  index, node.memory / kMiB, node.page_size / kMiB)
                                    : fmt::format("memory-backend-ram,id=mem{},size={}M", index, node.memory / kMiB);
  // Now rather than when it is touched: that is when the node is chosen, and a shortage is an error and no crash.
  text += ",prealloc=on";
  if (node.bind) text += fmt::format(",host-nodes={},policy=bind", node.host_node);
  return text;
}

class Line {
 public:
  explicit Line(const GuestShape& shape) : shape_(shape) {}

  std::vector<std::string> take(const std::string& program, const RunPaths& paths) {
    words_ = {program, "-no-user-config", "-nodefaults"};
    add("-name", "guest=" + option_text(shape_.name) + ",debug-threads=on");
    machine();
    memory();
    firmware(paths);
    buses();
    for (const RootPort& port : shape_.ports) devices(port);
    disk();
    network();
    add("-rtc", "base=utc");
    add("-display", "none");
    add("-vga", "none");
    // Ctrl-C is the guest's; Ctrl-A X ends it.
    add("-chardev", "stdio,id=console,mux=on,signal=off");
    add("-serial", "chardev:console");
    add("-mon", "chardev=console,mode=readline");
    add("-qmp", "unix:" + option_text(paths.qmp) + ",server=on,wait=off");
    return std::move(words_);
  }

 private:
  void add(const char* option, std::string value) {
    words_.emplace_back(option);
    words_.push_back(std::move(value));
  }

  void machine() {
    std::string text = fmt::format("q35,accel={}", shape_.kvm ? "kvm" : "tcg");
    if (!shape_.numa()) text += ",memory-backend=mem0";
    add("-machine", text);
    add("-cpu", cpu(shape_));
    add("-smp", fmt::format("cpus={},sockets={},cores={},threads={}", shape_.vcpus.size(), shape_.sockets, shape_.cores,
                            shape_.threads));
    add("-global", fmt::format("q35-pcihost.pci-hole64-size={}", shape_.space.hole64_size));
  }

  void memory() {
    add("-m", fmt::format("{}M", shape_.memory() / kMiB));
    for (size_t i = 0; i < shape_.nodes.size(); ++i) add("-object", backend(shape_.nodes[i], i));
    if (!shape_.numa()) return;
    for (size_t i = 0; i < shape_.nodes.size(); ++i) add("-numa", fmt::format("node,nodeid={0},memdev=mem{0}", i));
    for (size_t i = 0; i < shape_.nodes.size(); ++i) add("-numa", fmt::format("cpu,node-id={0},socket-id={0}", i));
    for (size_t i = 0; i < shape_.nodes.size(); ++i) {
      for (size_t k = 0; k < shape_.nodes[i].distances.size(); ++k) {
        add("-numa", fmt::format("dist,src={},dst={},val={}", i, k, shape_.nodes[i].distances[k]));
      }
    }
  }

  void firmware(const RunPaths& paths) {
    if (!shape_.ovmf) return;
    add("-drive", fmt::format("if=pflash,unit=0,format=raw,readonly=on,file={}", option_text(shape_.ovmf->code)));
    add("-drive", fmt::format("if=pflash,unit=1,format=raw,file={}", option_text(paths.variables)));
    add("-fw_cfg", fmt::format("name=opt/ovmf/X-PciMmio64Mb,string={}", shape_.space.window_size / kMiB));
  }

  void buses() {
    for (size_t i = 0; shape_.numa() && i < shape_.nodes.size(); ++i) {
      add("-device", fmt::format("pxb-pcie,id=node{},bus=pcie.0,addr={:#x},bus_nr={},numa_node={}", i,
                                 kFirstSlot + static_cast<int>(i), expander_bus(i, shape_.nodes.size()), i));
    }
    int chassis = 0;
    for (const auto& [port, slot] : slotted(shape_)) {
      const std::string bus = shape_.numa() ? fmt::format("node{}", port->node) : "pcie.0";
      ++chassis;
      // Ports without I/O BARs behind them reserve none: there is room for fifteen.
      add("-device",
          fmt::format("pcie-root-port,id={},bus={},addr={:#x},chassis={},port={},pref64-reserve={}M,mem-reserve={}M{}",
                      port->id, bus, slot, chassis, chassis, port->window.prefetchable / kMiB, port->window.low / kMiB,
                      port->window.io ? "" : ",io-reserve=0"));
    }
  }

  void devices(const RootPort& port) {
    for (const PassedFunction& function : port.functions) {
      std::string text = fmt::format("vfio-pci,id={},host={},bus={},addr=0x0.{:#x}", device_id(port, function),
                                     function.host.text(), port.id, function.function);
      if (function.function == 0 && port.functions.size() > 1) text += ",multifunction=on";
      if (function.function == 0 && port.clique) text += fmt::format(",x-nv-gpudirect-clique={}", *port.clique);
      add("-device", text);
    }
  }

  void disk() {
    if (!shape_.disk) return;
    const Disk& disk = *shape_.disk;
    add("-object", "iothread,id=io0");
    add("-blockdev", fmt::format("driver=file,node-name=disk0-file,filename={},discard=unmap,{}",
                                 option_text(disk.path), disk.direct ? "cache.direct=on,aio=native" : "aio=threads"));
    add("-blockdev", fmt::format("driver={},node-name=disk0,file=disk0-file,discard=unmap{}", disk.format,
                                 disk.direct ? ",cache.direct=on" : ""));
    add("-device",
        fmt::format("virtio-blk-pci,id=virtio-disk0,bus=pcie.0,addr={:#x},drive=disk0,iothread=io0,bootindex=1",
                    kDiskSlot));
  }

  void network() {
    const std::string name = option_text(shape_.network.name);
    switch (shape_.network.kind) {
      case Network::Kind::none:
        return;
      case Network::Kind::user:
        add("-netdev", "user,id=net0");
        break;
      case Network::Kind::bridge:
        add("-netdev", "bridge,id=net0,br=" + name);
        break;
      case Network::Kind::tap:
        add("-netdev", fmt::format("tap,id=net0,ifname={},script=no,downscript=no{}", name,
                                   shape_.vhost_net && shape_.kvm ? ",vhost=on" : ""));
        break;
    }
    add("-device", fmt::format("virtio-net-pci,id=virtio-net0,bus=pcie.0,addr={:#x},netdev=net0", kNetSlot));
  }

  const GuestShape& shape_;
  std::vector<std::string> words_;
};

}  // namespace

std::string device_id(const RootPort& port, const PassedFunction& function) {
  return fmt::format("{}-f{}", port.id, function.function);
}

std::string option_text(std::string_view text) {
  std::string out;
  for (const char c : text) out.append(c == ',' ? 2 : 1, c);
  return out;
}

int expander_bus(size_t node, size_t nodes) { return static_cast<int>(0x40 + node * (0xc0 / nodes)); }

std::vector<Slotted> slotted(const GuestShape& shape) {
  // An expander's bus begins with slot 0; on the root complex the first ones are the chipset's, disk and network.
  std::vector<int> next(shape.nodes.size(), shape.numa() ? 0 : kFirstSlot);
  std::vector<Slotted> all;
  for (const RootPort& port : shape.ports) all.push_back({&port, next[static_cast<size_t>(port.node)]++});
  return all;
}

std::vector<std::string> qemu_line(const GuestShape& shape, const std::string& program, const RunPaths& paths) {
  return Line(shape).take(program, paths);
}

}  // namespace nm::guest
