// A graph: nodes that hold work, and edges.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "softgpu/driver.h"
#include "softgpu/handles.h"
#include "softgpu/stream.h"
#include "softgpu/work.h"

namespace nm::softgpu {

class Graph;
class UserObject;

class Node final : public Object {
 public:
  static constexpr Kind kKind = Kind::node;
  Node(Graph* graph, uint64_t id, WorkPtr work) : Object(kKind), graph(graph), id(id), work(std::move(work)) {}

  struct Edge {
    Node* node;
    CUgraphEdgeData data{};
  };
  Graph* graph;         // null once the node is destroyed
  const uint64_t id;    // unique in the process
  uint64_t origin = 0;  // the id of the node that this one was cloned from
  bool enabled = true;  // in an executable graph
  WorkPtr work;
  std::vector<Edge> before;  // what this follows
  std::vector<Edge> after;   // what follows this
};
using NodePtr = std::shared_ptr<Node>;

class Graph final : public Object {
 public:
  static constexpr Kind kKind = Kind::graph;
  Graph(Driver& driver) : Object(kKind), driver(driver), id(driver.next_id()) {}
  ~Graph() override;

  Driver& driver;
  const uint64_t id;
  uint64_t origin = 0;         // the id of the graph that this one was cloned from
  bool owned_by_node = false;  // a child graph: not to be destroyed by the program
  std::vector<NodePtr> nodes;  // in the order of their creation
  std::map<std::shared_ptr<UserObject>, unsigned> user_objects;

  NodePtr add(WorkPtr work, const std::vector<CaptureEdge>& before);
  // An edge that exists already, or that leads back to its own node, is INVALID_VALUE.
  void connect(Node& from, Node& to, const CUgraphEdgeData& data);
  void disconnect(Node& from, Node& to, const CUgraphEdgeData* data);
  void remove(Node& node);
  // Every handle of the graph becomes stale.
  void forget_handles();

  // A copy with its own nodes; child graphs are copied too. Without handles it is nobody's but its owner's.
  std::shared_ptr<Graph> clone(bool with_handles) const;
  // Memory nodes tie a graph to its addresses: it can be neither cloned nor a child.
  bool has_memory_nodes() const;
  // The node that is, or by way of clones comes from, the one with this id; child graphs too. Null: there is none.
  NodePtr find_origin(uint64_t id) const;
  // Nodes so that each comes after what it follows; empty when the edges form a cycle.
  std::vector<NodePtr> sorted() const;
};
using GraphPtr = std::shared_ptr<Graph>;

}  // namespace nm::softgpu
