// Executable graphs: made and changed with a wait, launched and destroyed without.
#include <stdio.h>

#include <mutex>
#include <set>

#include "client/call.h"
#include "client/client.h"
#include "client/context.h"
#include "client/graph_slots.h"
#include "client/handles.h"
#include "client/host_memory.h"
#include "remote.h"

namespace nm::client {
namespace {

CUresult check(Kind kind, uint64_t handle) { return handle ? check_handle(kind, handle, true) : CUDA_ERROR_INVALID_VALUE; }

CUresult instantiate(CUgraphExec* out, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  if (CUresult e = enter()) return e;
  if (!out || !params) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check(Kind::graph, as_handle(graph))) return e;
  uint64_t handle = draw_handle(Kind::graphexec);
  int status = CUDA_SUCCESS;
  unsigned result = CUDA_GRAPH_INSTANTIATE_ERROR;
  CUgraphNode error_node = nullptr;
  std::vector<uint8_t> slots, allocations;
  CUresult e = remote::nm_graph_instantiate(handle, graph, params->flags, params->hUploadStream, &status, &result,
                                            &error_node, &slots, &allocations);
  params->hErrNode_out = error_node;
  params->result_out = static_cast<CUgraphInstantiateResult>(result);
  if (e == CUDA_SUCCESS) e = static_cast<CUresult>(status);
  if (e == CUDA_SUCCESS) e = set_graph_slots(handle, slots);
  if (e == CUDA_SUCCESS) e = set_graph_allocations(handle, allocations, params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
  if (e != CUDA_SUCCESS) {
    release_handle(Kind::graphexec, handle);
    return e;
  }
  *out = from_handle<CUgraphExec>(handle);
  return CUDA_SUCCESS;
}

// Graphs that are part of another one. Destroying them is a mistake that the program hears of.
std::mutex g_mutex;
std::set<uint64_t>& embedded() {
  static auto* all = new std::set<uint64_t>;
  return *all;
}

}  // namespace
}  // namespace nm::client

using namespace nm;
using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec* out, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  return instantiate(out, graph, params);
}

NM_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph graph, unsigned long long flags) {
  CUDA_GRAPH_INSTANTIATE_PARAMS params{};
  // Only the form with parameters names a stream to upload in.
  if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) return CUDA_ERROR_INVALID_VALUE;
  params.flags = flags;
  return instantiate(out, graph, &params);
}

NM_EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec* out, CUgraph graph, CUgraphNode* error_node, char* log, size_t size) {
  if (log && size) *log = '\0';
  CUDA_GRAPH_INSTANTIATE_PARAMS params{};
  CUresult e = instantiate(out, graph, &params);
  if (error_node) *error_node = params.hErrNode_out;
  if (e != CUDA_SUCCESS && log && size) snprintf(log, size, "instantiation failed (%d)", static_cast<int>(params.result_out));
  return e;
}

NM_EXPORT CUresult cuGraphInstantiate(CUgraphExec* out, CUgraph graph, CUgraphNode* error_node, char* log, size_t size) {
  return cuGraphInstantiate_v2(out, graph, error_node, log, size);
}

NM_EXPORT CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* info) {
  if (CUresult e = enter()) return e;
  if (!info) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check(Kind::graphexec, as_handle(exec))) return e;
  if (CUresult e = check(Kind::graph, as_handle(graph))) return e;
  int status;
  unsigned result;
  std::vector<uint8_t> slots;
  if (CUresult e = remote::nm_graph_update(exec, graph, &status, &result, &info->errorNode, &info->errorFromNode, &slots)) {
    return e;
  }
  info->result = static_cast<CUgraphExecUpdateResult>(result);
  if (CUresult e = set_graph_slots(as_handle(exec), slots)) return e;
  return static_cast<CUresult>(status);
}

NM_EXPORT CUresult cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphNode* error_node, CUgraphExecUpdateResult* result) {
  CUgraphExecUpdateResultInfo info{};
  CUresult e = cuGraphExecUpdate_v2(exec, graph, &info);
  if (error_node) *error_node = info.errorNode;
  if (result) *result = info.result;
  return e;
}

NM_EXPORT CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraph child) {
  if (CUresult e = enter()) return e;
  std::vector<uint8_t> slots;
  if (CUresult e = remote::nm_graph_exec_child(exec, node, child, &slots)) return e;
  return set_graph_slots(as_handle(exec), slots);
}

NM_EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  if (CUresult e = enter()) return e;
  if (CUresult e = check(Kind::graphexec, as_handle(exec))) return e;
  before_launch(nullptr, 0);  // what its kernels may see of mirrored memory was found when they were added
  return launch_graph(exec, stream);
}

NM_EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec) {
  if (CUresult e = enter()) return e;
  if (CUresult e = check(Kind::graphexec, as_handle(exec))) return e;
  forget_graph(as_handle(exec));
  return remote::cuGraphExecDestroy(exec);
}

NM_EXPORT CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph* graph) {
  if (CUresult e = remote::cuGraphChildGraphNodeGetGraph(node, graph)) return e;
  std::lock_guard lock(g_mutex);
  embedded().insert(as_handle(*graph));
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  if (CUresult e = enter()) return e;
  if (CUresult e = check(Kind::graph, as_handle(graph))) return e;
  bool asks;
  {
    std::lock_guard lock(g_mutex);
    asks = embedded().count(as_handle(graph)) != 0;
  }
  if (!asks) return remote::cuGraphDestroy(graph);
  Call call(op::cuGraphDestroy);
  call.args().u64(as_handle(graph));
  return call.wait();
}

NM_EXPORT CUresult cuGraphDebugDotPrint(CUgraph graph, const char* path, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (!path) return CUDA_ERROR_INVALID_VALUE;
  std::vector<uint8_t> text;
  if (CUresult e = remote::nm_graph_dot(graph, flags, &text)) return e;
  FILE* file = fopen(path, "w");
  if (!file) return CUDA_ERROR_OPERATING_SYSTEM;
  bool ok = fwrite(text.data(), 1, text.size(), file) == text.size();
  return fclose(file) == 0 && ok ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

}  // extern "C"
