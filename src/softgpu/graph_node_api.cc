// Nodes of every kind: added, asked and changed.
#include <cstring>

#include "softgpu/graph_nodes.h"

using namespace nm::softgpu;

namespace {

void add(Call& c, CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, const CUgraphEdgeData* data,
         size_t count, WorkPtr work) {
  require(out != nullptr && (count == 0 || dependencies != nullptr));
  const auto g = graph_of(c, graph);
  std::vector<CaptureEdge> before;
  for (size_t i = 0; i < count; ++i)
    before.push_back({node_of(c, dependencies[i]), data ? data[i] : CUgraphEdgeData{}});
  *out = handle_of<CUgraphNode>(g->add(std::move(work), before).get());
}

// Adds the node whose work `make` gives for the parameters, once the graph and the pointers are known to be right.
template <class Make>
CUresult add_node(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count, bool valid,
                  Make&& make) {
  return in_context([&](ContextCall& c) {
    require(valid && out != nullptr);
    graph_of(c, graph);
    add(c, out, graph, dependencies, nullptr, count, make(c));
  });
}

// Changes the work of a node to another of the same kind.
void replace(Node& node, WorkPtr work) {
  require(node.work->type() == work->type());
  node.work = std::move(work);
}

CUDA_KERNEL_NODE_PARAMS widen(const CUDA_KERNEL_NODE_PARAMS_v1& p) {
  return {p.func,      p.gridDimX,       p.gridDimY,     p.gridDimZ, p.blockDimX, p.blockDimY,
          p.blockDimZ, p.sharedMemBytes, p.kernelParams, p.extra,    nullptr,     nullptr};
}

}  // namespace

extern "C" {

CUresult cuGraphAddNode_v2(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                           const CUgraphEdgeData* dependency_data, size_t num_dependencies,
                           CUgraphNodeParams* node_params) {
  return in_context([&](ContextCall& c) {
    require(graph_node != nullptr && node_params != nullptr);
    graph_of(c, graph);
    add(c, graph_node, graph, dependencies, dependency_data, num_dependencies, work_of(c, *node_params));
  });
}
CUresult cuGraphAddNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                        size_t num_dependencies, CUgraphNodeParams* node_params) {
  return cuGraphAddNode_v2(graph_node, graph, dependencies, nullptr, num_dependencies, node_params);
}
CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams* node_params) {
  return in_context([&](ContextCall& c) {
    require(node_params != nullptr);
    const auto n = node_of(c, node);
    require(n->work->type() == node_params->type && node_params->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC &&
            node_params->type != CU_GRAPH_NODE_TYPE_MEM_FREE);
    replace(*n, work_of(c, *node_params));
  });
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                                 size_t num_dependencies, const CUDA_KERNEL_NODE_PARAMS* node_params) {
  return add_node(graph_node, graph, dependencies, num_dependencies, node_params != nullptr,
                  [&](ContextCall& c) { return kernel_work(c, *node_params); });
}
CUresult cuGraphAddKernelNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                              size_t num_dependencies, const CUDA_KERNEL_NODE_PARAMS_v1* node_params) {
  return add_node(graph_node, graph, dependencies, num_dependencies, node_params != nullptr,
                  [&](ContextCall& c) { return kernel_work(c, widen(*node_params)); });
}
CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    *node_params = kernel_params(work_as<KernelWork>(*node_of(c, node)));
  });
}
CUresult cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    const auto p = kernel_params(work_as<KernelWork>(*node_of(c, node)));
    *node_params = {p.func,      p.gridDimX,  p.gridDimY,       p.gridDimZ,     p.blockDimX,
                    p.blockDimY, p.blockDimZ, p.sharedMemBytes, p.kernelParams, nullptr};
  });
}
CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* node_params) {
  return in_context([&](ContextCall& c) {
    require(node_params != nullptr);
    const auto n = node_of(c, node);
    replace(*n, kernel_work(c, *node_params, work_as<KernelWork>(*n).attributes));
  });
}
CUresult cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1* node_params) {
  if (!node_params) return CUDA_ERROR_INVALID_VALUE;
  const auto wide = widen(*node_params);
  return cuGraphKernelNodeSetParams_v2(node, &wide);
}
CUresult cuGraphKernelNodeGetAttribute(CUgraphNode node, CUkernelNodeAttrID attr, CUkernelNodeAttrValue* value_out) {
  return call([&](Call& c) {
    require(value_out != nullptr && attr > 0 && static_cast<size_t>(attr) < kLaunchAttributes);
    const auto* value = work_as<KernelWork>(*node_of(c, node)).attributes.get(attr);
    *value_out = value ? *value : CUkernelNodeAttrValue{};
  });
}
CUresult cuGraphKernelNodeSetAttribute(CUgraphNode node, CUkernelNodeAttrID attr, const CUkernelNodeAttrValue* value) {
  return call([&](Call& c) {
    require(value != nullptr);
    const auto n = node_of(c, node);
    replace(*n, with_attribute(work_as<KernelWork>(*n), attr, *value));
  });
}
CUresult cuGraphKernelNodeCopyAttributes(CUgraphNode dst, CUgraphNode src) {
  return call([&](Call& c) {
    const auto to = node_of(c, dst);
    const auto& kernel = work_as<KernelWork>(*to);
    replace(*to, std::make_shared<KernelWork>(kernel.function, kernel.shape, kernel.params,
                                              work_as<KernelWork>(*node_of(c, src)).attributes));
  });
}

CUresult cuGraphAddMemcpyNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                              size_t num_dependencies, const CUDA_MEMCPY3D* copy_params, CUcontext ctx) {
  return add_node(graph_node, graph, dependencies, num_dependencies, copy_params != nullptr,
                  [&](ContextCall& c) { return copy_work(c, *copy_params, ctx); });
}
CUresult cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    *node_params = work_as<CopyWork>(*node_of(c, node)).params;
  });
}
CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    const auto n = node_of(c, node);
    replace(*n, std::make_shared<CopyWork>(c.driver, *node_params, work_as<CopyWork>(*n).context));
  });
}

CUresult cuGraphAddMemsetNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                              size_t num_dependencies, const CUDA_MEMSET_NODE_PARAMS* memset_params, CUcontext ctx) {
  return add_node(graph_node, graph, dependencies, num_dependencies, memset_params != nullptr,
                  [&](ContextCall& c) { return fill_work(c, *memset_params, ctx); });
}
CUresult cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    *node_params = work_as<FillWork>(*node_of(c, node)).params;
  });
}
CUresult cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    const auto n = node_of(c, node);
    replace(*n, std::make_shared<FillWork>(c.driver, *node_params, work_as<FillWork>(*n).context));
  });
}

CUresult cuGraphAddHostNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                            size_t num_dependencies, const CUDA_HOST_NODE_PARAMS* node_params) {
  return add_node(graph_node, graph, dependencies, num_dependencies, node_params != nullptr,
                  [&](ContextCall&) { return std::make_shared<HostWork>(*node_params); });
}
CUresult cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    *node_params = work_as<HostWork>(*node_of(c, node)).params;
  });
}
CUresult cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    replace(*node_of(c, node), std::make_shared<HostWork>(*node_params));
  });
}

CUresult cuGraphAddEmptyNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                             size_t num_dependencies) {
  return add_node(graph_node, graph, dependencies, num_dependencies, true,
                  [&](ContextCall&) { return std::make_shared<EmptyWork>(); });
}

CUresult cuGraphAddChildGraphNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                                  size_t num_dependencies, CUgraph child_graph) {
  return add_node(graph_node, graph, dependencies, num_dependencies, child_graph != graph,
                  [&](ContextCall& c) { return child_work(c, child_graph); });
}
CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph* graph) {
  return call([&](Call& c) {
    require(graph != nullptr);
    *graph = handle_of<CUgraph>(work_as<ChildGraphWork>(*node_of(c, node)).graph.get());
  });
}

CUresult cuGraphAddEventRecordNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                                   size_t num_dependencies, CUevent event) {
  return add_node(graph_node, graph, dependencies, num_dependencies, true,
                  [&](ContextCall& c) { return record_work(c, event); });
}
CUresult cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent* event_out) {
  return call([&](Call& c) {
    require(event_out != nullptr);
    *event_out = handle_of<CUevent>(work_as<RecordWork>(*node_of(c, node)).event.get());
  });
}
CUresult cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event) {
  return call([&](Call& c) { replace(*node_of(c, node), record_work(c, event)); });
}
CUresult cuGraphAddEventWaitNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                                 size_t num_dependencies, CUevent event) {
  return add_node(graph_node, graph, dependencies, num_dependencies, true,
                  [&](ContextCall& c) { return wait_work(c, event); });
}
CUresult cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent* event_out) {
  return call([&](Call& c) {
    require(event_out != nullptr);
    *event_out = handle_of<CUevent>(work_as<WaitWork>(*node_of(c, node)).event.get());
  });
}
CUresult cuGraphEventWaitNodeSetEvent(CUgraphNode node, CUevent event) {
  return call([&](Call& c) { replace(*node_of(c, node), wait_work(c, event)); });
}

CUresult cuGraphAddMemAllocNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                                size_t num_dependencies, CUDA_MEM_ALLOC_NODE_PARAMS* node_params) {
  return add_node(graph_node, graph, dependencies, num_dependencies, node_params != nullptr, [&](ContextCall& c) {
    auto work = alloc_work(c, *node_params);
    node_params->dptr = work->params.dptr;
    return work;
  });
}
CUresult cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS* params_out) {
  return call([&](Call& c) {
    require(params_out != nullptr);
    *params_out = work_as<GraphAllocWork>(*node_of(c, node)).params;
  });
}
CUresult cuGraphAddMemFreeNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                               size_t num_dependencies, CUdeviceptr dptr) {
  return add_node(graph_node, graph, dependencies, num_dependencies, true,
                  [&](ContextCall& c) { return free_work(c, dptr); });
}
CUresult cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr* dptr_out) {
  return call([&](Call& c) {
    require(dptr_out != nullptr);
    *dptr_out = work_as<FreeWork>(*node_of(c, node)).allocation->begin;
  });
}

CUresult cuGraphAddBatchMemOpNode(CUgraphNode* graph_node, CUgraph graph, const CUgraphNode* dependencies,
                                  size_t num_dependencies, const CUDA_BATCH_MEM_OP_NODE_PARAMS* node_params) {
  return add_node(graph_node, graph, dependencies, num_dependencies, node_params != nullptr,
                  [&](ContextCall& c) { return memop_work(c, *node_params); });
}
CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS* node_params_out) {
  return call([&](Call& c) {
    require(node_params_out != nullptr);
    const auto& work = work_as<MemOpWork>(*node_of(c, node));
    *node_params_out = {handle_of<CUcontext>(work.context.get()), static_cast<unsigned>(work.ops.size()),
                        const_cast<CUstreamBatchMemOpParams*>(work.ops.data()), work.flags};
  });
}
CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    replace(*node_of(c, node), memop_work(c, *node_params));
  });
}

}  // extern "C"
