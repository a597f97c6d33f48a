// A graph made executable: a copy of its own, in an order that its edges allow.
#pragma once

#include "softgpu/fence.h"
#include "softgpu/graph_nodes.h"

namespace nm::softgpu {

class GraphExec final : public Object {
 public:
  static constexpr Kind kKind = Kind::graph_exec;
  // INVALID_VALUE when the edges form a cycle.
  GraphExec(const Graph& source, unsigned long long flags);

  const GraphPtr graph;  // the copy; its nodes know which ones they come from
  const unsigned long long flags;

  // The end of the last launch, in whatever stream: the next one waits for it. Null: none yet. Under the driver's lock.
  std::shared_ptr<Completion> last_launch;

  // What one launch runs; an allocation that an earlier launch left behind is INVALID_VALUE, or freed first with
  // AUTO_FREE_ON_LAUNCH. Under the driver's lock.
  WorkPtr launch(Driver& driver);
  // The copy of `node`, or INVALID_VALUE.
  Node& node(const Node& node) const;
  // Takes the parameters of a graph of the same shape. Not SUCCESS: nothing is changed, and `from` is where they
  // differ.
  CUgraphExecUpdateResult update(const Graph& source, NodePtr& mine, NodePtr& from);

 private:
  std::vector<NodePtr> order_;
  std::vector<AllocationPtr> kept_;  // allocated here and not freed here
};
using GraphExecPtr = std::shared_ptr<GraphExec>;

}  // namespace nm::softgpu
