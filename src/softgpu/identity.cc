#include "softgpu/identity.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/number.h"

namespace nm::softgpu {
namespace {

uint64_t parse_bytes(const char* text) {
  std::string_view rest = text;
  uint64_t value = 0;
  take_number(&rest, &value);
  switch (rest.empty() ? 0 : rest.front() | 0x20) {
    case 'g':
      value <<= 10;
      [[fallthrough]];
    case 'm':
      value <<= 10;
      [[fallthrough]];
    case 'k':
      value <<= 10;
  }
  return value;
}

uint64_t memory_bytes() {
  if (const char* text = std::getenv("NEARMETAL_SOFTGPU_MEMORY")) {
    if (const uint64_t bytes = parse_bytes(text)) return bytes;
  }
  const uint64_t ram = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::min<uint64_t>(4ull << 30, (ram / 2) & ~((2ull << 20) - 1));
}

uint64_t mix(uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return hash;
}

// Devices of two machines must not look like one; those of one machine must not change their names.
std::array<uint8_t, 16> uuid_of(int index) {
  std::string machine = "nearmetal";
  std::ifstream("/etc/machine-id") >> machine;
  const std::string seed = machine + "/softgpu/" + std::to_string(index);
  const uint64_t halves[2] = {mix(0xcbf29ce484222325ull, seed), mix(0x9e3779b97f4a7c15ull, seed)};
  std::array<uint8_t, 16> uuid;
  std::memcpy(uuid.data(), halves, 16);
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x80);  // version 8, "made by the vendor"
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

const Identity* find(const std::vector<Identity>& all, const std::string& name) {
  if (name.rfind("GPU-", 0) == 0) {
    for (const auto& device : all) {
      if (device.uuid_text().rfind(name, 0) == 0) return &device;
    }
    return nullptr;
  }
  std::string_view rest = name;
  long index = -1;
  if (!take_number(&rest, &index) || !rest.empty() || index < 0 || index >= static_cast<long>(all.size())) return nullptr;
  return &all[static_cast<size_t>(index)];
}

}  // namespace

bool parse_pci_place(std::string_view text, PciPlace* out) {
  int numbers[3], count = 0;
  do {
    if (count == 3 || !take_number(&text, &numbers[count], 16)) return false;
    count++;
  } while (take_char(&text, ':'));
  if (count == 3) {
    *out = {numbers[0], numbers[1], numbers[2]};
    return true;
  }
  if (count == 2) *out = {0, numbers[0], numbers[1]};
  return count == 2;
}

std::string Identity::pci_id() const {
  char text[16];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.0", pci_domain & 0xffff, pci_bus & 0xff, pci_device & 0xff);
  return text;
}

std::string Identity::uuid_text() const {
  std::string text = "GPU-";
  for (size_t i = 0; i < uuid.size(); ++i) {
    char hex[4];
    std::snprintf(hex, sizeof hex, "%02x", uuid[i]);
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += hex;
  }
  return text;
}

std::vector<Identity> all_devices() {
  const char* text = std::getenv("NEARMETAL_SOFTGPU_DEVICES");
  const int count = text ? std::clamp(number_or(text, 0), 0, 16) : 1;
  std::vector<Identity> devices;
  for (int i = 0; i < count; ++i) {
    Identity device;
    device.index = i;
    device.uuid = uuid_of(i);
    device.memory_bytes = memory_bytes();
    device.pci_bus = 0xf0 + i;  // where no real device is likely to be
    devices.push_back(device);
  }
  return devices;
}

std::vector<Identity> visible_devices(const std::vector<Identity>& all) {
  const char* text = std::getenv("CUDA_VISIBLE_DEVICES");
  if (!text) return all;
  std::vector<Identity> visible;
  std::istringstream names(text);
  for (std::string name; std::getline(names, name, ',');) {
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    const Identity* device = find(all, name);
    if (!device) break;
    // The same device twice is an empty list, as in CUDA.
    const bool twice =
        std::any_of(visible.begin(), visible.end(), [&](const auto& v) { return v.index == device->index; });
    if (twice) return {};
    visible.push_back(*device);
  }
  return visible;
}

}  // namespace nm::softgpu
