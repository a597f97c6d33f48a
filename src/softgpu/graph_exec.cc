#include "softgpu/graph_exec.h"

#include <algorithm>

namespace nm::softgpu {
namespace {

size_t place_of(const Graph& graph, const Node* node) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].get() == node) return i;
  }
  return graph.nodes.size();
}

// The nodes correspond by the order of their creation.
CUgraphExecUpdateResult compare(const Graph& mine, const Graph& source, NodePtr& at, NodePtr& from) {
  if (mine.nodes.size() != source.nodes.size()) return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
  for (size_t i = 0; i < mine.nodes.size(); ++i) {
    const Node& a = *mine.nodes[i];
    const Node& b = *source.nodes[i];
    at = mine.nodes[i];
    from = source.nodes[i];
    if (a.work->type() != b.work->type()) return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
    if (a.before.size() != b.before.size()) return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    for (size_t e = 0; e < a.before.size(); ++e) {
      if (place_of(mine, a.before[e].node) != place_of(source, b.before[e].node)) {
        return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
      }
    }
    switch (a.work->type()) {
      case CU_GRAPH_NODE_TYPE_KERNEL:
        if (work_as<KernelWork>(a).module->context != work_as<KernelWork>(b).module->context) {
          return CU_GRAPH_EXEC_UPDATE_ERROR_UNSUPPORTED_FUNCTION_CHANGE;
        }
        break;
      case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
      case CU_GRAPH_NODE_TYPE_MEM_FREE:
        if (a.work != b.work) return CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
        break;
      case CU_GRAPH_NODE_TYPE_GRAPH: {
        const auto inner = compare(*work_as<ChildGraphWork>(a).graph, *work_as<ChildGraphWork>(b).graph, at, from);
        if (inner != CU_GRAPH_EXEC_UPDATE_SUCCESS) return inner;
        break;
      }
      default:
        break;
    }
  }
  at = from = nullptr;
  return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

void take_over(const Graph& mine, const Graph& source) {
  for (size_t i = 0; i < mine.nodes.size(); ++i) {
    if (const auto* child = dynamic_cast<const ChildGraphWork*>(mine.nodes[i]->work.get())) {
      take_over(*child->graph, *work_as<ChildGraphWork>(*source.nodes[i]).graph);
    } else {
      mine.nodes[i]->work = source.nodes[i]->work;
    }
  }
}

}  // namespace

GraphExec::GraphExec(const Graph& source, unsigned long long flags)
    : Object(kKind), graph(source.clone(false)), flags(flags), order_(graph->sorted()) {
  require(order_.size() == graph->nodes.size());
  for (const auto& node : graph->nodes) {
    if (const auto* alloc = dynamic_cast<const GraphAllocWork*>(node->work.get())) kept_.push_back(alloc->allocation);
  }
  for (const auto& node : graph->nodes) {
    if (const auto* free = dynamic_cast<const FreeWork*>(node->work.get())) std::erase(kept_, free->allocation);
  }
}

WorkPtr GraphExec::launch(Driver& driver) {
  std::vector<WorkPtr> steps;
  for (const auto& allocation : kept_) {
    require(!allocation->outstanding || (flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH) != 0);
    if (allocation->outstanding) steps.push_back(std::make_shared<FreeWork>(driver, allocation));
  }
  for (const auto& allocation : kept_) allocation->outstanding = true;
  for (const auto& node : order_) {
    if (const auto* free = dynamic_cast<const FreeWork*>(node->work.get())) free->allocation->outstanding = false;
    if (node->enabled) steps.push_back(node->work->at_launch(driver));
  }
  return std::make_shared<RunWork>(std::move(steps));
}

Node& GraphExec::node(const Node& node) const {
  const auto found = graph->find_origin(node.id);
  require(found != nullptr);
  return *found;
}

CUgraphExecUpdateResult GraphExec::update(const Graph& source, NodePtr& mine, NodePtr& from) {
  const auto result = compare(*graph, source, mine, from);
  if (result == CU_GRAPH_EXEC_UPDATE_SUCCESS) {
    take_over(*graph, source);
    graph->user_objects = source.user_objects;
  }
  return result;
}

}  // namespace nm::softgpu
