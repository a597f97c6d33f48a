// Nodes that allocate, and nodes that write and wait for values in memory.
#include <string.h>

#include <map>
#include <mutex>
#include <vector>

#include "client/client.h"
#include "client/graph_slots.h"
#include "client/graph_node.h"
#include "client/handles.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr unsigned kMaxOperations = 4096;

// What a program read back of a node and may point to until the node changes.
std::mutex g_mutex;
template <typename T>
std::map<uint64_t, std::vector<T>>& kept() {
  static auto* all = new std::map<uint64_t, std::vector<T>>;
  return *all;
}

template <typename T>
CUresult keep(CUgraphNode node, const std::vector<uint8_t>& blob, T** out, size_t* count) {
  if (blob.size() % sizeof(T)) return CUDA_ERROR_UNKNOWN;
  std::lock_guard lock(g_mutex);
  auto& values = kept<T>()[as_handle(node)];
  values.resize(blob.size() / sizeof(T));
  if (!values.empty()) memcpy(values.data(), blob.data(), blob.size());
  *out = values.empty() ? nullptr : values.data();
  *count = values.size();
  return CUDA_SUCCESS;
}

CUresult apply(const NodeWay& way, const CUDA_BATCH_MEM_OP_NODE_PARAMS* p, CUgraphNode* out) {
  if (!p || !p->count || p->count > kMaxOperations || !p->paramArray) return CUDA_ERROR_INVALID_VALUE;
  CUgraphNode node = nullptr;
  CUresult e = remote::nm_graph_batch_node(way.form, way.target, way.existing, way.dependencies, way.count, p->ctx,
                                           p->paramArray, p->count, p->flags, &node);
  if (e == CUDA_SUCCESS && out) *out = node;
  return e;
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuGraphAddMemAllocNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                          CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = add_node(out, graph, dependencies, count, &way)) return e;
  if (!params || !params->bytesize) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = remote::nm_graph_alloc_node(graph, dependencies, count, &params->poolProps,
                                               const_cast<CUmemAccessDesc*>(params->accessDescs), params->accessDescCount,
                                               params->bytesize, out, &params->dptr)) {
    return e;
  }
  add_graph_allocation(params->dptr, params->bytesize);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  if (CUresult e = enter()) return e;
  if (!params) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEM_ALLOC_NODE_PARAMS p{};
  std::vector<uint8_t> access;
  if (CUresult e = remote::nm_graph_alloc_params(node, &p.poolProps, &access, &p.bytesize, &p.dptr)) return e;
  CUmemAccessDesc* descriptions;
  if (CUresult e = keep(node, access, &descriptions, &p.accessDescCount)) return e;
  p.accessDescs = descriptions;
  *params = p;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuGraphAddBatchMemOpNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                            const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = add_node(out, graph, dependencies, count, &way)) return e;
  return apply(way, params, out);
}

NM_EXPORT CUresult cuGraphBatchMemOpNodeSetParams(CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = set_node(node, &way)) return e;
  return apply(way, params, nullptr);
}

NM_EXPORT CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                                      const CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = set_exec_node(exec, node, &way)) return e;
  return apply(way, params, nullptr);
}

NM_EXPORT CUresult cuGraphBatchMemOpNodeGetParams(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS* params) {
  if (CUresult e = enter()) return e;
  if (!params) return CUDA_ERROR_INVALID_VALUE;
  CUDA_BATCH_MEM_OP_NODE_PARAMS p{};
  std::vector<uint8_t> operations;
  if (CUresult e = remote::nm_graph_batch_params(node, &p.ctx, &operations, &p.flags)) return e;
  size_t count;
  if (CUresult e = keep(node, operations, &p.paramArray, &count)) return e;
  p.count = static_cast<unsigned>(count);
  *params = p;
  return CUDA_SUCCESS;
}

}  // extern "C"
