// Conditional nodes: an empty node of the software GPU stands for each, graphs of their own for its bodies.
#include <cuda_abi.h>
#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace {

struct State {
  std::mutex mutex;
  std::map<CUgraphNode, std::unique_ptr<std::vector<CUgraph>>> bodies;
  unsigned long long next = 0x5000'0001;
};
State& state() {
  static auto* s = new State;
  return *s;
}

template <typename F>
F* next(F*, const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

CUresult cuGraphConditionalHandleCreate(unsigned long long* out, CUgraph graph, CUcontext, unsigned, unsigned) {
  size_t count;
  if (CUresult e = cuGraphGetNodes(graph, nullptr, &count)) return e;
  std::lock_guard lock(state().mutex);
  *out = state().next++;
  return CUDA_SUCCESS;
}

CUresult cuGraphAddNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                           const CUgraphEdgeData* data, size_t count, CUgraphNodeParams* p) {
  if (p->type != CU_GRAPH_NODE_TYPE_CONDITIONAL) {
    return next(cuGraphAddNode_v2, "cuGraphAddNode_v2")(node, graph, dependencies, data, count, p);
  }
  auto bodies = std::make_unique<std::vector<CUgraph>>(p->conditional.size);
  for (CUgraph& body : *bodies) {
    if (CUresult e = cuGraphCreate(&body, 0)) return e;
  }
  if (CUresult e = cuGraphAddEmptyNode(node, graph, dependencies, count)) return e;
  p->conditional.phGraph_out = bodies->data();
  std::lock_guard lock(state().mutex);
  state().bodies[*node] = std::move(bodies);
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
  {
    std::lock_guard lock(state().mutex);
    if (state().bodies.count(node)) return *type = CU_GRAPH_NODE_TYPE_CONDITIONAL, CUDA_SUCCESS;
  }
  return next(cuGraphNodeGetType, "cuGraphNodeGetType")(node, type);
}

}  // extern "C"
