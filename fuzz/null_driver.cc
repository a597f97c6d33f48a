#include "null_driver.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "invent.h"

namespace nm::server {
namespace {

constexpr size_t kMostAtOnce = 1 << 20, kMostInAll = 16 << 20;

std::map<void*, size_t> g_memory;
size_t g_total = 0;

using fuzz::answer;
using fuzz::invent;

#include "null_driver.inc"

CUresult host_alloc(void** out, size_t size, unsigned) {
  if (size > kMostAtOnce * 4 || g_total + size > kMostInAll) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = calloc(1, size ? size : 1);
  g_memory[*out] = size;
  g_total += size;
  return CUDA_SUCCESS;
}
CUresult host_free(void* p) {
  auto it = g_memory.find(p);
  if (it == g_memory.end()) return CUDA_ERROR_INVALID_VALUE;
  g_total -= it->second;
  g_memory.erase(it);
  free(p);
  return CUDA_SUCCESS;
}
CUresult device_pointer(CUdeviceptr* out, void* p, unsigned) {
  *out = reinterpret_cast<CUdeviceptr>(p);
  return CUDA_SUCCESS;
}
// Every kernel has two parameters of eight bytes.
constexpr size_t kParameters = 2;
CUresult parameter(CUfunction, size_t index, size_t* offset, size_t* size) {
  *offset = 8 * index;
  *size = 8;
  return index < kParameters ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult kernel_parameter(CUkernel, size_t index, size_t* offset, size_t* size) {
  return parameter(nullptr, index, offset, size);
}
CUresult kernel_node(CUgraphNode, CUDA_KERNEL_NODE_PARAMS* p) {
  static uint64_t value;
  static void* values[kParameters] = {&value, &value};
  *p = {};
  p->kernelParams = values;
  return CUresult(answer());
}
CUresult no_name(CUresult, const char** text) {
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}
CUresult link_complete(CUlinkState, void** cubin, size_t* size) {
  static char image[16] = "cubin";
  *cubin = image;
  *size = sizeof image;
  return CUDA_SUCCESS;
}
CUresult device_name(char* name, int size, CUdevice) {
  if (size > 0) name[0] = 0;
  return CUDA_SUCCESS;
}
// Graphs, as far as sessions look into them: which copies of memory there are.
struct Node {
  CUgraph graph;
  CUDA_MEMCPY3D copy;
};
std::map<CUgraphNode, Node> g_nodes;

CUresult add_copy(CUgraphNode* out, CUgraph graph, const CUgraphNode*, size_t, const CUDA_MEMCPY3D* copy, CUcontext) {
  if (int e = answer()) return CUresult(e);
  *out = invent<CUgraphNode>();
  g_nodes[*out] = {graph, *copy};
  return CUDA_SUCCESS;
}
CUresult set_copy(CUgraphNode node, const CUDA_MEMCPY3D* copy) {
  auto it = g_nodes.find(node);
  if (it == g_nodes.end()) return CUDA_ERROR_INVALID_VALUE;
  it->second.copy = *copy;
  return CUDA_SUCCESS;
}
CUresult get_copy(CUgraphNode node, CUDA_MEMCPY3D* copy) {
  auto it = g_nodes.find(node);
  if (it == g_nodes.end()) return CUDA_ERROR_INVALID_VALUE;
  *copy = it->second.copy;
  return CUDA_SUCCESS;
}
CUresult nodes_of(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  size_t n = 0;
  for (auto& [node, entry] : g_nodes) {
    if (entry.graph != graph) continue;
    if (nodes && n < *count) nodes[n] = node;
    n++;
  }
  *count = nodes ? std::min(n, *count) : n;
  return CUresult(answer());
}
CUresult type_of(CUgraphNode node, CUgraphNodeType* type) {
  *type = g_nodes.count(node) ? CU_GRAPH_NODE_TYPE_MEMCPY : CU_GRAPH_NODE_TYPE_EMPTY;
  return CUDA_SUCCESS;
}
CUresult clone(CUgraph* out, CUgraph graph) {
  *out = invent<CUgraph>();
  std::vector<Node> copies;
  for (auto& [node, entry] : g_nodes) {
    if (entry.graph == graph) copies.push_back({*out, entry.copy});
  }
  for (const Node& n : copies) g_nodes[invent<CUgraphNode>()] = n;
  return CUDA_SUCCESS;
}
CUresult destroy_node(CUgraphNode node) {
  g_nodes.erase(node);
  return CUDA_SUCCESS;
}
CUresult destroy_graph(CUgraph graph) {
  std::erase_if(g_nodes, [&](auto& entry) { return entry.second.graph == graph; });
  return CUDA_SUCCESS;
}
// Conditions have one body or two, as a driver has it.
CUresult add_node(CUgraphNode* out, CUgraph, const CUgraphNode*, const CUgraphEdgeData*, size_t, CUgraphNodeParams* p) {
  static CUgraph bodies[2];
  if (p->type == CU_GRAPH_NODE_TYPE_CONDITIONAL) {
    if (!p->conditional.size || p->conditional.size > 2) return CUDA_ERROR_INVALID_VALUE;
    for (CUgraph& body : bodies) body = invent<CUgraph>();
    p->conditional.phGraph_out = bodies;
  }
  *out = invent<CUgraphNode>();
  return CUDA_SUCCESS;
}
// Every stream but the legacy one takes part in a capture.
CUresult is_capturing(CUstream stream, CUstreamCaptureStatus* status) {
  *status = reinterpret_cast<uint64_t>(stream) > 1 ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
  return CUDA_SUCCESS;
}
CUresult capture_info(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id, CUgraph* graph,
                      const CUgraphNode** nodes, size_t* count) {
  static const CUgraphNode latest[2] = {reinterpret_cast<CUgraphNode>(0x1000), reinterpret_cast<CUgraphNode>(0x1040)};
  is_capturing(stream, status);
  *id = reinterpret_cast<uint64_t>(stream) % 4;
  *graph = reinterpret_cast<CUgraph>(0x2000 + *id);
  *nodes = latest;
  *count = 2;
  return CUDA_SUCCESS;
}
CUresult capture_info_with_edges(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id, CUgraph* graph,
                                 const CUgraphNode** nodes, const CUgraphEdgeData** edges, size_t* count) {
  static const CUgraphEdgeData none[2] = {};
  *edges = none;
  return capture_info(stream, status, id, graph, nodes, count);
}
// Its turn comes at once.
CUresult launch_host_function(CUstream, CUhostFn function, void* user_data) {
  if (int e = answer()) return CUresult(e);
  function(user_data);
  return CUDA_SUCCESS;
}
CUresult add_callback(CUstream stream, CUstreamCallback callback, void* user_data, unsigned) {
  if (int e = answer()) return CUresult(e);
  callback(stream, CUDA_SUCCESS, user_data);
  return CUDA_SUCCESS;
}
// A machine has so much memory to pin and no more.
CUresult host_register(void*, size_t size, unsigned) {
  return size > kMostAtOnce * 4 ? CUDA_ERROR_OUT_OF_MEMORY : CUresult(answer());
}
CUresult no_table(const void**, const CUuuid*) { return CUDA_ERROR_INVALID_VALUE; }
CUresult function_name(const char** name, CUfunction) {
  *name = "f";
  return CUDA_SUCCESS;
}
CUresult kernel_name(const char** name, CUkernel) {
  *name = "k";
  return CUDA_SUCCESS;
}

}  // namespace

const DriverTable& null_driver() {
  static DriverTable table = [] {
    DriverTable t;
    fill_null_driver(&t);
    t.cuMemHostAlloc = host_alloc;
    t.cuMemFreeHost = host_free;
    t.cuMemHostGetDevicePointer_v2 = device_pointer;
    t.cuFuncGetParamInfo = parameter;
    t.cuKernelGetParamInfo = kernel_parameter;
    t.cuGraphKernelNodeGetParams_v2 = kernel_node;
    t.cuGetErrorName = no_name;
    t.cuLinkComplete = link_complete;
    t.cuDeviceGetName = device_name;
    t.cuDeviceGetPCIBusId = device_name;
    t.cuGraphGetNodes = nodes_of;
    t.cuGraphNodeGetType = type_of;
    t.cuGraphAddMemcpyNode = add_copy;
    t.cuGraphMemcpyNodeSetParams = set_copy;
    t.cuGraphMemcpyNodeGetParams = get_copy;
    t.cuGraphClone = clone;
    t.cuGraphDestroyNode = destroy_node;
    t.cuGraphDestroy = destroy_graph;
    t.cuGraphAddNode_v2 = add_node;
    t.cuStreamIsCapturing = is_capturing;
    t.cuStreamGetCaptureInfo_v2 = capture_info;
    t.cuStreamGetCaptureInfo_v3 = capture_info_with_edges;
    t.cuLaunchHostFunc = launch_host_function;
    t.cuStreamAddCallback = add_callback;
    t.cuMemHostRegister_v2 = host_register;
    t.cuGetExportTable = no_table;
    t.cuFuncGetName = function_name;
    t.cuKernelGetName = kernel_name;
    t.cuLibraryGetManaged = nullptr;  // an invented address is not memory
    return t;
  }();
  return table;
}

void reset_null_driver() {
  for (auto& [p, size] : g_memory) free(p);
  g_memory.clear();
  g_nodes.clear();
  g_total = 0;
}

}  // namespace nm::server
