// BFS: how many steps each vertex of a graph is away from one of them. Bound by the rate of scattered reads and, where
// levels are small, by the time it takes to launch a kernel and to learn that the search goes on: the host asks after
// every few levels.
//
// Sizes ci and shoc search SHOC's graph, a tree whose vertices have two children each; size gpu a random graph, whose
// vertices have edges to 8 to 24 others. `bfs` and `bfs_pcie` are bytes of the graph and its levels per second, in
// kernels only and with transfers; `bfs_teps` edges per second by the host's clock, without transfers of the graph.
#include <algorithm>
#include <chrono>

#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint32_t kThreads = 256;
constexpr int kLevelsAtOnce = 4;
constexpr int32_t kUnseen = -1;

struct Graph {
  std::vector<int32_t> offsets{0};  // of each vertex's neighbours in `edges`, and the end of the last
  std::vector<int32_t> edges;
  size_t edges_counted = 0;  // an edge that can be gone both ways counts once
  int lanes = 1;             // threads that share a vertex

  size_t size() const { return offsets.size() - 1; }
};

Graph tree(size_t n) {
  Graph graph;
  for (size_t i = 0; i < n; ++i) {
    if (i > 0) graph.edges.push_back(static_cast<int32_t>((i - 1) / 2));
    for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; ++child) {
      graph.edges.push_back(static_cast<int32_t>(child));
    }
    graph.offsets.push_back(static_cast<int32_t>(graph.edges.size()));
  }
  graph.edges_counted = n - 1;
  graph.lanes = 2;
  return graph;
}

Graph random_graph(Run& run, size_t n) {
  Graph graph;
  graph.offsets.reserve(n + 1);
  graph.edges.reserve(16 * n + 64);
  for (size_t i = 0; i < n; ++i) {
    const size_t degree = 8 + run.random()() % 17;
    for (size_t e = 0; e < degree; ++e) {
      graph.edges.push_back(static_cast<int32_t>((run.random()() >> 32) * n >> 32));
    }
    graph.offsets.push_back(static_cast<int32_t>(graph.edges.size()));
  }
  graph.edges_counted = graph.edges.size();
  graph.lanes = 8;
  return graph;
}

std::vector<int32_t> levels_of(const Graph& graph) {
  std::vector<int32_t> levels(graph.size(), kUnseen), queue{0};
  queue.reserve(graph.size());
  levels[0] = 0;
  for (size_t at = 0; at < queue.size(); ++at) {
    const auto vertex = static_cast<size_t>(queue[at]);
    for (int32_t e = graph.offsets[vertex]; e < graph.offsets[vertex + 1]; ++e) {
      const auto other = static_cast<size_t>(graph.edges[static_cast<size_t>(e)]);
      if (levels[other] != kUnseen) continue;
      levels[other] = levels[vertex] + 1;
      queue.push_back(static_cast<int32_t>(other));
    }
  }
  return levels;
}

// The search on the device.
class Search {
 public:
  Search(device::Device& device, const Graph& graph)
      : offsets(device.allocate(graph.offsets.size() * sizeof(int32_t))),
        edges(device.allocate(graph.edges.size() * sizeof(int32_t))),
        levels(device.allocate(graph.size() * sizeof(int32_t))),
        device_(device),
        graph_(graph),
        blocks_(static_cast<uint32_t>(device.info().multiprocessors) * (device.info().is_cpu ? 1 : 8)),
        lengths_(device.allocate(3 * sizeof(int32_t))),
        begin_(device.kernel("bfs", "sp", "bfs_begin")),
        level_(device.kernel("bfs", "sp", "bfs_level")) {
    for (device::Buffer& queue : queues_) queue = device.allocate(graph.size() * sizeof(int32_t));
  }

  void begin() {
    device_.fill(levels, 0, 0xffffffff, levels.bytes());
    device_.launch(begin_, {1}, {1}, levels, queues_[0], lengths_, 0);
  }

  // What the kernels took, by the device's clock.
  double go() {
    double seconds = 0;
    for (int level = 0;;) {
      const auto from = device_.mark();
      for (int i = 0; i < kLevelsAtOnce; ++i, ++level) {
        device_.launch(level_, {blocks_}, {kThreads}, offsets, edges, levels, queues_[level % 2],
                       queues_[(level + 1) % 2], lengths_, level, graph_.lanes);
      }
      const auto to = device_.mark();
      int32_t left = 0;
      device_.read(lengths_, static_cast<size_t>(level % 3) * sizeof left, &left, sizeof left);
      seconds += device_.seconds_between(*from, *to);
      // More levels than vertices: something is wrong, and the check of the levels will say so.
      if (left == 0 || static_cast<size_t>(level) > graph_.size() + kLevelsAtOnce) return seconds;
    }
  }

  const device::Buffer offsets, edges, levels;

 private:
  device::Device& device_;
  const Graph& graph_;
  const uint32_t blocks_;
  device::Buffer queues_[2];
  const device::Buffer lengths_;
  device::Kernel begin_, level_;
};

}  // namespace

void bfs(Run& run) {
  device::Device& device = run.device();
  const Graph graph =
      run.size() == Size::gpu ? random_graph(run, size_t{8} << 20) : tree(run.pick<size_t>(10000, 1000000, 0));
  const std::vector<int32_t> reference = levels_of(graph);
  const device::PinnedMemory offsets = device.allocate_pinned(graph.offsets.size() * sizeof(int32_t)),
                             edges = device.allocate_pinned(graph.edges.size() * sizeof(int32_t)),
                             levels = device.allocate_pinned(graph.size() * sizeof(int32_t));
  std::copy(graph.offsets.begin(), graph.offsets.end(), offsets.as<int32_t>().begin());
  std::copy(graph.edges.begin(), graph.edges.end(), edges.as<int32_t>().begin());
  Search search(device, graph);
  const auto upload = [&] {
    device.write(search.offsets, 0, offsets.data(), offsets.bytes(), false);
    device.write(search.edges, 0, edges.data(), edges.bytes(), false);
  };
  const auto check = [&](std::string_view what) {
    const std::span<int32_t> found = levels.as<int32_t>();
    run.check(what, std::equal(reference.begin(), reference.end(), found.begin(), found.end()));
  };

  // A search of a tree is short: a sample is the mean of several.
  const int repeats = run.pick(1, 20, 5);
  std::vector<double> kernels, wall;
  upload();
  for (int pass = -1; pass < run.passes(); ++pass) {
    double in_kernels = 0, in_all = 0;
    for (int i = 0; i < repeats; ++i) {
      search.begin();
      device.finish();
      const auto begin = Clock::now();
      in_kernels += search.go();
      in_all += std::chrono::duration<double>(Clock::now() - begin).count();
    }
    if (pass < 0) continue;
    kernels.push_back(in_kernels / repeats);
    wall.push_back(in_all / repeats);
  }
  const double gigabytes = static_cast<double>(offsets.bytes() + edges.bytes() + levels.bytes()) / 1e9;
  run.sample({"bfs", "GB/s"}, rates(gigabytes, kernels));
  run.sample({"bfs_teps", "Edges/s"}, rates(static_cast<double>(graph.edges_counted), wall));
  device.read(search.levels, 0, levels.data(), levels.bytes());
  check("bfs");

  std::fill(levels.as<int32_t>().begin(), levels.as<int32_t>().end(), -2);
  device.fill(search.offsets, 0, 0, search.offsets.bytes());
  device.fill(search.edges, 0, 0, search.edges.bytes());
  run.sample({"bfs_pcie", "GB/s", true, true}, rates(gigabytes, run.wall_seconds([&] {
               upload();
               search.begin();
               search.go();
               device.read(search.levels, 0, levels.data(), levels.bytes(), false);
             })));
  check("bfs_pcie");
}

}  // namespace nm::workload::shoc
