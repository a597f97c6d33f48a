#include "bench/fingerprint.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/version.h"

namespace nm::bench {
namespace {

namespace fs = std::filesystem;

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  size_t begin = 0;
  while (begin < text.size() && std::isspace(static_cast<unsigned char>(text[begin]))) ++begin;
  return text.substr(begin);
}

// Files of /proc and /sys: small; what is not text is not ours to show.
std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(64 << 10, 0);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x7f || (c < ' ' && c != '\n' && c != '\t')) c = '?';
  }
  return trimmed(text);
}

void put(Json& into, const char* name, const std::string& value) {
  if (!value.empty()) into[name] = value;
}

// "always [madvise] never" -> "madvise"
std::string chosen(const std::string& text) {
  const size_t begin = text.find('['), end = text.find(']');
  return begin == std::string::npos || end == std::string::npos || end < begin
             ? text
             : text.substr(begin + 1, end - begin - 1);
}

// The value behind "key   : value" or "key:  value", at its first place.
std::string field(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (colon != std::string::npos && trimmed(line.substr(0, colon)) == key) return trimmed(line.substr(colon + 1));
  }
  return {};
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// 0-3,8 of a set of numbers.
std::string ranges(const std::vector<int>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(numbers[i]);
    if (last > i) text += "-" + std::to_string(numbers[last]);
    i = last + 1;
  }
  return text;
}

// What the processor says of who runs it: a hypervisor names itself in leaf 0x40000000. Empty: none does.
std::string hypervisor_by_cpuid() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 31))) return {};
  __cpuid(0x40000000, a, b, c, d);
  std::string vendor;
  for (const unsigned word : {b, c, d}) {
    for (int i = 0; i < 4; ++i) {
      const char letter = static_cast<char>(word >> (8 * i));
      if (letter >= ' ' && letter < 0x7f) vendor += letter;
    }
  }
  return vendor.empty() ? "present, without a name" : vendor;
}

Json processor(const std::string& root) {
  Json cpu;
  const std::string info = read(root + "/proc/cpuinfo");
  put(cpu, "model", field(info, "model name"));
  std::ifstream whole(root + "/proc/cpuinfo");
  int64_t count = 0;
  std::set<std::string> sockets;
  for (std::string line; std::getline(whole, line);) {
    if (line.rfind("processor", 0) == 0) ++count;
    if (line.rfind("physical id", 0) == 0) sockets.insert(line.substr(line.find(':')));
  }
  cpu["logical"] = count;
  if (!sockets.empty()) cpu["sockets"] = sockets.size();
  put(cpu, "numa_nodes", read(root + "/sys/devices/system/node/online"));
  put(cpu, "governor", read(root + "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
  put(cpu, "smt", read(root + "/sys/devices/system/cpu/smt/control"));
  put(cpu, "isolated", read(root + "/sys/devices/system/cpu/isolated"));
  return cpu;
}

// On which processors this may run, and what else was going on.
Json pinning(const std::string& root) {
  Json pin;
  cpu_set_t set;
  if (root.empty() && ::sched_getaffinity(0, sizeof set, &set) == 0) {
    std::vector<int> allowed;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) allowed.push_back(i);
    }
    pin["processors"] = ranges(allowed);
  }
  put(pin, "memory_nodes", field(read(root + "/proc/self/status"), "Mems_allowed_list"));
  put(pin, "load", read(root + "/proc/loadavg"));
  return pin;
}

Json memory(const std::string& root) {
  Json memory;
  const std::string info = read(root + "/proc/meminfo");
  put(memory, "total", field(info, "MemTotal"));
  put(memory, "available", field(info, "MemAvailable"));
  if (root.empty()) memory["page_bytes"] = ::sysconf(_SC_PAGESIZE);
  put(memory, "transparent_hugepages", chosen(read(root + "/sys/kernel/mm/transparent_hugepage/enabled")));
  put(memory, "huge_page_size", field(info, "Hugepagesize"));
  put(memory, "huge_pages", field(info, "HugePages_Total"));
  put(memory, "numa_balancing", read(root + "/proc/sys/kernel/numa_balancing"));
  return memory;
}

// Seen from inside: under a hypervisor, in a container, or on the machine itself.
Json virtualization(const std::string& root) {
  Json seen;
  if (root.empty()) put(seen, "hypervisor", hypervisor_by_cpuid());
  put(seen, "type", read(root + "/sys/hypervisor/type"));
  put(seen, "vendor", read(root + "/sys/class/dmi/id/sys_vendor"));
  put(seen, "product", read(root + "/sys/class/dmi/id/product_name"));
  std::error_code error;
  if (fs::exists(root + "/run/.containerenv", error)) seen["container"] = "podman";
  if (fs::exists(root + "/.dockerenv", error)) seen["container"] = "docker";
  put(seen, "container", read(root + "/run/systemd/container"));
  return seen;
}

Json iommu(const std::string& root) {
  Json iommu;
  const std::vector<std::string> groups = names_in(root + "/sys/kernel/iommu_groups");
  iommu["groups"] = groups.size();
  // identity, DMA, DMA-FQ: how the kernel maps what devices read and write.
  std::set<std::string> types;
  for (const std::string& group : groups) types.insert(read(root + "/sys/kernel/iommu_groups/" + group + "/type"));
  types.erase("");
  if (!types.empty()) iommu["types"] = types;
  iommu["units"] = names_in(root + "/sys/class/iommu").size();
  return iommu;
}

// Display controllers and accelerators, with the link as the host's kernel sees it.
Json gpus(const std::string& root) {
  Json list = Json::array();
  const std::string folder = root + "/sys/bus/pci/devices/";
  for (const std::string& address : names_in(folder)) {
    const std::string device = folder + address, kind = read(device + "/class");
    if (kind.rfind("0x03", 0) != 0 && kind.rfind("0x12", 0) != 0) continue;
    Json gpu{{"pci", address}};
    put(gpu, "vendor", read(device + "/vendor"));
    put(gpu, "device", read(device + "/device"));
    put(gpu, "link_speed", read(device + "/current_link_speed"));
    put(gpu, "link_width", read(device + "/current_link_width"));
    put(gpu, "max_link_speed", read(device + "/max_link_speed"));
    put(gpu, "max_link_width", read(device + "/max_link_width"));
    put(gpu, "numa_node", read(device + "/numa_node"));
    std::error_code error;
    const fs::path driver = fs::read_symlink(device + "/driver", error);
    if (!error) gpu["driver"] = driver.filename().string();
    const fs::path group = fs::read_symlink(device + "/iommu_group", error);
    if (!error) gpu["iommu_group"] = group.filename().string();
    list.push_back(gpu);
  }
  return list;
}

}  // namespace

Json fingerprint(const std::string& when, const std::string& root) {
  utsname system{};
  ::uname(&system);
  const std::string boot = read(root + "/proc/sys/kernel/random/boot_id");
  const std::string host = read(root + "/proc/sys/kernel/hostname"), kernel = read(root + "/proc/sys/kernel/osrelease");
  Json print{{"when", when},
             {"host", host.empty() ? system.nodename : host},
             {"boot", boot.empty() ? "unknown" : boot},
             {"kernel", kernel.empty() ? system.release : kernel}};
  print["nearmetal"] = kVersion;
  put(print, "command_line", read(root + "/proc/cmdline"));
  put(print, "driver", read(root + "/proc/driver/nvidia/version"));
  print["processor"] = processor(root);
  print["pinning"] = pinning(root);
  print["memory"] = memory(root);
  print["virtualization"] = virtualization(root);
  print["iommu"] = iommu(root);
  print["gpus"] = gpus(root);
  return print;
}

}  // namespace nm::bench
