// The kinds of work that exist for graphs first of all.
#pragma once

#include <vector>

#include "softgpu/graph.h"
#include "softgpu/work.h"

namespace nm::softgpu {

// Works one after the other: one launch of a graph.
class RunWork final : public Work {
 public:
  explicit RunWork(std::vector<WorkPtr> steps) : steps_(std::move(steps)) {}
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_GRAPH; }
  CUresult run(Context& context) const override;

 private:
  std::vector<WorkPtr> steps_;
};

class ChildGraphWork final : public Work {
 public:
  explicit ChildGraphWork(GraphPtr graph) : graph(std::move(graph)) {}
  // Takes the graph over: it is no longer the program's to destroy.
  static std::shared_ptr<const ChildGraphWork> of(GraphPtr graph);
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_GRAPH; }
  CUresult run(Context&) const override { return CUDA_ERROR_UNKNOWN; }  // at_launch() gives what is run
  WorkPtr at_launch(Driver& driver) const override;

  const GraphPtr graph;
};

}  // namespace nm::softgpu
