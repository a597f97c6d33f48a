// Nodes first, from the GPUs outwards; then whole cores on each node; then memory on each node, on the largest pages
// that there are. A guest is spread evenly: its nodes have as many processors each, as QEMU's sockets do.
#include "guest/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

namespace nm::guest {
namespace {

constexpr uint64_t kHuge = 2 * kMiB;
constexpr int kHighestApic = 254;  // beyond, guests need an IOMMU with extended interrupts

size_t count_of(const std::vector<int>& nodes, int number) {
  return static_cast<size_t>(std::count(nodes.begin(), nodes.end(), number));
}

uint64_t huge_bytes(const Node& node) { return std::max(node.free_pages_1g * kGiB, node.free_pages_2m * kHuge); }

// What a guest may have of a node's memory when nobody says: huge pages were kept for guests; of other memory an eighth
// stays the host's.
uint64_t capacity(const Node& node, HugePages wish) {
  const uint64_t huge = wish == HugePages::off ? 0 : huge_bytes(node);
  return huge >= kGiB ? huge : node.free / 8 * 7;
}

// What a guest can have of it at all.
uint64_t available(const Node& node, HugePages wish) {
  const uint64_t huge = wish == HugePages::off ? 0 : huge_bytes(node);
  return wish == HugePages::require ? huge : std::max(huge, node.free);
}

std::string node_list(const std::vector<const Node*>& nodes) {
  std::string text = nodes.size() == 1 ? "node " : "nodes ";
  for (size_t i = 0; i < nodes.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == nodes.size() ? " and " : ", ") + std::to_string(nodes[i]->number);
  }
  return text;
}

class Placement {
 public:
  Placement(const HostTopology& host, const GpusOfNodes& gpus, const Wish& wish, GuestShape& shape)
      : host_(host), gpus_(gpus), wish_(wish), shape_(shape) {}

  Result<void> run() {
    begin_with_gpus();
    cpus_ = wish_.cpus ? static_cast<size_t>(*wish_.cpus) : usual_cpus();
    memory_ = wish_.memory ? *wish_.memory : usual_memory();
    if (const auto good = check_wish(); !good) return good;
    while (!enough()) {
      if (!add_nearest()) return too_much();
    }
    std::sort(nodes_.begin(), nodes_.end(), [](const Node* a, const Node* b) { return a->number < b->number; });
    if (const auto good = place_cpus(); !good) return good;
    return place_memory();
  }

 private:
  void begin_with_gpus() {
    for (const Node& node : host_.nodes) {
      if (count_of(gpus_.wanted, node.number) > 0) nodes_.push_back(&node);
    }
    if (!nodes_.empty()) return;
    nodes_.push_back(&*std::max_element(host_.nodes.begin(), host_.nodes.end(), [&](const Node& a, const Node& b) {
      return capacity(a, wish_.huge_pages) < capacity(b, wish_.huge_pages);
    }));
  }

  // The GPUs' share of their nodes' cores, the same on each node; one core stays the host's where the guest would have
  // all.
  size_t usual_cpus() const {
    size_t least_cores = ~size_t{0}, threads = ~size_t{0};
    for (const Node* node : nodes_) {
      const size_t all = count_of(gpus_.all, node->number), wanted = count_of(gpus_.wanted, node->number);
      size_t cores = node->cores.size();
      if (wanted == 0) {
        cores = std::min<size_t>(cores, 4);
      } else if (wanted < all) {
        cores = cores * wanted / all;
      }
      if (cores == node->cores.size() && cores > 1) --cores;
      least_cores = std::min(least_cores, std::max<size_t>(cores, 1));
      threads = std::min(threads, threads_of(*node));
    }
    size_t cores = least_cores;
    while (cores > 1 && !apic_fits(cores, threads)) --cores;
    return cores * threads * nodes_.size();
  }

  uint64_t usual_memory() const {
    uint64_t least = ~uint64_t{0};
    for (const Node* node : nodes_) {
      const size_t all = std::max<size_t>(1, count_of(gpus_.all, node->number));
      const size_t wanted = count_of(gpus_.wanted, node->number);
      uint64_t share = capacity(*node, wish_.huge_pages);
      share = wanted == 0 ? std::min(share, 4 * kGiB) : share / all * std::min(all, wanted);
      least = std::min(least, share);
    }
    const uint64_t grain = least >= kGiB ? kGiB : kHuge;
    return std::max(least / grain * grain, 256 * kMiB) * nodes_.size();
  }

  Result<void> check_wish() const {
    if (memory_ < 128 * kMiB || memory_ % kHuge != 0) {
      return Error{fmt::format("{} of memory is no size for a guest. Give it a multiple of 2 MiB, at least 128 MiB.",
                               size_text(memory_))};
    }
    if (memory_ >> 46) {
      return Error{fmt::format("{} of memory is more than a guest can address. Ask for less.", size_text(memory_))};
    }
    return {};
  }

  static size_t threads_of(const Node& node) {
    size_t threads = ~size_t{0};
    for (const Core& core : node.cores) threads = std::min(threads, core.size());
    return threads;
  }

  bool enough() const {
    const size_t each = (cpus_ + nodes_.size() - 1) / nodes_.size();
    const uint64_t memory = memory_ / nodes_.size();
    return std::all_of(nodes_.begin(), nodes_.end(), [&](const Node* node) {
      return node->cpus() >= each && available(*node, wish_.huge_pages) >= memory;
    });
  }

  bool add_nearest() {
    const Node* nearest = nullptr;
    int least = 0;
    for (const Node& node : host_.nodes) {
      if (std::find(nodes_.begin(), nodes_.end(), &node) != nodes_.end()) continue;
      const int distance = nodes_[0]->distance_to(node.number);
      if (nearest && distance >= least) continue;
      nearest = &node;
      least = distance;
    }
    if (nearest) nodes_.push_back(nearest);
    return nearest != nullptr;
  }

  Error too_much() const {
    size_t cpus = 0;
    uint64_t memory = 0, least_memory = ~uint64_t{0};
    for (const Node& node : host_.nodes) {
      cpus += node.cpus();
      memory += available(node, wish_.huge_pages);
      least_memory = std::min(least_memory, available(node, wish_.huge_pages));
    }
    if (cpus_ > cpus) {
      return Error{fmt::format("The guest would have {} CPUs, and this host has {} for it. Ask for fewer with --cpus.",
                               cpus_, cpus)};
    }
    if (wish_.huge_pages == HugePages::require && memory_ > memory) {
      return Error{
          fmt::format("The guest's {} do not fit on the {} of free huge pages. Keep more of them, for example: sysctl "
                      "vm.nr_hugepages={}; or leave --hugepages require out.",
                      size_text(memory_), size_text(memory), (memory_ + kHuge - 1) / kHuge)};
    }
    if (memory_ > memory) {
      return Error{fmt::format(
          "The guest would have {} of memory, and this host has {} free. Ask for less with --memory, or end something.",
          size_text(memory_), size_text(memory))};
    }
    return Error{fmt::format(
        "{} CPUs and {} of memory cannot be spread evenly over this host's {} NUMA nodes: the smallest has {} free. "
        "Ask for less.",
        cpus_, size_text(memory_), host_.nodes.size(), size_text(least_memory))};
  }

  bool apic_fits(size_t cores, size_t threads) const {
    const auto bits = [](size_t count) { return std::bit_width(count - 1); };
    const size_t sockets = nodes_.size();
    const size_t highest =
        ((sockets - 1) << (bits(cores) + bits(threads))) | ((cores - 1) << bits(threads)) | (threads - 1);
    return highest <= kHighestApic;
  }

  Result<void> place_cpus() {
    if (cpus_ % nodes_.size() != 0) {
      const size_t fewer = cpus_ / nodes_.size() * nodes_.size();
      return Error{fmt::format(
          "{} CPUs cannot be spread evenly over NUMA {}, which the guest's GPUs or memory need. Use --cpus {}.", cpus_,
          node_list(nodes_), fewer == 0 ? nodes_.size() : fewer)};
    }
    const size_t each = cpus_ / nodes_.size();
    size_t threads = 8;
    for (const Node* node : nodes_) threads = std::min(threads, threads_of(*node));
    if (each % threads != 0) threads = 1;
    for (const Node* node : nodes_) {
      // Cores of unlike width, or an odd number: every thread is a core to the guest.
      if (node->cores.size() < each / threads) threads = 1;
    }
    if (!apic_fits(each / threads, threads)) {
      return Error{fmt::format(
          "{} CPUs on {} NUMA {} need interrupt numbers beyond 255, which a guest without an IOMMU of its own does not "
          "have. Ask for fewer with --cpus.",
          cpus_, nodes_.size(), nodes_.size() == 1 ? "node" : "nodes")};
    }
    shape_.sockets = static_cast<int>(nodes_.size());
    shape_.threads = static_cast<int>(threads);
    shape_.cores = static_cast<int>(each / threads);
    std::set<int> used;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      for (const int cpu : choose(*nodes_[i], each, threads)) {
        shape_.vcpus.push_back({.host_cpu = cpu, .node = static_cast<int>(i)});
        used.insert(cpu);
      }
    }
    rest(used);
    return {};
  }

  // Cores from the last one down, so that the first, where the host's interrupts and services gather, stays free as
  // long as possible; then upwards in order.
  static std::vector<int> choose(const Node& node, size_t count, size_t threads) {
    std::vector<int> cpus;
    std::vector<Core> cores = node.cores;
    if (threads > 1 || count <= cores.size()) {
      const size_t wanted = count / threads;
      for (size_t i = cores.size() - wanted; i < cores.size(); ++i) {
        for (size_t k = 0; k < threads; ++k) cpus.push_back(cores[i][k]);
      }
      return cpus;
    }
    // More than there are cores, and no whole number of them: second threads, too, the first core's last.
    std::vector<int> all;
    size_t deepest = 0;
    for (const Core& core : cores) deepest = std::max(deepest, core.size());
    for (size_t k = 0; k < deepest; ++k) {
      for (size_t i = cores.size(); i-- > 0;) {
        if (k < cores[i].size()) all.push_back(cores[i][k]);
      }
    }
    cpus.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
    std::sort(cpus.begin(), cpus.end());
    return cpus;
  }

  // QEMU's own threads: what is left of these nodes, else all of it.
  void rest(const std::set<int>& used) {
    std::set<int> left, all;
    for (const Node* node : nodes_) {
      for (const Core& core : node->cores) {
        for (const int cpu : core) {
          all.insert(cpu);
          if (!used.contains(cpu)) left.insert(cpu);
        }
      }
    }
    const std::set<int>& chosen = left.empty() ? all : left;
    shape_.other_cpus.assign(chosen.begin(), chosen.end());
    if (left.empty()) {
      shape_.notes.push_back(fmt::format(
          "The guest has every CPU of NUMA {}: QEMU's own threads and the host's compete with it. --cpus {} leaves "
          "them "
          "some.",
          node_list(nodes_), std::max<size_t>(1, cpus_ - nodes_.size() * static_cast<size_t>(shape_.threads))));
    }
  }

  Result<void> place_memory() {
    const size_t count = nodes_.size();
    const uint64_t grain = memory_ % kGiB == 0 && memory_ / count >= kGiB ? kGiB : kHuge;
    const uint64_t grains = memory_ / grain;
    for (size_t i = 0; i < count; ++i) {
      const Node& node = *nodes_[i];
      GuestNode guest{.host_node = node.number,
                      .memory = (grains / count + (i < grains % count ? 1 : 0)) * grain,
                      .bind = host_.nodes.size() > 1};
      for (const Node* other : nodes_) guest.distances.push_back(node.distance_to(other->number));
      if (const auto good = choose_pages(node, guest); !good) return good;
      shape_.nodes.push_back(std::move(guest));
    }
    return {};
  }

  Result<void> choose_pages(const Node& node, GuestNode& guest) {
    if (wish_.huge_pages != HugePages::off) {
      if (guest.memory % kGiB == 0 && node.free_pages_1g * kGiB >= guest.memory) {
        guest.page_size = kGiB;
        return {};
      }
      if (node.free_pages_2m * kHuge >= guest.memory) {
        guest.page_size = kHuge;
        return {};
      }
    }
    const std::string where = host_.nodes.size() > 1 ? fmt::format("NUMA node {}", node.number) : "This host";
    const std::string sysctl = host_.nodes.size() > 1 ? fmt::format(
                                                            "echo {} > /sys/devices/system/node/node{}/hugepages/"
                                                            "hugepages-2048kB/nr_hugepages",
                                                            guest.memory / kHuge, node.number)
                                                      : fmt::format("sysctl vm.nr_hugepages={}", guest.memory / kHuge);
    if (wish_.huge_pages == HugePages::require) {
      return Error{
          fmt::format("{} has {} huge pages of 2 MiB and {} of 1 GiB free, too few for {} of the guest. Keep "
                      "more: {}. Or leave --hugepages require out.",
                      where, node.free_pages_2m, node.free_pages_1g, size_text(guest.memory), sysctl)};
    }
    if (guest.memory > node.free) {
      return Error{
          fmt::format("{} has {} of memory free, and {} of the guest should be there. Ask for less with "
                      "--memory, or end something.",
                      where, size_text(node.free), size_text(guest.memory))};
    }
    if (wish_.huge_pages == HugePages::automatic) {
      shape_.notes.push_back(fmt::format(
          "{} has {} huge pages of 2 MiB free and the guest needs {}: its memory is on pages of 4 KiB, which the "
          "processor and the IOMMU translate slower, and {} pages are pinned before it starts. To keep some: {}",
          where, node.free_pages_2m, guest.memory / kHuge, guest.memory / 4096, sysctl));
    }
    return {};
  }

  const HostTopology& host_;
  const GpusOfNodes& gpus_;
  const Wish& wish_;
  GuestShape& shape_;
  std::vector<const Node*> nodes_;
  size_t cpus_ = 0;
  uint64_t memory_ = 0;
};

}  // namespace

Result<void> place(const HostTopology& host, const GpusOfNodes& gpus, const Wish& wish, GuestShape& shape) {
  return Placement(host, gpus, wish, shape).run();
}

}  // namespace nm::guest
