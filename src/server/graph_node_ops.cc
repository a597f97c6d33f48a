// Nodes of graphs: kernels, host functions, memory operations, memory, conditions; and what lives as long as a graph.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/fd.h"
#include "server/graph_forms.h"
#include "server/graphs.h"
#include "server/session.h"
#include "server_args.h"

namespace nm::server {
namespace {

constexpr size_t kMaxParameters = 4096, kMaxParameterBytes = 64 << 10;
constexpr unsigned kMaxBodies = 4096;  // of a conditional node; the client knows the same limit
constexpr size_t kMaxDot = 14 << 20;
void* const kPointer = reinterpret_cast<void*>(1);  // CU_LAUNCH_PARAM_BUFFER_POINTER
void* const kSize = reinterpret_cast<void*>(2);     // CU_LAUNCH_PARAM_BUFFER_SIZE

template <typename T>
std::vector<uint8_t> as_bytes(const T* values, size_t count) {
  auto* bytes = reinterpret_cast<const uint8_t*>(values);
  return std::vector<uint8_t>(bytes, bytes + count * sizeof(T));
}

// The values behind a node's parameter pointers, each as long as the kernel says.
void write_values(Session& s, CUfunction function, CUkernel kernel, void** params, std::vector<uint8_t>* out) {
  const DriverTable& d = s.driver();
  wire::Writer w(*out);
  for (size_t i = 0; i < kMaxParameters; i++) {
    size_t offset, size;
    CUresult e = kernel ? (d.cuKernelGetParamInfo ? d.cuKernelGetParamInfo(kernel, i, &offset, &size) : CUDA_ERROR_NOT_SUPPORTED)
                        : (d.cuFuncGetParamInfo ? d.cuFuncGetParamInfo(function, i, &offset, &size) : CUDA_ERROR_NOT_SUPPORTED);
    if (e != CUDA_SUCCESS) return;
    w.bytes(params[i], size);
  }
}

void copy_packed(void** extra, std::vector<uint8_t>* out) {
  const uint8_t* buffer = nullptr;
  size_t size = 0;
  for (int i = 0; i < 8 && extra[i]; i += 2) {
    if (extra[i] == kPointer) buffer = static_cast<const uint8_t*>(extra[i + 1]);
    if (extra[i] == kSize) size = *static_cast<const size_t*>(extra[i + 1]);
  }
  if (buffer && size <= kMaxParameterBytes) out->assign(buffer, buffer + size);
}

}  // namespace

namespace hand {

CUresult nm_graph_kernel_node(Session& s, args::nm_graph_kernel_node& a, outs::nm_graph_kernel_node& o) {
  const DriverTable& d = s.driver();
  CUDA_KERNEL_NODE_PARAMS p{};
  if (!s.tables().function.find(a.function, &p.func) && !s.tables().kernel.find(a.function, &p.kern)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  p.gridDimX = a.grid_x, p.gridDimY = a.grid_y, p.gridDimZ = a.grid_z;
  p.blockDimX = a.block_x, p.blockDimY = a.block_y, p.blockDimZ = a.block_z;
  p.sharedMemBytes = a.shared;
  p.ctx = a.ctx;
  size_t size = a.params.size();
  // SAFETY: the driver copies the buffer during the call and writes nothing to it.
  void* extra[] = {kPointer, const_cast<uint8_t*>(a.params.data()), kSize, &size, nullptr};
  if (size) p.extra = extra;
  NodeTarget target;
  if (CUresult e = find_target(s, a.form, a.target, &target)) return e;
  switch (target.form) {
    case NodeForm::add:
      if (!d.cuGraphAddKernelNode_v2) return CUDA_ERROR_NOT_SUPPORTED;
      return d.cuGraphAddKernelNode_v2(&o.node, target.graph, a.dependencies.data(), a.dependencies.size(), &p);
    case NodeForm::set:
      return d.cuGraphKernelNodeSetParams_v2 ? d.cuGraphKernelNodeSetParams_v2(a.existing, &p) : CUDA_ERROR_NOT_SUPPORTED;
    case NodeForm::exec_set:
      return d.cuGraphExecKernelNodeSetParams_v2 ? d.cuGraphExecKernelNodeSetParams_v2(target.exec, a.existing, &p)
                                                 : CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult nm_graph_kernel_params(Session& s, args::nm_graph_kernel_params& a, outs::nm_graph_kernel_params& o) {
  CUDA_KERNEL_NODE_PARAMS p{};
  if (!s.driver().cuGraphKernelNodeGetParams_v2) return CUDA_ERROR_NOT_SUPPORTED;
  if (CUresult e = s.driver().cuGraphKernelNodeGetParams_v2(a.node, &p)) return e;
  CUkernel kernel = p.func ? reinterpret_cast<CUkernel>(p.func) : p.kern;
  if (p.func && !s.tables().kernel.knows(kernel)) kernel = nullptr;
  o.function = kernel ? s.tables().kernel.virtual_of(kernel) : s.tables().function.virtual_of(p.func);
  o.shape = {p.gridDimX, p.gridDimY, p.gridDimZ, p.blockDimX, p.blockDimY, p.blockDimZ, p.sharedMemBytes};
  o.ctx = p.ctx;
  if (p.kernelParams) write_values(s, p.func, kernel, p.kernelParams, &o.values);
  else if (p.extra) copy_packed(p.extra, &o.packed);
  return CUDA_SUCCESS;
}

CUresult nm_graph_host_node(Session& s, args::nm_graph_host_node& a, outs::nm_graph_host_node& o) {
  const DriverTable& d = s.driver();
  NodeTarget target;
  if (CUresult e = find_target(s, a.form, a.target, &target)) return e;
  CUDA_HOST_NODE_PARAMS p{HostFunctions::run, s.host_functions().make(a.token)};
  switch (target.form) {
    case NodeForm::add:
      return d.cuGraphAddHostNode(&o.node, target.graph, a.dependencies.data(), a.dependencies.size(), &p);
    case NodeForm::set:
      return d.cuGraphHostNodeSetParams(a.existing, &p);
    case NodeForm::exec_set:
      return d.cuGraphExecHostNodeSetParams(target.exec, a.existing, &p);
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult nm_graph_host_params(Session& s, args::nm_graph_host_params& a, outs::nm_graph_host_params& o) {
  CUDA_HOST_NODE_PARAMS p{};
  if (CUresult e = s.driver().cuGraphHostNodeGetParams(a.node, &p)) return e;
  // Every function in a graph of this session is one of ours.
  if (p.fn != HostFunctions::run) return CUDA_ERROR_INVALID_VALUE;
  o.token = HostFunctions::token_of(p.userData);
  return CUDA_SUCCESS;
}

CUresult nm_graph_batch_node(Session& s, args::nm_graph_batch_node& a, outs::nm_graph_batch_node& o) {
  const DriverTable& d = s.driver();
  NodeTarget target;
  if (CUresult e = find_target(s, a.form, a.target, &target)) return e;
  if (!d.cuGraphAddBatchMemOpNode) return CUDA_ERROR_NOT_SUPPORTED;
  CUDA_BATCH_MEM_OP_NODE_PARAMS p{};
  p.ctx = a.ctx;
  p.count = static_cast<unsigned>(a.operations.size());
  p.paramArray = a.operations.data();
  p.flags = a.flags;
  switch (target.form) {
    case NodeForm::add:
      return d.cuGraphAddBatchMemOpNode(&o.node, target.graph, a.dependencies.data(), a.dependencies.size(), &p);
    case NodeForm::set:
      return d.cuGraphBatchMemOpNodeSetParams(a.existing, &p);
    case NodeForm::exec_set:
      return d.cuGraphExecBatchMemOpNodeSetParams(target.exec, a.existing, &p);
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult nm_graph_batch_params(Session& s, args::nm_graph_batch_params& a, outs::nm_graph_batch_params& o) {
  if (!s.driver().cuGraphBatchMemOpNodeGetParams) return CUDA_ERROR_NOT_SUPPORTED;
  CUDA_BATCH_MEM_OP_NODE_PARAMS p{};
  if (CUresult e = s.driver().cuGraphBatchMemOpNodeGetParams(a.node, &p)) return e;
  o.ctx = p.ctx;
  o.operations = as_bytes(p.paramArray, p.count);
  o.flags = p.flags;
  return CUDA_SUCCESS;
}

CUresult nm_graph_alloc_node(Session& s, args::nm_graph_alloc_node& a, outs::nm_graph_alloc_node& o) {
  if (!s.driver().cuGraphAddMemAllocNode) return CUDA_ERROR_NOT_SUPPORTED;
  CUDA_MEM_ALLOC_NODE_PARAMS p{};
  p.poolProps = a.props;
  p.poolProps.win32SecurityAttributes = nullptr;
  p.accessDescs = a.access.empty() ? nullptr : a.access.data();
  p.accessDescCount = a.access.size();
  p.bytesize = a.size;
  CUresult e = s.driver().cuGraphAddMemAllocNode(&o.node, a.graph, a.dependencies.data(), a.dependencies.size(), &p);
  o.dptr = p.dptr;
  return e;
}

CUresult nm_graph_alloc_params(Session& s, args::nm_graph_alloc_params& a, outs::nm_graph_alloc_params& o) {
  if (!s.driver().cuGraphMemAllocNodeGetParams) return CUDA_ERROR_NOT_SUPPORTED;
  CUDA_MEM_ALLOC_NODE_PARAMS p{};
  if (CUresult e = s.driver().cuGraphMemAllocNodeGetParams(a.node, &p)) return e;
  o.props = p.poolProps;
  o.access = as_bytes(p.accessDescs, p.accessDescCount);
  o.size = p.bytesize;
  o.dptr = p.dptr;
  return CUDA_SUCCESS;
}

CUresult nm_graph_conditional_node(Session& s, args::nm_graph_conditional_node& a, outs::nm_graph_conditional_node& o) {
  const DriverTable& d = s.driver();
  if (!d.cuGraphAddNode_v2 && !d.cuGraphAddNode) return CUDA_ERROR_NOT_SUPPORTED;
  if (!a.size || a.size > kMaxBodies) return CUDA_ERROR_INVALID_VALUE;
  CUgraphNodeParams p{};
  p.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
  p.conditional.handle = a.handle;
  p.conditional.type = static_cast<CUgraphConditionalNodeType>(a.type);
  p.conditional.size = a.size;
  p.conditional.ctx = a.ctx;
  CUresult e = d.cuGraphAddNode_v2
                   ? d.cuGraphAddNode_v2(&o.node, a.graph, a.dependencies.data(), nullptr, a.dependencies.size(), &p)
                   : d.cuGraphAddNode(&o.node, a.graph, a.dependencies.data(), a.dependencies.size(), &p);
  if (e != CUDA_SUCCESS) return e;
  if (!p.conditional.phGraph_out) {
    // A driver that knows the call and not this kind of node: without its bodies the node is of no use.
    if (d.cuGraphDestroyNode) d.cuGraphDestroyNode(o.node);
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  std::vector<CUgraph> bodies(p.conditional.phGraph_out, p.conditional.phGraph_out + a.size);
  wire::Writer w(o.bodies);
  for (CUgraph body : bodies) w.u64(s.tables().graph.virtual_of(body));
  s.graphs().remember_bodies(o.node, std::move(bodies));
  return CUDA_SUCCESS;
}

CUresult nm_graph_dot(Session& s, args::nm_graph_dot& a, outs::nm_graph_dot& o) {
  if (!s.driver().cuGraphDebugDotPrint) return CUDA_ERROR_NOT_SUPPORTED;
  Fd file(memfd_create("nearmetal-dot", MFD_CLOEXEC));
  if (!file) return CUDA_ERROR_OPERATING_SYSTEM;
  std::string path = "/proc/self/fd/" + std::to_string(file.get());
  if (CUresult e = s.driver().cuGraphDebugDotPrint(a.graph, path.c_str(), a.flags)) return e;
  off_t size = lseek(file.get(), 0, SEEK_END);
  if (size < 0 || static_cast<size_t>(size) > kMaxDot) return CUDA_ERROR_OUT_OF_MEMORY;
  o.text.resize(static_cast<size_t>(size));
  return pread(file.get(), o.text.data(), o.text.size(), 0) == size ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

CUresult nm_user_object(Session& s, args::nm_user_object& a, outs::nm_user_object& o) {
  if (!s.driver().cuUserObjectCreate) return CUDA_ERROR_NOT_SUPPORTED;
  return s.driver().cuUserObjectCreate(&o.object, s.host_functions().make(a.token), HostFunctions::run, a.count, a.flags);
}

}  // namespace hand
}  // namespace nm::server
