#include "program.h"

#include <iterator>
#include <vector>

#include "wire/facts.h"

using nm::Kind;
using nm::client::draw_handle;

#include "caller.h"

namespace nm::fuzz {
namespace {

uint8_t g_host[4096];
char g_log[2][256];

CUgraphNode node(Caller& c) { return c.handle<CUgraphNode>(Kind::node); }
CUgraph graph(Caller& c) { return c.handle<CUgraph>(Kind::graph); }
CUgraphExec exec(Caller& c) { return c.handle<CUgraphExec>(Kind::graphexec); }
CUstream stream(Caller& c) { return c.handle<CUstream>(Kind::stream); }
CUfunction function(Caller& c) { return c.handle<CUfunction>(Kind::function); }

// Modules, functions, launches.
void load(Caller& c) {
  static const char ptx[] = ".version 8.0\n.target sm_50\n.address_size 64\n";
  CUjit_option options[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER,
                            CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_WALL_TIME};
  void* values[] = {g_log[0], reinterpret_cast<void*>(sizeof g_log[0]), g_log[1],
                    reinterpret_cast<void*>(sizeof g_log[1]), nullptr};
  CUmodule module = nullptr;
  if (cuModuleLoadDataEx(&module, ptx, c.count() % 6, options, values)) return;
  CUfunction f = nullptr;
  cuModuleGetFunction(&f, module, c.text());
  CUdeviceptr address;
  size_t size;
  cuModuleGetGlobal_v2(&address, &size, module, c.text());
  CUfunction all[4];
  cuModuleEnumerateFunctions(all, 4, module);
  cuModuleUnload(module);
}
void load_library(Caller& c) {
  static const char ptx[] = ".version 8.0\n.target sm_50\n.address_size 64\n";
  CUlibrary library;
  if (cuLibraryLoadData(&library, ptx, nullptr, nullptr, 0, nullptr, nullptr, 0)) return;
  CUkernel kernels[4], kernel;
  cuLibraryGetKernel(&kernel, library, c.text());
  cuLibraryEnumerateKernels(kernels, 4, library);
  CUdeviceptr address;
  size_t size;
  cuLibraryGetGlobal(&address, &size, library, c.text());
  CUmodule module;
  cuLibraryGetModule(&module, library);
  cuLibraryUnload(library);
}
// As much as the largest kernel reads and no more: whatever the server says of a kernel, a launch stays within that.
void** most_parameters() {
  static uint8_t value[nm::wire::kMaxParameterBytes];
  static std::vector<void*> parameters(nm::wire::kMaxParameters, value);
  return parameters.data();
}
void launch(Caller& c) {
  CUfunction f = function(c);
  cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, stream(c), most_parameters(), nullptr);
}
void function_facts(Caller& c) {
  CUfunction f = function(c);
  int value;
  const char* name;
  cuFuncGetAttribute(&value, static_cast<CUfunction_attribute>(c.number()), f);
  cuFuncSetAttribute(f, static_cast<CUfunction_attribute>(c.count()), static_cast<int>(c.number()));
  cuFuncGetName(&name, f);
  cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, f, static_cast<int>(c.number()), c.number());
}

// Graphs.
void kernel_node(Caller& c) {
  CUDA_KERNEL_NODE_PARAMS p{};
  CUgraphNode n = node(c);
  if (cuGraphKernelNodeGetParams_v2(n, &p)) return;
  p.kernelParams = p.extra = nullptr;
  uint8_t buffer[16] = {};
  size_t size = sizeof buffer;
  void* extra[] = {reinterpret_cast<void*>(1), buffer, reinterpret_cast<void*>(2), &size, nullptr};
  if (p.gridDimX & 1) p.kernelParams = most_parameters();
  else p.extra = extra;
  p.func = function(c);
  cuGraphKernelNodeSetParams_v2(n, &p);
}
void copy_node(Caller& c) {
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = g_host;
  copy.dstMemoryType = c.count() & 1 ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
  copy.dstHost = g_host + 2048;
  copy.dstDevice = 0x10000;
  copy.WidthInBytes = 1 + c.count();
  copy.Height = copy.Depth = 1;
  CUgraphNode n;
  if (cuGraphAddMemcpyNode(&n, graph(c), nullptr, 0, &copy, nullptr)) return;
  cuGraphMemcpyNodeGetParams(n, &copy);
}
void memory_nodes(Caller& c) {
  CUDA_MEM_ALLOC_NODE_PARAMS a{};
  CUDA_BATCH_MEM_OP_NODE_PARAMS b{};
  a.bytesize = 4096;
  CUgraphNode n;
  cuGraphAddMemAllocNode(&n, graph(c), nullptr, 0, &a);
  cuGraphMemAllocNodeGetParams(node(c), &a);
  cuGraphBatchMemOpNodeGetParams(node(c), &b);
}
void host_node(Caller& c) {
  CUDA_HOST_NODE_PARAMS p{};
  cuGraphHostNodeGetParams(node(c), &p);
}
void instantiate(Caller& c) {
  CUgraphExec e;
  if (cuGraphInstantiateWithFlags(&e, graph(c), 0)) return;
  cuGraphLaunch(e, stream(c));
  CUgraphExecUpdateResultInfo info{};
  cuGraphExecUpdate_v2(e, graph(c), &info);
  cuGraphLaunch(e, stream(c));
  cuGraphExecDestroy(e);
}
void launch_graph(Caller& c) { cuGraphLaunch(exec(c), stream(c)); }
void lists_of_nodes(Caller& c) {
  // Asked how many first, as programs do.
  size_t count = 0;
  if (cuGraphGetNodes(graph(c), nullptr, &count) || count > 64) return;
  std::vector<CUgraphNode> nodes(count);
  cuGraphGetNodes(graph(c), nodes.data(), &count);
}
void capture(Caller& c) {
  CUstream s = stream(c);
  cuStreamBeginCapture_v2(s, static_cast<CUstreamCaptureMode>(c.count() % 3));
  CUstreamCaptureStatus status;
  uint64_t id;
  CUgraph g;
  const CUgraphNode* nodes;
  const CUgraphEdgeData* edges;
  size_t count;
  if (cuStreamGetCaptureInfo_v3(s, &status, &id, &g, &nodes, &edges, &count) == CUDA_SUCCESS &&
      status == CU_STREAM_CAPTURE_STATUS_ACTIVE) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += reinterpret_cast<uint64_t>(nodes[i]) + edges[i].type;
    g_host[0] = static_cast<uint8_t>(sum);
  }
  cuMemcpyHtoDAsync_v2(0x10000, g_host, 64, s);
  cuStreamEndCapture(s, &g);
}
void conditional(Caller& c) {
  CUgraphNodeParams p{};
  p.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
  p.conditional.handle = c.number();
  p.conditional.size = 1 + static_cast<unsigned>(c.count() & 1);
  CUgraphNode n;
  if (cuGraphAddNode_v2(&n, graph(c), nullptr, nullptr, 0, &p)) return;
  for (unsigned i = 0; i < p.conditional.size; i++) g_host[i] = p.conditional.phGraph_out[i] != nullptr;
  // It lives as long as its node, and here nodes have no end: nor has what keeps it from counting as a leak.
  static auto& held = *new std::vector<CUgraph*>;
  held.push_back(p.conditional.phGraph_out);
}

// Memory.
void allocate(Caller& c) {
  CUdeviceptr p;
  if (cuMemAlloc_v2(&p, 1 + c.count() * 4096)) return;
  CUdeviceptr base;
  size_t size;
  cuMemGetAddressRange_v2(&base, &size, p + c.count());
  cuMemcpyDtoH_v2(g_host, p, c.count());
  cuMemcpyHtoD_v2(p, g_host, c.count());
  cuMemFree_v2(p);
}
void allocate_in_order(Caller& c) {
  CUdeviceptr p;
  if (cuMemAllocAsync(&p, 4096, stream(c)) == CUDA_SUCCESS) cuMemFreeAsync(p, stream(c));
}
void allocate_host(Caller& c) {
  void* p;
  if (cuMemHostAlloc(&p, 4096, 0)) return;
  memset(p, 1, 4096);
  cuMemcpyDtoHAsync_v2(p, 0x10000, c.count(), stream(c));
  cuMemFreeHost(p);
}
void copy(Caller& c) {
  CUDA_MEMCPY2D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = c.number();
  copy.srcPitch = 64;
  copy.dstMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstHost = g_host;
  copy.dstPitch = 64;
  copy.WidthInBytes = 1 + c.count();
  copy.Height = 1 + c.count();
  cuMemcpy2D_v2(&copy);
}
void pointer(Caller& c) {
  uint64_t value[8];
  cuPointerGetAttribute(value, static_cast<CUpointer_attribute>(c.count() + 1), c.number());
  CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_CONTEXT, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                 CU_POINTER_ATTRIBUTE_RANGE_SIZE};
  void* to[] = {&value[0], &value[1], &value[2]};
  cuPointerGetAttributes(3, which, to, c.number());
}

// The rest.
void link(Caller& c) {
  CUjit_option options[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};
  // The linker writes here until it is destroyed, and after a lost server nobody destroys it.
  static void* values[] = {g_log[0], reinterpret_cast<void*>(sizeof g_log[0])};
  CUlinkState state;
  if (cuLinkCreate_v2(2, options, values, &state)) return;
  cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, g_host, 16, c.text(), 0, nullptr, nullptr);
  void* cubin;
  size_t size;
  if (cuLinkComplete(state, &cubin, &size) == CUDA_SUCCESS && size) g_host[0] = static_cast<uint8_t*>(cubin)[size - 1];
  cuLinkDestroy(state);
}
void tensor_map(Caller& c) {
  CUtensorMap map;
  uint64_t dim[5] = {64, 64, 1, 1, 1}, strides[4] = {256, 16384, 16384, 16384};
  uint32_t box[5] = {8, 8, 1, 1, 1}, ones[5] = {1, 1, 1, 1, 1};
  dim[1] += c.count();
  cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2 + c.count() % 4,
                         reinterpret_cast<void*>(c.number() & ~15ull), dim, strides, box, ones,
                         CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                         CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}
void device(Caller& c) {
  char name[64];
  int value;
  cuDeviceGetName(name, sizeof name, static_cast<CUdevice>(c.count()));
  cuDeviceGetAttribute(&value, static_cast<CUdevice_attribute>(c.number()), static_cast<CUdevice>(c.count()));
  const char* text;
  cuGetErrorName(static_cast<CUresult>(c.number()), &text);
}
void synchronise(Caller& c) {
  cuStreamSynchronize(stream(c));
  cuCtxSynchronize();
}
void stream_of(Caller& c) {
  CUcontext context;
  cuStreamGetCtx(stream(c), &context);
  unsigned long long id;
  cuStreamGetId(stream(c), &id);
}

constexpr void (*kCalls[])(Caller&) = {load,           load_library, launch,      function_facts, kernel_node,
                                       copy_node,      memory_nodes, host_node,   instantiate,    launch_graph,
                                       lists_of_nodes, capture,      conditional, allocate,       allocate_in_order,
                                       allocate_host,  copy,         pointer,     link,           tensor_map,
                                       device,         synchronise,  stream_of};

}  // namespace

const size_t kProgramCalls = std::size(kCalls);

void program_call(size_t which, Caller& c) { kCalls[which](c); }

}  // namespace nm::fuzz
