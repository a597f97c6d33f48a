#include "inventory/names.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "base/number.h"
#include "inventory/pci.h"

namespace nm::inventory {
namespace {

constexpr size_t kMostIds = 16 << 20, kMostAliases = 32 << 20;
constexpr const char* kIdFiles[] = {"/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/usr/share/pci.ids"};

// "10de  NVIDIA Corporation" for 10de.
bool names(std::string_view line, uint16_t id, std::string& out) {
  uint16_t found = 0;
  std::string_view rest = line;
  if (line.size() < 6 || line[4] != ' ' || !take_number(&rest, &found, 16) || found != id) return false;
  out = clean(rest);
  return true;
}

std::string_view usual_vendor(uint16_t vendor) {
  switch (vendor) {
    case 0x10de:
      return "NVIDIA";
    case 0x1002:
      return "AMD";
    case 0x8086:
      return "Intel";
    default:
      return "";
  }
}

// "GH100 [H100 SXM5 80GB]" is known by what stands in the brackets.
std::string market_name(const std::string& name) {
  const size_t open = name.find('['), close = name.rfind(']');
  if (open == std::string::npos || close == std::string::npos || close <= open + 1) return name;
  return name.substr(open + 1, close - open - 1);
}

// Modules are listed with underscores, drivers often have hyphens.
std::string underscored(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace

PciName find_pci_name(std::string_view pci_ids, uint16_t vendor, uint16_t device) {
  PciName name;
  bool inside = false;
  for (const std::string_view line : lines_of(pci_ids)) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != '\t') {
      if (inside || line.starts_with("C ")) break;  // the next vendor; the classes, which come last
      inside = names(line, vendor, name.vendor);
    } else if (inside && line.size() > 1 && line[1] != '\t' && names(line.substr(1), device, name.device)) {
      break;
    }
  }
  return name;
}

void name_gpus(Reader& reader, std::vector<Gpu>& gpus) {
  std::string ids;
  for (const char* file : kIdFiles) {
    if (!ids.empty() || gpus.empty()) break;
    ids = reader.raw(file, kMostIds).value_or("");
  }
  for (Gpu& gpu : gpus) {
    const PciName name = find_pci_name(ids, gpu.function.vendor, gpu.function.device);
    const std::string_view usual = usual_vendor(gpu.function.vendor);
    gpu.vendor_name = usual.empty() ? name.vendor : std::string(usual);
    if (gpu.model.empty()) gpu.model = market_name(name.device);
    if (gpu.model.empty()) gpu.model = gpu.vendor_name + (gpu.vendor_name.empty() ? "" : " ") + gpu.function.ids();
  }
}

std::vector<std::string> drivers_for(std::string_view modules_alias, std::string_view modalias) {
  std::vector<std::string> drivers;
  const std::string device(modalias);
  for (const std::string_view line : lines_of(modules_alias)) {
    const auto words = words_of(line);
    // "vfio_pci:" begins the aliases of drivers that bind only where they are told to.
    if (words.size() != 3 || words[0] != "alias") continue;
    std::string pattern(words[1]);
    constexpr std::string_view kOnlyIfTold = "vfio_pci:";
    if (pattern.starts_with(kOnlyIfTold)) pattern = "pci:" + pattern.substr(kOnlyIfTold.size());
    if (!pattern.starts_with("pci:") || ::fnmatch(pattern.c_str(), device.c_str(), 0) != 0) continue;
    if (std::find(drivers.begin(), drivers.end(), words[2]) == drivers.end()) drivers.emplace_back(words[2]);
  }
  std::sort(drivers.begin(), drivers.end());
  return drivers;
}

void find_drivers(Reader& reader, std::vector<Gpu>& gpus) {
  if (gpus.empty()) return;
  const std::string release = reader.text("/proc/sys/kernel/osrelease").value_or("");
  const std::string aliases = release.empty() || release.find('/') != std::string::npos
                                  ? ""
                                  : reader.raw("/lib/modules/" + release + "/modules.alias", kMostAliases).value_or("");
  for (Gpu& gpu : gpus) {
    const auto modalias = reader.text(device_directory(gpu.function.address) + "/modalias");
    if (modalias) gpu.drivers_possible = drivers_for(aliases, *modalias);
    // The driver's name and its module's may differ: bochs-drm is of the module bochs.
    const std::string& driver = gpu.function.driver;
    const std::string module = driver.empty() ? "" : reader.link_name("/sys/bus/pci/drivers/" + driver + "/module");
    const bool named = std::any_of(gpu.drivers_possible.begin(), gpu.drivers_possible.end(),
                                   [&](const std::string& one) { return one == underscored(driver) || one == module; });
    if (!driver.empty() && !named) gpu.drivers_possible.insert(gpu.drivers_possible.begin(), driver);
  }
}

std::vector<int> ask_nvidia_driver(Reader& reader, std::vector<Gpu>& gpus) {
  std::vector<int> minors(gpus.size(), -1);
  for (size_t i = 0; i < gpus.size(); ++i) {
    if (gpus[i].function.driver != "nvidia") continue;
    const auto all = reader.raw("/proc/driver/nvidia/gpus/" + gpus[i].function.address.text() + "/information", 8192);
    if (!all) continue;
    for (const std::string_view line : lines_of(*all)) {
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      const std::string value = clean(line.substr(colon + 1));
      if (line.starts_with("Model")) gpus[i].model = value;
      if (line.starts_with("GPU UUID") && value.find('?') == std::string::npos) gpus[i].uuid = value;
      if (line.starts_with("Device Minor")) minors[i] = number_or(value, -1);
    }
    const std::string mig = fmt::format("/proc/driver/nvidia/capabilities/gpu{}/mig", minors[i]);
    if (minors[i] < 0 || !reader.host.exists(mig)) continue;
    gpus[i].mig.capable = true;
    const auto parts = reader.list(mig);
    gpus[i].mig.instances = static_cast<size_t>(
        std::count_if(parts.begin(), parts.end(), [](const std::string& name) { return name.starts_with("gi"); }));
  }
  return minors;
}

}  // namespace nm::inventory
