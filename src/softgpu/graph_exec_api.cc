// Executable graphs: made, launched, changed.
#include <cstring>

#include "softgpu/capture.h"
#include "softgpu/graph_exec.h"

using namespace nm::softgpu;

namespace {

constexpr unsigned long long kKnownFlags =
    CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD |
    CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;

void instantiate(Call& c, CUgraphExec* out, CUgraph graph, unsigned long long flags) {
  require(out != nullptr && (flags & ~kKnownFlags) == 0);
  require((flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH) == 0, CUDA_ERROR_NOT_SUPPORTED);
  auto exec = std::make_shared<GraphExec>(*graph_of(c, graph), flags);
  *out = handle_of<CUgraphExec>(exec.get());
  c.driver.handles.add(std::move(exec));
}

GraphExecPtr exec_of(Call& c, CUgraphExec handle) {
  return c.driver.handles.get<GraphExec>(handle, CUDA_ERROR_INVALID_VALUE);
}

// Changes a node of an executable graph, named by the node that it comes from.
void replace(Call& c, CUgraphExec exec, CUgraphNode node, const WorkPtr& work) {
  Node& mine = exec_of(c, exec)->node(*node_of(c, node));
  require(mine.work->type() == work->type());
  mine.work = work;
}

Node& switchable(Call& c, CUgraphExec exec, CUgraphNode node) {
  Node& mine = exec_of(c, exec)->node(*node_of(c, node));
  const auto type = mine.work->type();
  require(type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_MEMSET || type == CU_GRAPH_NODE_TYPE_MEMCPY);
  return mine;
}

// The attributes of a kernel node stay when its parameters change.
const LaunchAttributes& attributes_of(Call& c, CUgraphExec exec, CUgraphNode node) {
  return work_as<KernelWork>(exec_of(c, exec)->node(*node_of(c, node))).attributes;
}

}  // namespace

extern "C" {

CUresult cuGraphInstantiateWithFlags(CUgraphExec* graph_exec, CUgraph graph, unsigned long long flags) {
  return call([&](Call& c) { instantiate(c, graph_exec, graph, flags); });
}

CUresult cuGraphInstantiate_v2(CUgraphExec* graph_exec, CUgraph graph, CUgraphNode* error_node, char* log_buffer,
                               size_t buffer_size) {
  if (error_node) *error_node = nullptr;
  if (log_buffer && buffer_size > 0) *log_buffer = 0;
  return cuGraphInstantiateWithFlags(graph_exec, graph, 0);
}
CUresult cuGraphInstantiate(CUgraphExec* graph_exec, CUgraph graph, CUgraphNode* error_node, char* log_buffer,
                            size_t buffer_size) {
  return cuGraphInstantiate_v2(graph_exec, graph, error_node, log_buffer, buffer_size);
}

CUresult cuGraphInstantiateWithParams(CUgraphExec* graph_exec, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* instantiate_params) {
  if (!instantiate_params) return CUDA_ERROR_INVALID_VALUE;
  auto& p = *instantiate_params;
  p.hErrNode_out = nullptr;
  const CUresult result = cuGraphInstantiateWithFlags(graph_exec, graph, p.flags);
  p.result_out = result == CUDA_SUCCESS               ? CUDA_GRAPH_INSTANTIATE_SUCCESS
                 : result == CUDA_ERROR_NOT_SUPPORTED ? CUDA_GRAPH_INSTANTIATE_NODE_OPERATION_NOT_SUPPORTED
                                                      : CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE;
  return result;
}

CUresult cuGraphExecDestroy(CUgraphExec graph_exec) {
  return call([&](Call& c) { c.driver.handles.remove(exec_of(c, graph_exec).get()); });
}

CUresult cuGraphExecGetFlags(CUgraphExec graph_exec, unsigned long long* flags) {
  return call([&](Call& c) {
    require(flags != nullptr);
    *flags = exec_of(c, graph_exec)->flags;
  });
}

CUresult cuGraphUpload(CUgraphExec graph, CUstream stream) {
  return in_context([&](ContextCall& c) {
    exec_of(c, graph);
    c.stream(stream);
  });
}

CUresult cuGraphLaunch(CUgraphExec graph_exec, CUstream stream) {
  return in_context([&](ContextCall& c) {
    const auto exec = exec_of(c, graph_exec);
    const auto s = c.stream(stream);
    if (s->capture) {
      require(!exec->graph->has_memory_nodes(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
      capture_work(*s, ChildGraphWork::of(exec->graph->clone(true)));
      return;
    }
    fail_if_legacy_breaks_capture(*s);
    std::vector<std::shared_ptr<Fence>> former;
    if (exec->last_launch) former.push_back(exec->last_launch);
    exec->last_launch = c.enqueue(*s, exec->launch(c.driver), std::move(former));
  });
}

CUresult cuGraphExecNodeSetParams(CUgraphExec graph_exec, CUgraphNode node, CUgraphNodeParams* node_params) {
  return in_context([&](ContextCall& c) {
    require(node_params != nullptr && node_params->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC);
    replace(c, graph_exec, node, work_of(c, *node_params));
  });
}
CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec graph_exec, CUgraphNode node,
                                           const CUDA_KERNEL_NODE_PARAMS* node_params) {
  return in_context([&](ContextCall& c) {
    require(node_params != nullptr);
    replace(c, graph_exec, node, kernel_work(c, *node_params, attributes_of(c, graph_exec, node)));
  });
}
CUresult cuGraphExecKernelNodeSetParams(CUgraphExec graph_exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1* p) {
  if (!p) return CUDA_ERROR_INVALID_VALUE;
  const CUDA_KERNEL_NODE_PARAMS wide = {p->func,         p->gridDimX,  p->gridDimY,  p->gridDimZ,
                                        p->blockDimX,    p->blockDimY, p->blockDimZ, p->sharedMemBytes,
                                        p->kernelParams, p->extra,     nullptr,      nullptr};
  return cuGraphExecKernelNodeSetParams_v2(graph_exec, node, &wide);
}
CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec graph_exec, CUgraphNode node, const CUDA_MEMCPY3D* copy_params,
                                        CUcontext ctx) {
  return in_context([&](ContextCall& c) {
    require(copy_params != nullptr);
    replace(c, graph_exec, node, copy_work(c, *copy_params, ctx));
  });
}
CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                        const CUDA_MEMSET_NODE_PARAMS* memset_params, CUcontext ctx) {
  return in_context([&](ContextCall& c) {
    require(memset_params != nullptr);
    replace(c, graph_exec, node, fill_work(c, *memset_params, ctx));
  });
}
CUresult cuGraphExecHostNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                      const CUDA_HOST_NODE_PARAMS* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    replace(c, graph_exec, node, std::make_shared<HostWork>(*node_params));
  });
}
CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec graph_exec, CUgraphNode node, CUgraph child_graph) {
  return call([&](Call& c) {
    const auto child = graph_of(c, child_graph);
    const auto& mine = work_as<ChildGraphWork>(exec_of(c, graph_exec)->node(*node_of(c, node)));
    require(child->nodes.size() == mine.graph->nodes.size());  // the same shape is asked for
    replace(c, graph_exec, node, std::make_shared<ChildGraphWork>(child->clone(false)));
  });
}
CUresult cuGraphExecEventRecordNodeSetEvent(CUgraphExec graph_exec, CUgraphNode node, CUevent event) {
  return call([&](Call& c) { replace(c, graph_exec, node, record_work(c, event)); });
}
CUresult cuGraphExecEventWaitNodeSetEvent(CUgraphExec graph_exec, CUgraphNode node, CUevent event) {
  return call([&](Call& c) { replace(c, graph_exec, node, wait_work(c, event)); });
}
CUresult cuGraphExecBatchMemOpNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                            const CUDA_BATCH_MEM_OP_NODE_PARAMS* node_params) {
  return call([&](Call& c) {
    require(node_params != nullptr);
    replace(c, graph_exec, node, memop_work(c, *node_params));
  });
}

CUresult cuGraphNodeSetEnabled(CUgraphExec graph_exec, CUgraphNode node, unsigned is_enabled) {
  return call([&](Call& c) { switchable(c, graph_exec, node).enabled = is_enabled != 0; });
}
CUresult cuGraphNodeGetEnabled(CUgraphExec graph_exec, CUgraphNode node, unsigned* is_enabled) {
  return call([&](Call& c) {
    require(is_enabled != nullptr);
    *is_enabled = switchable(c, graph_exec, node).enabled;
  });
}

CUresult cuGraphExecUpdate_v2(CUgraphExec graph_exec, CUgraph graph, CUgraphExecUpdateResultInfo* result_info) {
  return call([&](Call& c) {
    require(result_info != nullptr);
    NodePtr mine, from;
    const auto result = exec_of(c, graph_exec)->update(*graph_of(c, graph), mine, from);
    *result_info = {result, handle_of<CUgraphNode>(from.get()), nullptr};
    require(result == CU_GRAPH_EXEC_UPDATE_SUCCESS, CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  });
}
CUresult cuGraphExecUpdate(CUgraphExec graph_exec, CUgraph graph, CUgraphNode* error_node_out,
                           CUgraphExecUpdateResult* update_result_out) {
  CUgraphExecUpdateResultInfo info = {};
  const CUresult result = cuGraphExecUpdate_v2(graph_exec, graph, &info);
  if (error_node_out) *error_node_out = info.errorNode;
  if (update_result_out) *update_result_out = info.result;
  return result;
}

CUresult cuDeviceGraphMemTrim(CUdevice device) {
  return call([&](Call& c) { c.driver.device(device); });  // what graphs keep ends with them
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void* value) {
  return call([&](Call& c) {
    require(value != nullptr);
    const Device& d = c.driver.device(device);
    const std::atomic<uint64_t>* from[] = {&d.graph_used, &d.graph_used_high, &d.graph_reserved,
                                           &d.graph_reserved_high};
    require(attr <= CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH);
    const uint64_t bytes = *from[attr];
    std::memcpy(value, &bytes, sizeof bytes);
  });
}

CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void* value) {
  return call([&](Call& c) {
    require(value != nullptr);
    Device& d = c.driver.device(device);
    uint64_t wanted = 0;
    std::memcpy(&wanted, value, sizeof wanted);
    require(wanted == 0);  // a high watermark can only be reset
    if (attr == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) {
      d.graph_used_high = d.graph_used.load();
    } else {
      require(attr == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH);
      d.graph_reserved_high = d.graph_reserved.load();
    }
  });
}

}  // extern "C"
