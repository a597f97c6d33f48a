#include "inventory/fake_host.h"

#include <fmt/format.h>

#include <fstream>

namespace nm::inventory {

void FakeHost::directory(const std::string& path) { std::filesystem::create_directories(root_ / path.substr(1)); }

void FakeHost::file(const std::string& path, const std::string& text) {
  const auto where = root_ / path.substr(1);
  std::filesystem::create_directories(where.parent_path());
  std::filesystem::remove(where);
  std::ofstream(where, std::ios::binary) << text;
}

void FakeHost::link(const std::string& path, const std::string& target) {
  const auto where = root_ / path.substr(1);
  std::filesystem::create_directories(where.parent_path());
  std::filesystem::remove(where);
  std::filesystem::create_symlink(target, where);
}

std::string FakeHost::directory_of(const std::string& address) const {
  for (const auto& [known, place] : places_) {
    if (known == address) return place;
  }
  return "";
}

void FakeHost::add(const FakeFunction& function) {
  std::string below = "devices/pci" + function.address.substr(0, 4) + ":00";
  for (const std::string& bridge : function.bridges) below += "/" + bridge;
  below += "/" + function.address;
  const std::string at = "/sys/" + below + "/";
  places_.emplace_back(function.address, at);
  link("/sys/bus/pci/devices/" + function.address, "../../../" + below);
  file(at + "vendor", "0x" + function.vendor + "\n");
  file(at + "device", "0x" + function.device + "\n");
  file(at + "class", "0x" + function.class_code + "\n");
  file(at + "numa_node", fmt::format("{}\n", function.numa));
  file(at + "driver_override", "(null)\n");
  file(at + "power_state", "D0\n");
  file(at + "config", "\xde\x10\x04\x22");
  file(at + "modalias", fmt::format("pci:v0000{}d0000{}sv00001028sd00001234bc{}sc{}i{}\n", function.vendor,
                                    function.device, function.class_code.substr(0, 2), function.class_code.substr(2, 2),
                                    function.class_code.substr(4, 2)));
  if (function.class_code == "030000") file(at + "boot_vga", function.boot_vga ? "1\n" : "0\n");
  std::string resources;
  for (size_t i = 0; i < 13; ++i) {
    uint64_t size = i < function.bars.size() ? function.bars[i].first : 0, flags = 0;
    if (size) flags = function.bars[i].second;
    if (i == 6 && function.rom) size = function.rom, flags = 0x46200;
    const uint64_t start = size ? (next_address_ + size - 1) / size * size : 0;
    if (size) next_address_ = start + size;
    resources += fmt::format("0x{:016x} 0x{:016x} 0x{:016x}\n", start, size ? start + size - 1 : 0, flags);
  }
  file(at + "resource", resources);
  if (!function.reset.empty()) file(at + "reset_method", function.reset + "\n");
  if (!function.speed_max.empty()) {
    file(at + "current_link_speed", (function.speed.empty() ? function.speed_max : function.speed) + "\n");
    file(at + "max_link_speed", function.speed_max + "\n");
    file(at + "current_link_width", (function.width.empty() ? function.width_max : function.width) + "\n");
    file(at + "max_link_width", function.width_max + "\n");
  }
  if (!function.driver.empty()) {
    directory("/sys/bus/pci/drivers/" + function.driver);
    link(at + "driver", "../../../../bus/pci/drivers/" + function.driver);
  }
  if (function.group >= 0) {
    const std::string group = fmt::format("kernel/iommu_groups/{}", function.group);
    link(at + "iommu_group", "../../../../" + group);
    link("/sys/" + group + "/devices/" + function.address, "../../../../" + below);
    file("/sys/" + group + "/type", "DMA-FQ\n");
  }
}

void FakeHost::process(int pid, const std::string& name, const std::vector<std::string>& files,
                       const std::vector<std::string>& arguments) {
  const std::string at = fmt::format("/proc/{}/", pid);
  file(at + "comm", name.substr(0, 15) + "\n");
  std::string line;
  for (const std::string& argument : arguments.empty() ? std::vector<std::string>{name} : arguments) {
    line += argument;
    line += '\0';
  }
  file(at + "cmdline", line);
  directory(at + "fd");
  for (size_t i = 0; i < files.size(); ++i) link(fmt::format("{}fd/{}", at, i + 3), files[i]);
}

void FakeHost::processor(const std::string& vendor, const std::string& flags, const std::string& cmdline) {
  file("/proc/cpuinfo", fmt::format("processor\t: 0\nvendor_id\t: {}\nmodel name\t: a processor\nflags\t\t: fpu {}\n"
                                    "address sizes\t: 46 bits physical, 48 bits virtual\n\n",
                                    vendor, flags));
  file("/proc/cmdline", cmdline + "\n");
  file("/proc/sys/kernel/osrelease", "6.1.0-test-amd64\n");
}

}  // namespace nm::inventory
