// Host nodes, and objects of the program that live as long as a graph: functions of the program that the server calls.
#include "client/client.h"
#include "client/graph_node.h"
#include "client/host_function.h"
#include "remote.h"

namespace nm::client {
namespace {

CUresult apply(const NodeWay& way, const CUDA_HOST_NODE_PARAMS* params, CUgraphNode* out) {
  if (!params || !params->fn) return CUDA_ERROR_INVALID_VALUE;
  uint64_t token;
  if (CUresult e = keep_host_function(params->fn, params->userData, &token)) return e;
  CUgraphNode node = nullptr;
  CUresult e =
      remote::nm_graph_host_node(way.form, way.target, way.existing, way.dependencies, way.count, token, &node);
  if (e == CUDA_SUCCESS && out) *out = node;
  return e;
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuGraphAddHostNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                      const CUDA_HOST_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = add_node(out, graph, dependencies, count, &way)) return e;
  return apply(way, params, out);
}

NM_EXPORT CUresult cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = set_node(node, &way)) return e;
  return apply(way, params, nullptr);
}

NM_EXPORT CUresult cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = set_exec_node(exec, node, &way)) return e;
  return apply(way, params, nullptr);
}

NM_EXPORT CUresult cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS* params) {
  if (CUresult e = enter()) return e;
  if (!params) return CUDA_ERROR_INVALID_VALUE;
  unsigned long long token;
  if (CUresult e = remote::nm_graph_host_params(node, &token)) return e;
  return find_host_function(token, &params->fn, &params->userData) ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

NM_EXPORT CUresult cuUserObjectCreate(CUuserObject* out, void* object, CUhostFn destroy, unsigned references, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (!out || !destroy) return CUDA_ERROR_INVALID_VALUE;
  uint64_t token;
  if (CUresult e = keep_host_function(destroy, object, &token)) return e;
  return remote::nm_user_object(out, token, references, flags);
}

}  // extern "C"
