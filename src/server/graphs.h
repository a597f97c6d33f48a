// What a session knows of its graphs beyond the driver: which handles die with them, which slots their nodes use, what
// each executable graph copies from and to host memory of the client.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "cuda_abi.h"
#include "server/graph_slots.h"

namespace nm::server {

class Session;

// A copy node of an executable graph with the slots at its host ends.
struct CopyNode {
  CUgraphNode node;  // in the graph it was instantiated from
  GraphSlots::Ref src, dst;
};

// An executable graph that uses slots.
struct GraphExec {
  std::vector<CopyNode> copies;
  std::vector<GraphSlots::Update> pending;  // for the next launch, because an earlier one still runs
  int running = 0;                          // launches under way
  CUevent done = nullptr;                   // of the last launch
  CUcontext context = nullptr;              // of `done`

  std::vector<GraphSlots::Ref> slots() const;
};

class Graphs {
 public:
  explicit Graphs(Session& session);
  ~Graphs();

  GraphSlots& slots() { return *slots_; }
  // The context is going, and with it what was made in it.
  void leave(CUcontext context);

  // ---- graphs ----

  // Visits every node, those of child graphs and conditional bodies too; `embedded` is told each such graph.
  void walk(CUgraph graph, const std::function<void(CUgraphNode, CUgraphNodeType)>& visit,
            const std::function<void(CUgraph)>& embedded = nullptr) const;
  // The copy nodes of a graph, in the order of walk; empty where no slots exist at all.
  std::vector<CopyNode> copies_of(CUgraph graph) const;
  CopyNode copy_of(CUgraphNode node) const;
  // The graph's nodes use their slots once more, or once less.
  void count_slots(const std::vector<CopyNode>& copies, bool more);
  void remember_bodies(CUgraphNode node, std::vector<CUgraph> bodies) { bodies_[node] = std::move(bodies); }

  // To be asked before something is destroyed and told after, when it succeeded: what else goes.
  struct Doomed {
    std::vector<CUgraphNode> nodes;
    std::vector<CUgraph> graphs;
    std::vector<CopyNode> copies;
  };
  Doomed doomed_with(CUgraph graph) const;
  Doomed doomed_with(CUgraphNode node) const;
  void forget(const Doomed& doomed);

  // ---- captures ----

  // What was handed out of a graph that is still being captured: it dies if the capture fails.
  struct Capture {
    CUcontext context = nullptr;  // that was current
    CUgraph graph = nullptr;
    std::set<CUgraphNode> nodes;
    std::vector<CopyNode> copies;
  };
  Capture& capture(uint64_t id);
  void capture_succeeded(uint64_t id) { captures_.erase(id); }
  void capture_failed(uint64_t id);

  // ---- executable graphs ----

  // Null: it uses no slots.
  std::shared_ptr<GraphExec> exec(CUgraphExec exec) const;
  void set_copies(CUgraphExec exec, std::vector<CopyNode> copies);
  void set_copy(CUgraphExec exec, const CopyNode& copy);
  void forget(CUgraphExec exec);
  // The numbers of its slots, as they travel.
  void write_slots(CUgraphExec exec, std::vector<uint8_t>* out) const;
  CUresult feed(CUgraphExec exec, uint64_t slot, uint64_t version, uint64_t size);
  CUresult launch(CUgraphExec exec, CUstream stream);

 private:
  void walk_node(CUgraphNode node, const std::function<void(CUgraphNode, CUgraphNodeType)>& visit,
                 const std::function<void(CUgraph)>& embedded) const;
  CUresult feed_in_stream(GraphExec& exec, CUstream stream);

  Session& s_;
  std::shared_ptr<GraphSlots> slots_;
  std::map<CUgraphNode, std::vector<CUgraph>> bodies_;  // of conditional nodes
  std::map<uint64_t, Capture> captures_;                // by the driver's number of the capture
  std::map<CUgraphExec, std::shared_ptr<GraphExec>> execs_;
};

}  // namespace nm::server
