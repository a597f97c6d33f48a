// What sysfs tells of a function (Documentation/ABI/testing/sysfs-bus-pci in the kernel's sources). Links among the
// devices are relative, and the path that one points to has the bridges in it:
//   /sys/bus/pci/devices/0000:01:00.0 -> ../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0
#include "inventory/pci.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/number.h"

namespace nm::inventory {
namespace {

constexpr uint64_t kIo = 0x100, kMemory = 0x200, kPrefetch = 0x2000, kWide = 0x100000;  // of linux/ioport.h
constexpr size_t kRomLine = 6;

struct ClassName {
  uint32_t code;  // base class and subclass, or base class alone
  std::string_view name;
};
constexpr ClassName kSubclasses[] = {
    {0x0106, "SATA"},  {0x0107, "SAS"},        {0x0108, "NVMe"},        {0x0200, "Ethernet"},   {0x0207, "InfiniBand"},
    {0x0300, "VGA"},   {0x0302, "3D"},         {0x0380, "display"},     {0x0401, "audio"},      {0x0403, "audio"},
    {0x0600, "host"},  {0x0601, "ISA bridge"}, {0x0604, "PCI bridge"},  {0x0680, "bridge"},     {0x0c03, "USB"},
    {0x0c05, "SMBus"}, {0x1080, "encryption"}, {0x1200, "accelerator"}, {0x0480, "multimedia"},
};
constexpr ClassName kClasses[] = {
    {0x01, "storage"}, {0x02, "network"}, {0x03, "display"},    {0x04, "multimedia"},        {0x06, "bridge"},
    {0x07, "serial"},  {0x08, "system"},  {0x10, "encryption"}, {0x11, "signal processing"},
};

std::vector<PciAddress> bridges_in(std::string_view path, const PciAddress& self) {
  std::vector<PciAddress> bridges;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const auto address = parse_pci_address(path.substr(0, slash));
    if (address && *address != self) bridges.insert(bridges.begin(), *address);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return bridges;
}

PciFunction read_function(Reader& reader, const PciAddress& address) {
  const std::string directory = device_directory(address) + "/";
  PciFunction function{.address = address};
  function.vendor = reader.number<uint16_t>(directory + "vendor", 16).value_or(0);
  function.device = reader.number<uint16_t>(directory + "device", 16).value_or(0);
  function.class_code = reader.number<uint32_t>(directory + "class", 16).value_or(0);
  function.driver = reader.link_name(directory + "driver");
  const std::string group = reader.link_name(directory + "iommu_group");
  if (!group.empty()) {
    std::string_view digits = group;
    int number = 0;
    if (take_number(&digits, &number) && digits.empty() && number >= 0) {
      function.iommu_group = number;
    } else {
      reader.trouble(directory + "iommu_group should point to a numbered group and points to \"" + group + "\".");
    }
  }
  const auto node = reader.number<int>(directory + "numa_node");
  if (node && *node >= 0) function.numa_node = *node;
  const Reading place = reader.host.link(device_directory(address));
  if (place) function.bridges = bridges_in(place.text, address);
  return function;
}

// Sizes of a resizable BAR: a hexadecimal mask of which bit n is 2^n MiB.
std::vector<uint64_t> possible_sizes(Reader& reader, const std::string& directory, int index) {
  const auto mask = reader.number<uint64_t>(fmt::format("{}resource{}_resize", directory, index), 16);
  std::vector<uint64_t> sizes;
  for (int bit = 0; mask && bit < 43; ++bit) {
    if (*mask >> bit & 1) sizes.push_back(uint64_t{1} << (20 + bit));
  }
  return sizes;
}

PcieLink read_link(Reader& reader, const std::string& directory, const char* which) {
  return parse_link(reader.text(directory + which + "_link_speed").value_or(""),
                    reader.text(directory + which + "_link_width").value_or(""));
}

std::optional<Bottleneck> find_bottleneck(Reader& reader, const Gpu& gpu) {
  std::optional<Bottleneck> found;
  double least = gpu.link_max.gigabytes();
  if (least <= 0) return found;
  for (const PciAddress& bridge : gpu.function.bridges) {
    const PcieLink link = read_link(reader, device_directory(bridge) + "/", "max");
    // A port that says nothing, or speed without width, is a virtual one.
    if (link.gigabytes() <= 0 || link.gigabytes() >= least) continue;
    least = link.gigabytes();
    found = Bottleneck{bridge, link};
  }
  return found;
}

void read_sriov(Reader& reader, const std::string& directory, Gpu& gpu) {
  const auto total = reader.number<uint32_t>(directory + "sriov_totalvfs");
  if (total && *total > 0) {
    gpu.sriov = Sriov{.total = *total, .enabled = reader.number<uint32_t>(directory + "sriov_numvfs").value_or(0)};
    for (const std::string& name : reader.list(directory)) {
      if (!name.starts_with("virtfn")) continue;
      const auto address = parse_pci_address(reader.link_name(directory + name));
      if (address) gpu.sriov->functions.push_back(*address);
    }
    std::sort(gpu.sriov->functions.begin(), gpu.sriov->functions.end());
  }
  if (reader.host.exists(directory + "physfn")) {
    gpu.physical_function = parse_pci_address(reader.link_name(directory + "physfn"));
  }
}

void read_vgpu_types(Reader& reader, const std::string& directory, Gpu& gpu) {
  const std::string types = directory + "mdev_supported_types";
  if (!reader.host.exists(types)) return;
  for (const std::string& type : reader.list(types)) {
    const std::string path = types + "/" + type + "/";
    gpu.vgpu_types.push_back({.type = clean(type),
                              .name = reader.text(path + "name").value_or(""),
                              .available = reader.number<uint32_t>(path + "available_instances")});
  }
}

// Configuration space that reads as all ones: nobody answers on the bus.
bool answers(Reader& reader, const std::string& directory) {
  const Reading config = reader.host.read(directory + "config", 4);
  return !config || config.text != "\xff\xff\xff\xff";
}

// What the kernel reads from the device itself, and wakes it for.
void ask_device(Reader& reader, const std::string& directory, Gpu& gpu) {
  for (Bar& bar : gpu.bars) bar.possible = possible_sizes(reader, directory, bar.index);
  gpu.link = read_link(reader, directory, "current");
  gpu.link_max = read_link(reader, directory, "max");
  gpu.bottleneck = find_bottleneck(reader, gpu);
  if (!answers(reader, directory)) gpu.state = State::lost;
}

}  // namespace

std::string device_directory(const PciAddress& address) { return "/sys/bus/pci/devices/" + address.text(); }

bool PciFunction::is_gpu() const {
  if (class_code >> 16 == 0x03) return true;
  // "Processing accelerators" of these two are GPUs without a display; of others they are anything.
  return class_code >> 8 == 0x1200 && (vendor == 0x10de || vendor == 0x1002);
}

std::string PciFunction::kind() const {
  for (const ClassName& known : kSubclasses) {
    if (known.code == class_code >> 8) return std::string(known.name);
  }
  if (vendor == 0x10de && class_code >> 8 == 0x0c80) return "UCSI";  // the USB-C port's controller
  for (const ClassName& known : kClasses) {
    if (known.code == class_code >> 16) return std::string(known.name);
  }
  return fmt::format("class {:04x}", class_code >> 8);
}

std::string PciFunction::ids() const { return fmt::format("{:04x}:{:04x}", vendor, device); }

Functions read_functions(Reader& reader) {
  Functions functions;
  for (const std::string& name : reader.list("/sys/bus/pci/devices")) {
    const auto address = parse_pci_address(name);
    if (address) {
      functions.emplace(*address, read_function(reader, *address));
    } else {
      reader.trouble("/sys/bus/pci/devices has \"" + clean(name, 40) + "\", which is no PCI address.");
    }
  }
  return functions;
}

std::vector<Bar> parse_resources(std::string_view text, uint64_t& rom_size, std::vector<std::string>& trouble) {
  std::vector<Bar> bars;
  const auto lines = lines_of(text);
  for (size_t i = 0; i <= kRomLine && i < lines.size(); ++i) {
    uint64_t values[3] = {};
    const auto words = words_of(lines[i]);
    bool good = words.size() == 3;
    for (size_t k = 0; good && k < 3; ++k) {
      std::string_view digits = words[k];
      if (digits.starts_with("0x")) digits.remove_prefix(2);
      good = take_number(&digits, &values[k], 16) && digits.empty();
    }
    if (!good || values[1] < values[0]) {
      trouble.push_back(
          fmt::format("line {} should be start, end and flags and is \"{}\"", i + 1, clean(lines[i], 60)));
      continue;
    }
    // An address of zero is a BAR that got none; its size is end + 1 all the same.
    if (values[2] == 0 || (values[0] == 0 && values[1] == 0)) continue;
    const uint64_t size = values[1] - values[0] + 1;
    if (i == kRomLine) {
      rom_size = size;
    } else {
      bars.push_back({.index = static_cast<int>(i),
                      .address = values[0],
                      .size = size,
                      .io = (values[2] & kIo) && !(values[2] & kMemory),
                      .wide = (values[2] & kWide) != 0,
                      .prefetchable = (values[2] & kPrefetch) != 0});
    }
  }
  if (lines.size() <= kRomLine) trouble.push_back(fmt::format("{} lines where at least 7 should be", lines.size()));
  return bars;
}

PcieLink parse_link(std::string_view speed, std::string_view width) {
  PcieLink link;
  // "16.0 GT/s PCIe", "8 GT/s", "Unknown". By hand: from_chars of doubles differs between C++ libraries.
  std::string_view rest = trimmed(speed);
  unsigned whole = 0, tenth = 0;
  if (!take_number(&rest, &whole) || whole > 10'000) return {};
  if (take_char(&rest, '.') && !rest.empty() && rest[0] >= '0' && rest[0] <= '9')
    tenth = static_cast<unsigned>(rest[0] - '0');
  link.gigatransfers = whole + tenth / 10.0;
  // 0 and 255 are what a port without a link says.
  link.width = number_or<int>(trimmed(width), 0);
  if (link.width < 1 || link.width > 32) link.width = 0;
  return link;
}

double PcieLink::gigabytes() const {
  const double code = gigatransfers <= 5 ? 8.0 / 10 : gigatransfers <= 32 ? 128.0 / 130 : 242.0 / 256;
  return gigatransfers * width * code / 8;
}

std::string PcieLink::text() const {
  return gigatransfers > 0 && width > 0 ? fmt::format("{:.1f} GT/s x{}", gigatransfers, width) : "";
}

uint64_t Gpu::largest_bar() const {
  uint64_t largest = 0;
  for (const Bar& bar : bars) largest = std::max(largest, bar.io ? 0 : bar.size);
  return largest;
}

void read_details(Reader& reader, const Functions& functions, Gpu& gpu) {
  const PciAddress& self = gpu.function.address;
  const std::string directory = device_directory(self) + "/";
  gpu.function.subsystem_vendor = reader.number<uint16_t>(directory + "subsystem_vendor", 16).value_or(0);
  gpu.function.subsystem_device = reader.number<uint16_t>(directory + "subsystem_device", 16).value_or(0);
  gpu.boot_display = reader.number<int>(directory + "boot_vga").value_or(0) == 1;
  gpu.power_state = reader.text(directory + "power_state").value_or("");
  gpu.driver_override = reader.text(directory + "driver_override").value_or("");
  if (gpu.driver_override == "(null)") gpu.driver_override.clear();
  if (const auto resources = reader.raw(directory + "resource", 8192)) {
    std::vector<std::string> trouble;
    gpu.bars = parse_resources(*resources, gpu.rom_size, trouble);
    for (const std::string& sentence : trouble) reader.trouble(directory + "resource: " + sentence + ".");
  }
  const auto resets = reader.text(directory + "reset_method");
  if (resets) {
    for (const std::string_view word : words_of(*resets)) gpu.reset_methods.emplace_back(word);
  } else if (reader.host.exists(directory + "reset")) {
    gpu.reset_methods = {"unnamed"};  // kernels before 5.15 have one and do not say which
  }
  gpu.asleep = reader.text(directory + "power/runtime_status").value_or("") == "suspended";
  if (!gpu.asleep) ask_device(reader, directory, gpu);
  read_sriov(reader, directory, gpu);
  read_vgpu_types(reader, directory, gpu);
  for (const auto& [address, function] : functions) {
    if (address != self && address.same_slot(self) && !function.is_bridge()) gpu.card.push_back(function);
  }
  // Intel's is on the root bus itself; AMD's shares its slot with the processor's security processor.
  const bool shares_with_processor = std::any_of(
      gpu.card.begin(), gpu.card.end(), [](const PciFunction& function) { return function.class_code >> 8 == 0x1080; });
  gpu.integrated = (gpu.function.vendor == 0x8086 && gpu.function.bridges.empty()) ||
                   (gpu.function.vendor == 0x1002 && shares_with_processor);
}

}  // namespace nm::inventory
