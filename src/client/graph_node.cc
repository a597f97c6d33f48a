// Nodes of any type: one function that adds them all, and one each that sets the parameters of all.
#include "client/graph_node.h"

#include <string.h>

#include "client/client.h"
#include "client/handles.h"
#include "remote.h"

namespace nm::client {
namespace {

CUresult check(Kind kind, uint64_t handle) { return handle ? check_handle(kind, handle, true) : CUDA_ERROR_INVALID_VALUE; }

bool is_zero(const void* data, size_t size) {
  auto* bytes = static_cast<const char*>(data);
  for (size_t i = 0; i < size; i++) {
    if (bytes[i]) return false;
  }
  return true;
}

CUDA_MEMSET_NODE_PARAMS plain(const CUDA_MEMSET_NODE_PARAMS_v2& p) {
  return {p.dst, p.pitch, p.value, p.elementSize, p.width, p.height};
}

// The second version of these structures adds nothing but a name.
template <typename To, typename From>
const To* same(const From* from) {
  static_assert(sizeof(To) == sizeof(From));
  return reinterpret_cast<const To*>(from);
}

CUresult add_conditional(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                         CUDA_CONDITIONAL_NODE_PARAMS* p) {
  constexpr unsigned kMaxBodies = 4096;
  if (!p->size || p->size > kMaxBodies) return CUDA_ERROR_INVALID_VALUE;
  std::vector<uint8_t> bodies;
  if (CUresult e = remote::nm_graph_conditional_node(graph, dependencies, count, p->handle, p->type, p->size, p->ctx, out,
                                                     &bodies)) {
    return e;
  }
  if (bodies.size() != p->size * sizeof(CUgraph)) return CUDA_ERROR_UNKNOWN;
  // The driver owns this array for as long as the node lives; ours stays for good, it is a few words.
  auto* array = new CUgraph[p->size];
  memcpy(array, bodies.data(), bodies.size());
  p->phGraph_out = array;
  return CUDA_SUCCESS;
}

CUresult add_any(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count, CUgraphNodeParams* p) {
  switch (p->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return cuGraphAddKernelNode_v2(out, graph, dependencies, count, same<CUDA_KERNEL_NODE_PARAMS>(&p->kernel));
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      if (p->memcpy.flags || p->memcpy.reserved) return CUDA_ERROR_INVALID_VALUE;
      return cuGraphAddMemcpyNode(out, graph, dependencies, count, &p->memcpy.copyParams, p->memcpy.copyCtx);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      auto params = plain(p->memset);
      return remote::cuGraphAddMemsetNode(out, graph, dependencies, count, &params, p->memset.ctx);
    }
    case CU_GRAPH_NODE_TYPE_HOST:
      return cuGraphAddHostNode(out, graph, dependencies, count, same<CUDA_HOST_NODE_PARAMS>(&p->host));
    case CU_GRAPH_NODE_TYPE_GRAPH:
      if (p->graph.ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE) {
        return not_supported("cuGraphAddNode with a child graph that moves");
      }
      return remote::cuGraphAddChildGraphNode(out, graph, dependencies, count, p->graph.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return remote::cuGraphAddEmptyNode(out, graph, dependencies, count);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return remote::cuGraphAddEventWaitNode(out, graph, dependencies, count, p->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return remote::cuGraphAddEventRecordNode(out, graph, dependencies, count, p->eventRecord.event);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC: {
      CUDA_MEM_ALLOC_NODE_PARAMS params = *same<CUDA_MEM_ALLOC_NODE_PARAMS>(&p->alloc);
      CUresult e = cuGraphAddMemAllocNode(out, graph, dependencies, count, &params);
      p->alloc.dptr = params.dptr;
      return e;
    }
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      return remote::cuGraphAddMemFreeNode(out, graph, dependencies, count, p->free.dptr);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
      return cuGraphAddBatchMemOpNode(out, graph, dependencies, count, same<CUDA_BATCH_MEM_OP_NODE_PARAMS>(&p->memOp));
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      return add_conditional(out, graph, dependencies, count, &p->conditional);
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
      return not_supported("cuGraphAddNode with an external semaphore");
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace

CUresult add_node(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count, NodeWay* way) {
  if (CUresult e = enter()) return e;
  if (!out || (count && !dependencies)) return CUDA_ERROR_INVALID_VALUE;
  *way = {0, as_handle(graph), nullptr, dependencies, count};
  return check(Kind::graph, as_handle(graph));
}

CUresult set_node(CUgraphNode node, NodeWay* way) {
  if (CUresult e = enter()) return e;
  *way = {1, 0, node};
  return check(Kind::node, as_handle(node));
}

CUresult set_exec_node(CUgraphExec exec, CUgraphNode node, NodeWay* way) {
  if (CUresult e = enter()) return e;
  *way = {2, as_handle(exec), node};
  if (CUresult e = check(Kind::graphexec, as_handle(exec))) return e;
  return check(Kind::node, as_handle(node));
}

}  // namespace nm::client

using namespace nm;
using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuGraphAddNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies,
                                     const CUgraphEdgeData* edges, size_t count, CUgraphNodeParams* params) {
  NodeWay way;
  if (CUresult e = add_node(out, graph, dependencies, count, &way)) return e;
  if (!params || !is_zero(params->reserved0, sizeof params->reserved0) || params->reserved2) return CUDA_ERROR_INVALID_VALUE;
  if (!count || !edges || is_zero(edges, count * sizeof *edges)) return add_any(out, graph, dependencies, count, params);
  // Edges of a special kind are added to a node that has none.
  CUgraphNode node;
  if (CUresult e = add_any(&node, graph, nullptr, 0, params)) return e;
  std::vector<CUgraphNode> to(count, node);
  if (CUresult e = remote::cuGraphAddDependencies_v2(graph, dependencies, to.data(), edges, count)) {
    remote::cuGraphDestroyNode(node);
    return e;
  }
  *out = node;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuGraphAddNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                  CUgraphNodeParams* params) {
  return cuGraphAddNode_v2(out, graph, dependencies, nullptr, count, params);
}

NM_EXPORT CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams* p) {
  NodeWay way;
  if (CUresult e = set_node(node, &way)) return e;
  if (!p) return CUDA_ERROR_INVALID_VALUE;
  switch (p->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return cuGraphKernelNodeSetParams_v2(node, same<CUDA_KERNEL_NODE_PARAMS>(&p->kernel));
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return cuGraphMemcpyNodeSetParams(node, &p->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      auto params = plain(p->memset);
      return remote::cuGraphMemsetNodeSetParams(node, &params);
    }
    case CU_GRAPH_NODE_TYPE_HOST:
      return cuGraphHostNodeSetParams(node, same<CUDA_HOST_NODE_PARAMS>(&p->host));
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return remote::cuGraphEventWaitNodeSetEvent(node, p->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return remote::cuGraphEventRecordNodeSetEvent(node, p->eventRecord.event);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
      return cuGraphBatchMemOpNodeSetParams(node, same<CUDA_BATCH_MEM_OP_NODE_PARAMS>(&p->memOp));
    default:
      return CUDA_ERROR_INVALID_VALUE;  // what such a node does is fixed
  }
}

NM_EXPORT CUresult cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams* p) {
  NodeWay way;
  if (CUresult e = set_exec_node(exec, node, &way)) return e;
  if (!p) return CUDA_ERROR_INVALID_VALUE;
  switch (p->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return cuGraphExecKernelNodeSetParams_v2(exec, node, same<CUDA_KERNEL_NODE_PARAMS>(&p->kernel));
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return cuGraphExecMemcpyNodeSetParams(exec, node, &p->memcpy.copyParams, p->memcpy.copyCtx);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      auto params = plain(p->memset);
      return remote::cuGraphExecMemsetNodeSetParams(exec, node, &params, p->memset.ctx);
    }
    case CU_GRAPH_NODE_TYPE_HOST:
      return cuGraphExecHostNodeSetParams(exec, node, same<CUDA_HOST_NODE_PARAMS>(&p->host));
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return cuGraphExecChildGraphNodeSetParams(exec, node, p->graph.graph);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return remote::cuGraphExecEventWaitNodeSetEvent(exec, node, p->eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return remote::cuGraphExecEventRecordNodeSetEvent(exec, node, p->eventRecord.event);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
      return cuGraphExecBatchMemOpNodeSetParams(exec, node, same<CUDA_BATCH_MEM_OP_NODE_PARAMS>(&p->memOp));
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // extern "C"
