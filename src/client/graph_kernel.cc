// Kernel nodes. Parameters are packed as for a launch; what a program reads back points into memory kept here.
#include <string.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "client/client.h"
#include "client/function.h"
#include "client/graph_node.h"
#include "client/handles.h"
#include "client/host_memory.h"
#include "client/launch.h"
#include "remote.h"
#include "wire/codec.h"

namespace nm::client {
namespace {

constexpr size_t kMaxParameters = 4096;
void* const kExtraPointer = reinterpret_cast<void*>(1);  // CU_LAUNCH_PARAM_BUFFER_POINTER
void* const kExtraSize = reinterpret_cast<void*>(2);     // CU_LAUNCH_PARAM_BUFFER_SIZE

// What a program got from cuGraphKernelNodeGetParams and may point to until the node changes.
struct Kept {
  std::vector<std::vector<uint8_t>> values;
  std::vector<void*> pointers;
  std::vector<uint8_t> packed;
  size_t packed_size = 0;
  void* extra[5] = {};
};
std::mutex g_mutex;
std::map<uint64_t, std::unique_ptr<Kept>>& kept() {
  static auto* all = new std::map<uint64_t, std::unique_ptr<Kept>>;
  return *all;
}

CUDA_KERNEL_NODE_PARAMS widen(const CUDA_KERNEL_NODE_PARAMS_v1& p) {
  return {p.func,      p.gridDimX,  p.gridDimY,       p.gridDimZ,     p.blockDimX, p.blockDimY,
          p.blockDimZ, p.sharedMemBytes, p.kernelParams, p.extra, nullptr,     nullptr};
}

CUresult apply(const NodeWay& way, const CUDA_KERNEL_NODE_PARAMS& p, CUgraphNode* out) {
  uint64_t handle = p.func ? as_handle(p.func) : as_handle(p.kern);
  Function* f;
  if (CUresult e = find_function(handle, &f)) return e;
  std::vector<uint8_t> packed;
  if (CUresult e = pack_parameters(*f, p.kernelParams, p.extra, &packed)) return e;
  before_launch(packed.data(), packed.size());  // mirrored memory that the node names belongs to its launches
  CUgraphNode node = nullptr;
  CUresult e = remote::nm_graph_kernel_node(way.form, way.target, way.existing, way.dependencies, way.count, handle,
                                            p.gridDimX, p.gridDimY, p.gridDimZ, p.blockDimX, p.blockDimY, p.blockDimZ,
                                            p.sharedMemBytes, p.ctx, packed.data(), packed.size(), &node);
  if (e == CUDA_SUCCESS && out) *out = node;
  return e;
}

CUresult read(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* out) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  unsigned shape[7];
  unsigned long long function;
  std::vector<uint8_t> values, packed;
  CUDA_KERNEL_NODE_PARAMS p{};
  if (CUresult e = remote::nm_graph_kernel_params(node, &function, shape, &p.ctx, &values, &packed)) return e;
  wire::Handle h;
  if (wire::Handle::parse(function, &h) && h.kind == static_cast<uint8_t>(Kind::kernel)) {
    p.kern = from_handle<CUkernel>(function);
  } else {
    p.func = from_handle<CUfunction>(function);
  }
  p.gridDimX = shape[0], p.gridDimY = shape[1], p.gridDimZ = shape[2];
  p.blockDimX = shape[3], p.blockDimY = shape[4], p.blockDimZ = shape[5];
  p.sharedMemBytes = shape[6];

  // The server hands parameters to the driver as one block, and a genuine driver gives back what it was given. Most
  // programs think in pointers to the single values.
  Function* f;
  if (values.empty() && !packed.empty() && find_function(function, &f) == CUDA_SUCCESS) {
    wire::Writer single(values);
    for (auto [offset, size] : f->facts.parameters) {
      if (offset > packed.size() || size > packed.size() - offset) return CUDA_ERROR_UNKNOWN;
      single.bytes(packed.data() + offset, size);
    }
  }

  std::lock_guard lock(g_mutex);
  auto& slot = kept()[as_handle(node)];
  if (!slot) slot = std::make_unique<Kept>();
  wire::Reader in(values);
  size_t count = 0;
  while (!in.at_end() && count < kMaxParameters) {
    auto value = in.bytes();
    if (in.bad()) return CUDA_ERROR_UNKNOWN;
    if (slot->values.size() <= count) slot->values.emplace_back();
    // In place where the size is as before, so that pointers handed out earlier stay good.
    if (slot->values[count].size() != value.size()) slot->values[count].resize(value.size());
    if (!value.empty()) memcpy(slot->values[count].data(), value.data(), value.size());
    count++;
  }
  if (count) {
    slot->pointers.resize(count);
    for (size_t i = 0; i < count; i++) slot->pointers[i] = slot->values[i].data();
    p.kernelParams = slot->pointers.data();
  } else if (!packed.empty()) {
    if (slot->packed.size() != packed.size()) slot->packed.resize(packed.size());
    memcpy(slot->packed.data(), packed.data(), packed.size());
    slot->packed_size = packed.size();
    void* extra[5] = {kExtraPointer, slot->packed.data(), kExtraSize, &slot->packed_size, nullptr};
    memcpy(slot->extra, extra, sizeof extra);
    p.extra = slot->extra;
  }
  *out = p;
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace nm::client

using namespace nm;
using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuGraphAddKernelNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                           const CUDA_KERNEL_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = add_node(out, graph, dependencies, count, &way)) return e;
  return params ? apply(way, *params, out) : CUDA_ERROR_INVALID_VALUE;
}

NM_EXPORT CUresult cuGraphAddKernelNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                        const CUDA_KERNEL_NODE_PARAMS_v1* params) {
  if (!params) return CUDA_ERROR_INVALID_VALUE;
  auto wide = widen(*params);
  return cuGraphAddKernelNode_v2(out, graph, dependencies, count, &wide);
}

NM_EXPORT CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = set_node(node, &way)) return e;
  return params ? apply(way, *params, nullptr) : CUDA_ERROR_INVALID_VALUE;
}

NM_EXPORT CUresult cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1* params) {
  if (!params) return CUDA_ERROR_INVALID_VALUE;
  auto wide = widen(*params);
  return cuGraphKernelNodeSetParams_v2(node, &wide);
}

NM_EXPORT CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params) {
  NodeWay way;
  if (CUresult e = set_exec_node(exec, node, &way)) return e;
  return params ? apply(way, *params, nullptr) : CUDA_ERROR_INVALID_VALUE;
}

NM_EXPORT CUresult cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1* params) {
  if (!params) return CUDA_ERROR_INVALID_VALUE;
  auto wide = widen(*params);
  return cuGraphExecKernelNodeSetParams_v2(exec, node, &wide);
}

NM_EXPORT CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* params) { return read(node, params); }

NM_EXPORT CUresult cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1* params) {
  if (!params) return CUDA_ERROR_INVALID_VALUE;
  CUDA_KERNEL_NODE_PARAMS p;
  if (CUresult e = read(node, &p)) return e;
  // The first version has one field for both; a kernel passes where a function is wanted.
  CUfunction function = p.func ? p.func : from_handle<CUfunction>(as_handle(p.kern));
  *params = {function,    p.gridDimX,       p.gridDimY,     p.gridDimZ, p.blockDimX, p.blockDimY,
             p.blockDimZ, p.sharedMemBytes, p.kernelParams, p.extra};
  return CUDA_SUCCESS;
}

}  // extern "C"
