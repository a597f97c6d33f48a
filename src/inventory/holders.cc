// A process shows what it has open in /proc/PID/fd, to its own user and to root. Its name and its command line it shows
// to everybody: of a daemon that is known to hold GPUs, these are enough to say that it might.
#include "inventory/holders.h"

#include <errno.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/number.h"
#include "inventory/pci.h"

namespace nm::inventory {
namespace {

constexpr size_t kMostFiles = 8;  // of one holder; more tell nothing new

struct KnownProcess {
  std::string_view comm;  // the kernel keeps 15 characters of it
  Holder::Kind kind;
};
constexpr KnownProcess kKnown[] = {
    {"nvidia-persiste", Holder::Kind::persistence},
    {"dcgm-exporter", Holder::Kind::exporter},
    {"nv-hostengine", Holder::Kind::exporter},
    {"nvidia_gpu_expo", Holder::Kind::exporter},
    {"Xorg", Holder::Kind::display},
    {"X", Holder::Kind::display},
    {"Xwayland", Holder::Kind::display},
    {"gnome-shell", Holder::Kind::display},
    {"kwin_wayland", Holder::Kind::display},
    {"sway", Holder::Kind::display},
    {"weston", Holder::Kind::display},
    {"Hyprland", Holder::Kind::display},
    {"mutter", Holder::Kind::display},
    {"gamescope", Holder::Kind::display},
    {"plymouthd", Holder::Kind::display},
    {"pipewire", Holder::Kind::audio},
    {"wireplumber", Holder::Kind::audio},
    {"pulseaudio", Holder::Kind::audio},
    {"cloud-hyperviso", Holder::Kind::virtual_machine},
    {"crosvm", Holder::Kind::virtual_machine},
    {"nearmetald", Holder::Kind::server},
};

// Which file belongs to which GPUs (a group may have two).
using FileOwners = std::map<std::string, std::vector<size_t>>;

void own(FileOwners& owners, const std::string& file, size_t gpu) {
  auto& list = owners[file];
  if (list.empty() || list.back() != gpu) list.push_back(gpu);
}

FileOwners files_of(Reader& reader, const std::vector<Gpu>& gpus, const std::vector<int>& minors) {
  FileOwners owners;
  for (size_t i = 0; i < gpus.size(); ++i) {
    const Gpu& gpu = gpus[i];
    if (minors[i] >= 0) own(owners, fmt::format("/dev/nvidia{}", minors[i]), i);
    if (gpu.function.iommu_group) {
      own(owners, fmt::format("/dev/vfio/{}", *gpu.function.iommu_group), i);
      own(owners, fmt::format("/dev/vfio/noiommu-{}", *gpu.function.iommu_group), i);
    }
    const std::string directory = device_directory(gpu.function.address) + "/";
    for (const std::string& name : reader.list(directory + "drm")) own(owners, "/dev/dri/" + name, i);
    for (const std::string& name : reader.list(directory + "graphics")) own(owners, "/dev/" + name, i);
    for (const std::string& name : reader.list(directory + "vfio-dev")) own(owners, "/dev/vfio/devices/" + name, i);
    for (const PciFunction& companion : gpu.card) {
      for (const std::string& card : reader.list(device_directory(companion.address) + "/sound")) {
        if (!card.starts_with("card")) continue;
        const std::string number = card.substr(4);
        own(owners, "/dev/snd/controlC" + number, i);
        for (int device = 0; device < 16; ++device) own(owners, fmt::format("/dev/snd/pcmC{}D{}p", number, device), i);
      }
    }
  }
  return owners;
}

// A program may also map a BAR by itself: ".../0000:65:00.0/resource0".
void own_resource(const std::string& file, const std::vector<Gpu>& gpus, std::vector<size_t>& owners) {
  if (!file.starts_with("/sys/") || !last_part(file).starts_with("resource")) return;
  const std::string_view directory = std::string_view(file).substr(0, file.rfind('/'));
  const auto address = parse_pci_address(last_part(directory));
  for (size_t i = 0; address && i < gpus.size(); ++i) {
    if (gpus[i].function.address == *address) owners.push_back(i);
  }
}

bool looks_like_qemu(std::string_view comm) { return comm.starts_with("qemu") || comm == "kvm"; }

class ProcessScan {
 public:
  ProcessScan(Reader& reader, Inventory& inventory, FileOwners owners)
      : reader_(reader), inventory_(inventory), owners_(std::move(owners)) {}

  void look_at(int pid) {
    const std::string directory = fmt::format("/proc/{}/", pid);
    const Listing files = reader_.host.list(directory + "fd");
    if (files.error == ENOENT || files.error == ESRCH) return;  // it has ended
    const Reading comm = reader_.host.read(directory + "comm", 64);
    const std::string name = full_name(directory, clean(comm.text));
    const bool qemu = looks_like_qemu(name);
    const QemuLine line = qemu ? parse_qemu_line(reader_.host.read(directory + "cmdline", 256 << 10).text) : QemuLine{};
    const Holder::Kind kind = qemu ? Holder::Kind::virtual_machine : kind_of_process(name);
    Holder holder{.kind = kind, .pid = pid, .name = name, .guest = line.name};

    std::map<size_t, std::vector<std::string>> held;
    for (const std::string& fd : files.names) {
      const Reading target = reader_.host.link(directory + "fd/" + fd);
      if (!target) continue;
      const auto known = owners_.find(target.text);
      std::vector<size_t> owners = known != owners_.end() ? known->second : std::vector<size_t>{};
      own_resource(target.text, inventory_.gpus, owners);
      for (const size_t gpu : owners) {
        auto& list = held[gpu];
        if (list.size() < kMostFiles && std::find(list.begin(), list.end(), target.text) == list.end()) {
          list.push_back(clean(target.text));
        }
      }
    }
    // A QEMU's line says which devices it began with, to everybody.
    for (size_t i = 0; i < inventory_.gpus.size(); ++i) {
      const PciAddress& address = inventory_.gpus[i].function.address;
      if (std::find(line.devices.begin(), line.devices.end(), address) != line.devices.end()) held[i];
    }
    for (auto& [gpu, list] : held) {
      holder.files = std::move(list);
      inventory_.gpus[gpu].holders.push_back(holder);
    }
    if (files.error == EACCES || files.error == EPERM) {
      ++inventory_.processes_unseen;
      if (held.empty()) suspect(std::move(holder));
    }
  }

 private:
  // The kernel keeps 15 characters of a name; the command line has them all.
  std::string full_name(const std::string& directory, const std::string& comm) const {
    if (comm.size() < 15) return comm;
    const std::string line = reader_.host.read(directory + "cmdline", 4096).text;
    const std::string program = clean(last_part(std::string_view(line).substr(0, line.find('\0'))));
    return program.starts_with(comm) ? program : comm;
  }

  // Daemons that hold every GPU of their driver as a rule.
  void suspect(Holder holder) {
    const bool nvidia = holder.kind == Holder::Kind::persistence || holder.kind == Holder::Kind::exporter;
    if (!nvidia && holder.kind != Holder::Kind::display) return;
    holder.certain = false;
    for (Gpu& gpu : inventory_.gpus) {
      const std::string& driver = gpu.function.driver;
      if (nvidia ? driver == "nvidia" : gpu.boot_display && !driver.empty()) gpu.holders.push_back(holder);
    }
  }

  Reader& reader_;
  Inventory& inventory_;
  FileOwners owners_;
};

// The framebuffer that the firmware left is in one GPU's memory, though no file says in whose: /proc/iomem does, to
// root; else it is the one that the firmware chose to show its messages.
size_t owner_of_firmware_framebuffer(Reader& reader, const std::vector<Gpu>& gpus) {
  const std::string map = reader.host.read("/proc/iomem", 1 << 20).text;
  for (const std::string_view line : lines_of(map)) {
    const std::string_view what = trimmed(line.substr(std::min(line.size(), line.find(" : "))));
    if (what != ": BOOTFB" && what != ": efifb" && what != ": simplefb" && what != ": simpledrm" &&
        what != ": vesafb") {
      continue;
    }
    std::string_view digits = line;
    uint64_t start = 0;
    if (!take_number(&digits, &start, 16) || start == 0) continue;  // all zeros without root
    for (size_t i = 0; i < gpus.size(); ++i) {
      for (const Bar& bar : gpus[i].bars) {
        if (!bar.io && start >= bar.address && start - bar.address < bar.size) return i;
      }
    }
  }
  for (size_t i = 0; i < gpus.size(); ++i) {
    if (gpus[i].boot_display) return i;
  }
  return gpus.size();
}

bool firmware_framebuffer(std::string_view name) {
  return name.starts_with("EFI VGA") || name.starts_with("VESA VGA") || name.starts_with("simple");
}

void find_framebuffers(Reader& reader, std::vector<Gpu>& gpus) {
  bool console_on_framebuffer = false;
  for (const std::string& console : reader.list("/sys/class/vtconsole")) {
    const std::string directory = "/sys/class/vtconsole/" + console + "/";
    if (reader.text(directory + "name").value_or("").find("frame buffer") == std::string::npos) continue;
    console_on_framebuffer |= reader.number<int>(directory + "bind").value_or(0) == 1;
  }
  for (const std::string& name : reader.list("/sys/class/graphics")) {
    if (!name.starts_with("fb") || name == "fbcon") continue;
    const std::string directory = "/sys/class/graphics/" + name + "/";
    const std::string driver = reader.text(directory + "name").value_or("");
    const auto device = parse_pci_address(reader.link_name(directory + "device"));
    size_t owner = gpus.size();
    for (size_t i = 0; device && i < gpus.size(); ++i) {
      if (gpus[i].function.address == *device) owner = i;
    }
    if (!device && firmware_framebuffer(driver)) owner = owner_of_firmware_framebuffer(reader, gpus);
    if (owner == gpus.size()) continue;
    gpus[owner].holders.push_back(
        {.kind = Holder::Kind::framebuffer, .name = name + (driver.empty() ? "" : " (" + driver + ")")});
    if (console_on_framebuffer && name == "fb0") {
      gpus[owner].holders.push_back({.kind = Holder::Kind::console, .name = "text console"});
    }
  }
}

// "/sys/class/drm/card0-HDMI-A-1/status" is "connected".
void find_monitors(Reader& reader, std::vector<Gpu>& gpus) {
  for (Gpu& gpu : gpus) {
    const std::string directory = device_directory(gpu.function.address) + "/drm/";
    for (const std::string& card : reader.list(directory)) {
      if (!card.starts_with("card")) continue;
      for (const std::string& connector : reader.list(directory + card)) {
        if (!connector.starts_with(card + "-")) continue;
        if (reader.text(directory + card + "/" + connector + "/status").value_or("") == "connected") {
          gpu.monitors.push_back(clean(connector.substr(card.size() + 1)));
        }
      }
    }
  }
}

// Every address that stands behind host= in one argument: "vfio-pci,host=65:00.0,id=x", or, as libvirt writes it,
// {"driver":"vfio-pci","host":"0000:65:00.0"}.
void add_devices(std::string_view argument, std::vector<PciAddress>& devices) {
  if (argument.find("vfio-pci") == std::string_view::npos) return;
  for (size_t at = argument.find("host"); at != std::string_view::npos; at = argument.find("host", at + 1)) {
    std::string_view rest = argument.substr(at + 4);
    while (!rest.empty() && (rest[0] == '"' || rest[0] == ':' || rest[0] == '=' || rest[0] == ' '))
      rest.remove_prefix(1);
    const size_t end = rest.find_first_not_of("0123456789abcdefABCDEF:.");
    if (const auto address = parse_pci_address(rest.substr(0, end))) devices.push_back(*address);
  }
}

// "guest=train1,debug-threads=on" or "train1,process=x". A comma in a name is written twice.
std::string guest_name(std::string_view value) {
  constexpr std::string_view kKey = "guest=";
  const size_t key = value.find(kKey);
  if (key != std::string_view::npos) value.remove_prefix(key + kKey.size());
  std::string name;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == ',') {
      if (i + 1 == value.size() || value[i + 1] != ',') break;
      ++i;
    }
    name += value[i];
  }
  return clean(name);
}

}  // namespace

QemuLine parse_qemu_line(std::string_view cmdline) {
  QemuLine line;
  std::string_view before;
  while (!cmdline.empty()) {
    const size_t end = cmdline.find('\0');
    const std::string_view argument = cmdline.substr(0, end);
    if (before == "-name" || before == "--name") line.name = guest_name(argument);
    if (before == "-device" || before == "--device") add_devices(argument, line.devices);
    before = argument;
    if (end == std::string_view::npos) break;
    cmdline.remove_prefix(end + 1);
  }
  return line;
}

Holder::Kind kind_of_process(std::string_view comm) {
  for (const KnownProcess& known : kKnown) {
    if (known.comm == comm.substr(0, 15)) return known.kind;
  }
  return Holder::Kind::process;
}

void find_holders(Reader& reader, const std::vector<int>& minors, Inventory& inventory) {
  if (inventory.gpus.empty()) return;
  ProcessScan scan(reader, inventory, files_of(reader, inventory.gpus, minors));
  std::vector<int> pids;
  for (const std::string& name : reader.list("/proc")) {
    std::string_view digits = name;
    int pid = 0;
    if (take_number(&digits, &pid) && digits.empty() && pid > 0) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  for (const int pid : pids) scan.look_at(pid);
  find_framebuffers(reader, inventory.gpus);
  find_monitors(reader, inventory.gpus);
}

}  // namespace nm::inventory
