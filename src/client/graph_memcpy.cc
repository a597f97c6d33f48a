// Copy nodes. A host end that the device cannot reach becomes a slot (client/graph_slots.h).
#include "client/client.h"
#include "client/context.h"
#include "client/graph_slots.h"
#include "client/graph_node.h"
#include "client/handles.h"
#include "client/host_box.h"
#include "remote.h"
#include "wire/copy_3d.h"

namespace nm::client {
namespace {

CUresult apply(const NodeWay& way, const CUDA_MEMCPY3D* copy, CUcontext ctx, CUgraphNode* out) {
  if (!copy || !copy->WidthInBytes || !copy->Height || !copy->Depth) return CUDA_ERROR_INVALID_VALUE;
  if (copy->WidthInBytes > SIZE_MAX / copy->Height / copy->Depth) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D_PEER c = widen(*copy);
  if (CUresult e = settle(&c)) return e;
  CopySlots slots(c);
  CUgraphNode node = nullptr;
  std::vector<uint8_t> used;
  if (CUresult e = remote::nm_graph_memcpy_node(way.form, way.target, way.existing, way.dependencies, way.count, &c, ctx,
                                                slots.src(), slots.dst(), &node, &used)) {
    return e;
  }
  slots.keep();
  if (out) *out = node;
  return way.form == 2 ? set_graph_slots(way.target, used) : CUDA_SUCCESS;
}

}  // namespace

CUresult copy_through_graph(const CUDA_MEMCPY3D_PEER& copy, CUstream stream) {
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  if (CUresult e = cuGraphCreate(&graph, 0)) return e;
  const CUDA_MEMCPY3D c = wire::copy_3d_as<CUDA_MEMCPY3D>(copy);
  CUgraphNode node;
  CUresult e = cuGraphAddMemcpyNode(&node, graph, nullptr, 0, &c, from_handle<CUcontext>(current_context()));
  if (e == CUDA_SUCCESS) e = cuGraphInstantiateWithFlags(&exec, graph, 0);
  if (e == CUDA_SUCCESS) e = launch_graph(exec, stream);
  if (exec) cuGraphExecDestroy(exec);  // the launch goes on
  cuGraphDestroy(graph);
  return e;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuGraphAddMemcpyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                        const CUDA_MEMCPY3D* copy, CUcontext ctx) {
  NodeWay way;
  if (CUresult e = add_node(out, graph, dependencies, count, &way)) return e;
  return apply(way, copy, ctx, out);
}

NM_EXPORT CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D* copy) {
  NodeWay way;
  if (CUresult e = set_node(node, &way)) return e;
  return apply(way, copy, from_handle<CUcontext>(current_context()), nullptr);
}

NM_EXPORT CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D* copy, CUcontext ctx) {
  NodeWay way;
  if (CUresult e = set_exec_node(exec, node, &way)) return e;
  return apply(way, copy, ctx, nullptr);
}

NM_EXPORT CUresult cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D* out) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D_PEER c;
  unsigned long long src, dst;
  if (CUresult e = remote::nm_graph_memcpy_params(node, &c, &src, &dst)) return e;
  if ((src && !restore_host_end(src, true, &c)) || (dst && !restore_host_end(dst, false, &c))) return CUDA_ERROR_UNKNOWN;
  *out = nm::wire::copy_3d_as<CUDA_MEMCPY3D>(c);
  return CUDA_SUCCESS;
}

}  // extern "C"
