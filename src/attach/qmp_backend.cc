#include "attach/qmp_backend.h"

#include <fmt/format.h>
#include <limits.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <set>

#include "attach/qemu.h"
#include "attach/qmp.h"
#include "attach/qmp_device.h"
#include "base/number.h"

namespace nm::attach {
namespace {

constexpr Millis kGreeting{15'000}, kAnswer{30'000};
constexpr uint64_t kBridgeClass = 0x0604;

struct Port {
  std::string id;
  uint64_t window = 0;  // for prefetchable memory, as the guest has set it up; 0: not yet
};

uint64_t number_in(const Qmp::Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

// Every port with nothing behind it, however deep below others.
void find_empty_ports(const Qmp::Json& devices, std::vector<Port>& ports, int depth = 0) {
  if (!devices.is_array() || depth > 16) return;
  for (const auto& device : devices) {
    if (!device.is_object() || !device.contains("pci_bridge") || !device["pci_bridge"].is_object()) continue;
    const auto& bridge = device["pci_bridge"];
    if (bridge.contains("devices") && bridge["devices"].is_array() && !bridge["devices"].empty()) {
      find_empty_ports(bridge["devices"], ports, depth + 1);
      continue;
    }
    if (!device.contains("class_info") || number_in(device["class_info"], "class") != kBridgeClass) continue;
    if (!device.contains("qdev_id") || !device["qdev_id"].is_string()) continue;
    Port port{.id = device["qdev_id"].get<std::string>()};
    if (bridge.contains("bus") && bridge["bus"].is_object() && bridge["bus"].contains("prefetchable_range")) {
      const auto& range = bridge["bus"]["prefetchable_range"];
      const uint64_t base = range.is_object() ? number_in(range, "base") : 0;
      const uint64_t limit = range.is_object() ? number_in(range, "limit") : 0;
      if (base != 0 && limit > base) port.window = limit - base + 1;
    }
    ports.push_back(std::move(port));
  }
}

bool hot_plug_type(const std::string& type) {
  return type == "pcie-root-port" || type == "ioh3420" || type == "xio3130-downstream";
}

// What the largest prefetchable BARs of a card need behind one port.
uint64_t window_needed(const inventory::Gpu& gpu) {
  uint64_t sum = 0;
  for (const inventory::Bar& bar : gpu.bars) {
    if (!bar.io && bar.prefetchable) sum += bar.size;
  }
  return sum;
}

// The ports that have a device on their bus. Of what lies behind a port query-pci tells only once the guest's firmware
// has numbered the buses.
Result<std::set<std::string>> taken_ports(Qmp& qmp, const std::map<std::string, std::string>& devices) {
  std::set<std::string> taken;
  for (const auto& [id, type] : devices) {
    const auto bus =
        qmp.command("qom-get", {{"path", "/machine/peripheral/" + id}, {"property", "parent_bus"}}, kAnswer);
    if (!bus) return bus.error();
    if (!bus->good() || !bus->value.is_string()) continue;  // gone meanwhile, or on no bus
    // "/machine/peripheral/PORT/BUS"
    constexpr std::string_view kPrefix = "/machine/peripheral/";
    const auto path = bus->value.get<std::string>();
    if (!path.starts_with(kPrefix)) continue;
    const size_t end = path.find('/', kPrefix.size());
    if (end != std::string::npos) taken.insert(path.substr(kPrefix.size(), end - kPrefix.size()));
  }
  return taken;
}

Result<Port> choose_port(Qmp& qmp, const Guest& guest, uint64_t needed) {
  const auto buses = qmp.command("query-pci", Qmp::Json::object(), kAnswer);
  if (!buses) return buses.error();
  if (!buses->good() || !buses->value.is_array()) {
    return Error{fmt::format("VM {} does not list its PCI devices: {}.", guest.name, buses->error)};
  }
  const auto types = qmp_devices(qmp, kAnswer);
  if (!types) return types.error();
  const auto taken = taken_ports(qmp, *types);
  if (!taken) return taken.error();
  std::vector<Port> empty, ports;
  for (const auto& bus : buses->value) {
    if (bus.is_object() && bus.contains("devices")) find_empty_ports(bus["devices"], empty);
  }
  for (const Port& port : empty) {
    const auto type = types->find(port.id);
    if (type == types->end() || !hot_plug_type(type->second) || taken->contains(port.id)) continue;
    const auto hot =
        qmp.command("qom-get", {{"path", "/machine/peripheral/" + port.id}, {"property", "hotplug"}}, kAnswer);
    if (!hot) return hot.error();
    if (hot->good() && hot->value.is_boolean() && !hot->value.get<bool>())
      continue;  // older QEMUs have no such property
    ports.push_back(port);
  }
  if (ports.empty()) {
    return Error{
        fmt::format("VM {} has no empty PCIe root port to plug a GPU into. Start it with one for each GPU to come: "
                    "-machine q35 -device pcie-root-port,id=gpu1,chassis=1,slot=1{}",
                    guest.name, needed > 0 ? fmt::format(",pref64-reserve={}", needed * 2) : "")};
  }
  // The smallest window that is enough, or else the largest.
  const auto better = [&](const Port& a, const Port& b) {
    const bool enough = a.window >= needed, other = b.window >= needed;
    if (enough != other) return enough;
    return enough ? a.window < b.window : a.window > b.window;
  };
  return *std::min_element(ports.begin(), ports.end(), better);
}

}  // namespace

Result<std::vector<Guest>> QmpBackend::guests() {
  std::vector<Guest> guests;
  for (const QemuProcess& process : find_qemus(host_)) {
    if (process.sockets.empty()) continue;
    guests.push_back({.backend = "qmp", .name = process.name, .id = process.sockets[0], .pid = process.pid});
  }
  return guests;
}

Result<std::optional<Guest>> QmpBackend::named(const std::string& name) {
  const auto qemus = find_qemus(host_);
  std::string_view digits = name;
  pid_t pid = 0;
  if (take_number(&digits, &pid) && digits.empty()) {
    for (const QemuProcess& process : qemus) {
      if (process.pid != pid) continue;
      if (process.sockets.empty()) {
        return Error{fmt::format("VM {} (pid {}) has no QMP socket. Start it with -qmp unix:PATH,server=on,wait=off",
                                 process.name, pid)};
      }
      return std::optional<Guest>({.backend = "qmp", .name = process.name, .id = process.sockets[0], .pid = pid});
    }
  }
  for (const QemuProcess& process : qemus) {
    if (process.name == name && process.sockets.empty()) {
      return Error{fmt::format("VM {} (pid {}) has no QMP socket. Start it with -qmp unix:PATH,server=on,wait=off",
                               name, process.pid)};
    }
  }
  if (name.find('/') == std::string::npos) return std::optional<Guest>();
  // One path for one machine, however it is written: it is what is locked and remembered.
  char resolved[PATH_MAX];
  const std::string path = ::realpath(name.c_str(), resolved) ? resolved : name;
  for (const QemuProcess& process : qemus) {
    if (std::find(process.sockets.begin(), process.sockets.end(), path) != process.sockets.end()) {
      return std::optional<Guest>({.backend = "qmp", .name = process.name, .id = path, .pid = process.pid});
    }
  }
  const auto qmp = Qmp::connect(path, kGreeting);
  if (!qmp) return qmp.error();
  // Whoever listens may do so for another process, as a service manager does; that one is not the one to watch.
  const bool itself =
      std::any_of(qemus.begin(), qemus.end(), [&](const QemuProcess& process) { return process.pid == qmp->peer(); });
  return std::optional<Guest>({.backend = "qmp", .name = path, .id = path, .pid = itself ? qmp->peer() : 0});
}

Result<Plan> QmpBackend::plan(const Handover& handover, const Guest& guest) {
  if (handover.persistent) {
    return Error{
        fmt::format("VM {} is a QEMU of its own and has no definition that could be changed. Leave --persistent "
                    "out, or name the device on its command line.",
                    guest.name)};
  }
  auto qmp = Qmp::connect(guest.id, kGreeting);
  if (!qmp) return qmp.error();
  const uint64_t needed = window_needed(handover.gpu);
  const auto port = choose_port(*qmp, guest, needed);
  if (!port) return port.error();

  QmpDevice device{.socket = guest.id, .guest = guest.name, .pid = guest.pid, .bus = port->id};
  if (device.pid > 0) device.pid_started = start_of_process(host_, device.pid);
  std::vector<PciAddress> functions;
  for (const auto& function : handover.functions) functions.push_back(function.address);
  std::sort(functions.begin(), functions.end());
  // With function 0 among them all keep their numbers; a lone virtual function becomes number 0.
  const bool keep = functions.size() > 1 && functions[0].function == 0;
  Plan plan;
  for (size_t i = functions.size(); i-- > 0;) {
    device.function = functions[i];
    device.number = keep ? functions[i].function : static_cast<int>(i);
    device.multifunction = device.number == 0 && functions.size() > 1;
    plan.steps.push_back(add_qmp_device(device));
  }
  if (port->window != 0 && port->window < needed) {
    plan.notes.push_back(
        fmt::format("The port {} of VM {} has room for {} MiB, and the GPU's memory needs {} MiB: the guest may find "
                    "no place for it. "
                    "Start the machine with pref64-reserve={} on that port.",
                    port->id, guest.name, port->window >> 20, needed >> 20, needed * 2));
  }
  return plan;
}

Result<std::unique_ptr<Step>> QmpBackend::step(std::string_view kind, const Json& record) {
  if (kind != "qmp-device") return std::unique_ptr<Step>();
  return read_qmp_device(record);
}

Result<bool> QmpBackend::has(const std::string& guest_id, const std::vector<PciAddress>& functions) {
  if (nobody_listens(guest_id)) return false;
  auto qmp = Qmp::connect(guest_id, kGreeting);
  if (!qmp) return nobody_listens(guest_id) ? Result<bool>(false) : Result<bool>(qmp.error());
  const auto devices = qmp_devices(*qmp, kAnswer);
  if (!devices) return devices.error();
  return std::any_of(functions.begin(), functions.end(),
                     [&](const PciAddress& function) { return devices->contains(qmp_device_id(function)); });
}

}  // namespace nm::attach
