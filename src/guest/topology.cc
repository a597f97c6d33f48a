#include "guest/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/number.h"
#include "inventory/reader.h"

namespace nm::guest {
namespace {

constexpr int kMostCpus = 8192, kMostNodes = 1024;  // as many as any kernel is built for

using inventory::Reader;

// "Node 0 MemFree:   123 kB" and "MemFree:   123 kB"; bytes.
uint64_t from_meminfo(std::string_view text, std::string_view key) {
  for (const std::string_view line : inventory::lines_of(text)) {
    const size_t at = line.find(key);
    if (at == std::string_view::npos || !line.substr(at + key.size()).starts_with(":")) continue;
    if (at > 0 && line[at - 1] != ' ') continue;  // "SwapTotal" is not "Total"
    const auto kib = number_or<uint64_t>(line.substr(at + key.size() + 1), 0);
    return std::min(kib, ~uint64_t{0} >> 10) << 10;
  }
  return 0;
}

std::set<int> usable_cpus(Reader& reader) {
  std::vector<int> all = parse_cpu_list(reader.text("/sys/devices/system/cpu/online", 64 << 10).value_or(""));
  if (all.empty()) {
    const std::string cpuinfo = reader.raw("/proc/cpuinfo", 8 << 20).value_or("");
    for (const std::string_view line : inventory::lines_of(cpuinfo)) {
      if (!line.starts_with("processor")) continue;
      std::string_view rest = line.substr(std::min(line.size(), line.find(':') + 1));
      int cpu = 0;
      if (take_number(&rest, &cpu) && cpu >= 0 && cpu < kMostCpus) all.push_back(cpu);
    }
  }
  std::set<int> cpus(all.begin(), all.end());
  const std::string status = reader.raw("/proc/self/status").value_or("");
  for (const std::string_view line : inventory::lines_of(status)) {
    constexpr std::string_view kKey = "Cpus_allowed_list:";
    if (!line.starts_with(kKey)) continue;
    const std::vector<int> list = parse_cpu_list(line.substr(kKey.size()));
    const std::set<int> allowed(list.begin(), list.end());
    std::erase_if(cpus, [&](int cpu) { return !allowed.contains(cpu); });
  }
  return cpus;
}

std::vector<Core> cores_of(Reader& reader, std::set<int> cpus) {
  std::vector<Core> cores;
  while (!cpus.empty()) {
    const int first = *cpus.begin();
    const std::string list = fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", first);
    Core core;
    for (const int cpu : parse_cpu_list(reader.text(list, 4096).value_or(""))) {
      if (cpus.contains(cpu)) core.push_back(cpu);
    }
    if (std::find(core.begin(), core.end(), first) == core.end()) core = {first};
    for (const int cpu : core) cpus.erase(cpu);
    cores.push_back(std::move(core));
  }
  return cores;
}

uint64_t free_pages(Reader& reader, const std::string& directory, const char* size) {
  return reader.number<uint64_t>(directory + "/hugepages-" + size + "/free_hugepages").value_or(0);
}

void read_distances(Reader& reader, const std::vector<int>& numbers, const std::string& directory, Node& node) {
  const std::string text = reader.text(directory + "/distance", 4096).value_or("");
  const auto words = inventory::words_of(text);
  for (size_t i = 0; i < words.size() && i < numbers.size(); ++i) {
    node.distances.emplace_back(numbers[i], number_or<int>(words[i], 0));
  }
}

std::vector<Node> read_nodes(Reader& reader) {
  constexpr const char* kNodes = "/sys/devices/system/node";
  const std::set<int> usable = usable_cpus(reader);
  std::vector<int> numbers;
  for (const std::string& name : reader.list(kNodes)) {
    std::string_view digits = name;
    int number = 0;
    if (!digits.starts_with("node")) continue;
    digits.remove_prefix(4);
    if (take_number(&digits, &number) && digits.empty() && number >= 0 && number < kMostNodes)
      numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  std::vector<Node> nodes;
  for (const int number : numbers) {
    const std::string directory = fmt::format("{}/node{}", kNodes, number);
    Node node{.number = number};
    std::set<int> cpus;
    for (const int cpu : parse_cpu_list(reader.text(directory + "/cpulist", 64 << 10).value_or(""))) {
      // A tree without a list of processors at all says nothing about which may be used.
      if (usable.empty() || usable.contains(cpu)) cpus.insert(cpu);
    }
    node.cores = cores_of(reader, std::move(cpus));
    const std::string memory = reader.raw(directory + "/meminfo", 64 << 10).value_or("");
    node.memory = from_meminfo(memory, "MemTotal");
    node.free = from_meminfo(memory, "MemFree") + from_meminfo(memory, "FilePages");
    node.free_pages_1g = free_pages(reader, directory + "/hugepages", "1048576kB");
    node.free_pages_2m = free_pages(reader, directory + "/hugepages", "2048kB");
    read_distances(reader, numbers, directory, node);
    if (!node.cores.empty()) nodes.push_back(std::move(node));  // memory alone (CXL, HBM) runs no guest
  }
  if (nodes.empty()) {  // a kernel without NUMA
    Node node;
    node.cores = cores_of(reader, usable.empty() ? std::set<int>{0} : usable);
    nodes.push_back(std::move(node));
  }
  if (nodes.size() == 1) {  // the kernel's own estimate is better than ours
    const std::string memory = reader.raw("/proc/meminfo", 64 << 10).value_or("");
    Node& node = nodes[0];
    if (const uint64_t total = from_meminfo(memory, "MemTotal"); total > 0 && node.memory == 0) node.memory = total;
    if (const uint64_t free = from_meminfo(memory, "MemAvailable"); free > 0) node.free = free;
    if (node.free_pages_1g == 0) node.free_pages_1g = free_pages(reader, "/sys/kernel/mm/hugepages", "1048576kB");
    if (node.free_pages_2m == 0) node.free_pages_2m = free_pages(reader, "/sys/kernel/mm/hugepages", "2048kB");
  }
  return nodes;
}

void read_processor(Reader& reader, HostTopology& topology) {
  const std::string cpu = reader.raw("/proc/cpuinfo", 64 << 10).value_or("");
  for (const std::string_view line : inventory::lines_of(cpu)) {
    const std::string_view value = inventory::trimmed(line.substr(std::min(line.size(), line.find(':') + 1)));
    if (line.starts_with("vendor_id")) topology.amd = value == "AuthenticAMD" || value == "HygonGenuine";
    if (line.starts_with("CPU implementer")) topology.x86 = false;
    if (line.starts_with("address sizes")) topology.physical_bits = number_or(value, 0);
  }
}

// The width that Intel's IOMMU says in its capability register: bits 16 to 21, less one.
int iommu_bits(Reader& reader) {
  int least = 0;
  for (const std::string& name : reader.list("/sys/class/iommu")) {
    const auto register_ = reader.number<uint64_t>("/sys/class/iommu/" + name + "/intel-iommu/cap", 16);
    if (!register_) continue;
    const int bits = static_cast<int>(*register_ >> 16 & 0x3f) + 1;
    least = least == 0 ? bits : std::min(least, bits);
  }
  return least;
}

std::string find_program(const inventory::Host& host, const std::string& name) {
  const std::string all = host.self().path;
  for (size_t begin = 0; begin <= all.size();) {
    const size_t end = std::min(all.find(':', begin), all.size());
    const std::string directory = all.substr(begin, end - begin);
    if (directory.starts_with('/') && host.exists(directory + "/" + name)) return directory + "/" + name;
    begin = end + 1;
  }
  return "";
}

// Where distributions put it: Debian and Ubuntu (two of them), Fedora and its like, Arch, openSUSE.
std::optional<OvmfFiles> find_ovmf(const inventory::Host& host) {
  constexpr std::pair<const char*, const char*> kPlaces[] = {
      {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
      {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
      {"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
      {"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
      {"/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"},
  };
  for (const auto& [code, variables] : kPlaces) {
    if (host.exists(code) && host.exists(variables)) return OvmfFiles{code, variables};
  }
  return std::nullopt;
}

}  // namespace

size_t Node::cpus() const {
  size_t count = 0;
  for (const Core& core : cores) count += core.size();
  return count;
}

int Node::distance_to(int node) const {
  if (node == number) return 10;
  for (const auto& [to, distance] : distances) {
    if (to == node && distance > 10 && distance <= 254) return distance;
  }
  return 20;  // what firmware says that has no table
}

const Node* HostTopology::node(int number) const {
  for (const Node& node : nodes) {
    if (node.number == number) return &node;
  }
  return nullptr;
}

std::vector<int> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  do {
    int first = 0, last = 0;
    if (!take_number(&text, &first)) break;
    last = first;
    if (take_char(&text, '-') && !take_number(&text, &last)) break;
    if (first < 0 || last < first || last >= kMostCpus) break;
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  } while (take_char(&text, ',') && cpus.size() < kMostCpus);
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

HostTopology read_topology(const inventory::Host& host) {
  Reader reader(host);
  HostTopology topology;
  topology.nodes = read_nodes(reader);
  read_processor(reader, topology);
  topology.iommu_bits = iommu_bits(reader);
  topology.kvm = host.exists("/dev/kvm");
  topology.kvm_usable = topology.kvm && host.may_use("/dev/kvm");
  topology.vhost_net = host.exists("/dev/vhost-net") && host.may_use("/dev/vhost-net");
  for (const char* name : {"qemu-system-x86_64", "qemu-kvm"}) {
    if (topology.qemu.empty()) topology.qemu = find_program(host, name);
  }
  if (topology.qemu.empty() && host.exists("/usr/libexec/qemu-kvm")) topology.qemu = "/usr/libexec/qemu-kvm";
  topology.ovmf = find_ovmf(host);
  const inventory::Self self = host.self();
  topology.root = self.root;
  topology.memlock = self.memlock;
  return topology;
}

}  // namespace nm::guest
