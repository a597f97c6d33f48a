#include "driver_test.h"
#include "kernels.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

namespace {

class GraphTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuModuleLoadData(&module_, kKernels));
    OK(cuModuleGetFunction(&scale_, module_, "scale"));
    OK(cuModuleGetFunction(&fill_, module_, "fill"));
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    OK(cuGraphCreate(&graph_, 0));
    OK(cuMemAlloc_v2(&p_, 4096));
    OK(cuMemsetD32_v2(p_, 1, 1024));
    OK(cuCtxSynchronize());
  }
  CUgraphNode add_scale(unsigned factor, std::vector<CUgraphNode> after = {}) {
    unsigned n = 1024;
    void* params[] = {&p_, &n, &factor};
    CUDA_KERNEL_NODE_PARAMS kernel = {};
    kernel.func = scale_;
    kernel.gridDimX = 8;
    kernel.gridDimY = kernel.gridDimZ = 1;
    kernel.blockDimX = 128;
    kernel.blockDimY = kernel.blockDimZ = 1;
    kernel.kernelParams = params;
    CUgraphNode node = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphAddKernelNode_v2(&node, graph_, after.data(), after.size(), &kernel));
    return node;
  }
  CUgraphNode add_fill(unsigned value, std::vector<CUgraphNode> after = {}) {
    CUDA_MEMSET_NODE_PARAMS fill = {p_, 0, value, 4, 1024, 1};
    CUgraphNode node = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphAddMemsetNode(&node, graph_, after.data(), after.size(), &fill, context_));
    return node;
  }
  CUgraphExec instantiate(unsigned long long flags = 0) {
    CUgraphExec exec = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphInstantiateWithFlags(&exec, graph_, flags));
    return exec;
  }
  void launch(CUgraphExec exec) {
    OK(cuGraphLaunch(exec, stream_));
    OK(cuStreamSynchronize(stream_));
  }
  uint32_t first() { return read<uint32_t>(p_, 1)[0]; }

  CUmodule module_ = nullptr;
  CUfunction scale_ = nullptr, fill_ = nullptr;
  CUstream stream_ = nullptr;
  CUgraph graph_ = nullptr;
  CUdeviceptr p_ = 0;
};

TEST_F(GraphTest, NodesRunInTheOrderOfTheirEdges) {
  // Added in the wrong order; the edges set it right.
  const CUgraphNode last = add_scale(5);
  const CUgraphNode first_node = add_fill(3);
  OK(cuGraphAddDependencies(graph_, &first_node, &last, 1));
  launch(instantiate());
  EXPECT_EQ(15u, first());
}

// Launches of one executable graph do not overlap, whatever streams they are in.
TEST_F(GraphTest, ALaunchWaitsForTheFormerOneOfTheSameExecutable) {
  // Reads a word, takes its time, writes what it read plus one: launches that overlap lose some.
  const char* text =
      ".version 7.5\n.target sm_70\n.address_size 64\n"
      ".visible .entry slow_count(.param .u64 p)\n{\n .reg .pred %p<2>;\n .reg .b32 %r<3>;\n .reg .b64 %rd<2>;\n"
      " ld.param.u64 %rd1, [p];\n ld.volatile.global.u32 %r1, [%rd1];\n mov.u32 %r2, 20000;\n"
      "AGAIN:\n sub.s32 %r2, %r2, 1;\n setp.ne.u32 %p1, %r2, 0;\n @%p1 bra AGAIN;\n"
      " add.s32 %r1, %r1, 1;\n st.volatile.global.u32 [%rd1], %r1;\n ret;\n}\n";
  CUmodule module = nullptr;
  CUfunction slow_count = nullptr;
  OK(cuModuleLoadData(&module, text));
  OK(cuModuleGetFunction(&slow_count, module, "slow_count"));
  void* params[] = {&p_};
  CUDA_KERNEL_NODE_PARAMS kernel = {};
  kernel.func = slow_count;
  kernel.gridDimX = kernel.gridDimY = kernel.gridDimZ = 1;
  kernel.blockDimX = kernel.blockDimY = kernel.blockDimZ = 1;
  kernel.kernelParams = params;
  CUgraphNode node = nullptr;
  OK(cuGraphAddKernelNode_v2(&node, graph_, nullptr, 0, &kernel));
  CUgraphExec exec = instantiate();

  constexpr unsigned kStreams = 4, kLaunches = 60;
  CUstream streams[kStreams];
  for (auto& stream : streams) OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (unsigned i = 0; i < kLaunches; ++i) OK(cuGraphLaunch(exec, streams[i % kStreams]));
  // The end of the last launch is the end of all.
  OK(cuStreamSynchronize(streams[(kLaunches - 1) % kStreams]));
  EXPECT_EQ(1 + kLaunches, first());
  for (auto& stream : streams) OK(cuStreamDestroy_v2(stream));
}

TEST_F(GraphTest, StructureCanBeAsked) {
  const CUgraphNode a = add_fill(1), b = add_scale(2, {a}), c = add_scale(3, {a}), d = add_scale(4, {b, c});
  size_t n = 0;
  OK(cuGraphGetNodes(graph_, nullptr, &n));
  EXPECT_EQ(4u, n);
  std::vector<CUgraphNode> nodes(6, a);
  n = 6;
  OK(cuGraphGetNodes(graph_, nodes.data(), &n));
  EXPECT_EQ(4u, n);
  EXPECT_EQ(d, nodes[3]);
  EXPECT_EQ(nullptr, nodes[5]);
  OK(cuGraphGetRootNodes(graph_, nullptr, &n));
  EXPECT_EQ(1u, n);
  OK(cuGraphGetEdges(graph_, nullptr, nullptr, &n));
  EXPECT_EQ(4u, n);
  n = 2;
  CUgraphNode before[2] = {};
  OK(cuGraphNodeGetDependencies(d, before, &n));
  EXPECT_EQ(b, before[0]);
  EXPECT_EQ(c, before[1]);
  OK(cuGraphNodeGetDependentNodes(a, nullptr, &n));
  EXPECT_EQ(2u, n);
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  OK(cuGraphNodeGetType(b, &type));
  EXPECT_EQ(CU_GRAPH_NODE_TYPE_KERNEL, type);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphAddDependencies(graph_, &a, &b, 1));  // there already
  OK(cuGraphRemoveDependencies(graph_, &b, &d, 1));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphRemoveDependencies(graph_, &b, &d, 1));
  OK(cuGraphDestroyNode(c));
  OK(cuGraphGetEdges(graph_, nullptr, nullptr, &n));
  EXPECT_EQ(1u, n);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphNodeGetType(c, &type));
}

TEST_F(GraphTest, CyclesCannotBeInstantiated) {
  const CUgraphNode a = add_fill(1), b = add_scale(2, {a});
  OK(cuGraphAddDependencies(graph_, &b, &a, 1));
  CUgraphExec exec = nullptr;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithFlags(&exec, graph_, 0));
}

TEST_F(GraphTest, ParametersAreReadAndChanged) {
  const CUgraphNode a = add_fill(3), b = add_scale(5, {a});
  CUDA_KERNEL_NODE_PARAMS kernel = {};
  OK(cuGraphKernelNodeGetParams_v2(b, &kernel));
  EXPECT_EQ(8u, kernel.gridDimX);
  EXPECT_EQ(5u, *static_cast<unsigned*>(kernel.kernelParams[2]));
  CUDA_MEMSET_NODE_PARAMS fill = {};
  OK(cuGraphMemsetNodeGetParams(a, &fill));
  EXPECT_EQ(3u, fill.value);
  CUgraphExec exec = instantiate();
  unsigned n = 1024, factor = 7;
  void* params[] = {&p_, &n, &factor};
  kernel.kernelParams = params;
  OK(cuGraphKernelNodeSetParams_v2(b, &kernel));
  launch(exec);  // the executable graph is a copy
  EXPECT_EQ(15u, first());
  OK(cuGraphExecKernelNodeSetParams_v2(exec, b, &kernel));
  fill.value = 4;
  OK(cuGraphExecMemsetNodeSetParams(exec, a, &fill, context_));
  launch(exec);
  EXPECT_EQ(28u, first());
  launch(instantiate());
  EXPECT_EQ(21u, first());
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphMemsetNodeGetParams(b, &fill));
}

TEST_F(GraphTest, NodesAreSwitchedOffInTheExecutableGraph) {
  const CUgraphNode a = add_fill(3), b = add_scale(5, {a});
  CUgraphExec exec = instantiate();
  OK(cuGraphNodeSetEnabled(exec, b, 0));
  unsigned enabled = 1;
  OK(cuGraphNodeGetEnabled(exec, b, &enabled));
  EXPECT_EQ(0u, enabled);
  launch(exec);
  EXPECT_EQ(3u, first());
  OK(cuGraphNodeSetEnabled(exec, b, 1));
  launch(exec);
  EXPECT_EQ(15u, first());
}

TEST_F(GraphTest, UpdateTakesTheSameShapeOnly) {
  const CUgraphNode a = add_fill(3);
  add_scale(5, {a});
  CUgraphExec exec = instantiate();
  CUgraph same = nullptr, other = nullptr;
  OK(cuGraphCreate(&same, 0));
  std::swap(graph_, same);
  const CUgraphNode a2 = add_fill(2);
  add_scale(11, {a2});
  std::swap(graph_, same);
  CUgraphExecUpdateResultInfo info = {};
  OK(cuGraphExecUpdate_v2(exec, same, &info));
  EXPECT_EQ(CU_GRAPH_EXEC_UPDATE_SUCCESS, info.result);
  launch(exec);
  EXPECT_EQ(22u, first());
  OK(cuGraphCreate(&other, 0));
  std::swap(graph_, other);
  add_fill(2);
  add_scale(11);
  std::swap(graph_, other);
  FAILS(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate_v2(exec, other, &info));
  EXPECT_EQ(CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, info.result);
  OK(cuGraphCreate(&other, 0));
  std::swap(graph_, other);
  const CUgraphNode k = add_scale(1);
  add_scale(11, {k});
  std::swap(graph_, other);
  FAILS(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate_v2(exec, other, &info));
  EXPECT_EQ(CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, info.result);
  launch(exec);
  EXPECT_EQ(22u, first());
}

TEST_F(GraphTest, CopiesReadHostMemoryAtTheLaunch) {
  std::vector<uint32_t> source(16, 1), target(16);
  CUDA_MEMCPY3D in = {};
  in.srcMemoryType = CU_MEMORYTYPE_HOST;
  in.srcHost = source.data();
  in.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  in.dstDevice = p_;
  in.WidthInBytes = 64;
  in.Height = in.Depth = 1;
  CUDA_MEMCPY3D out = {};
  out.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  out.srcDevice = p_;
  out.dstMemoryType = CU_MEMORYTYPE_HOST;
  out.dstHost = target.data();
  out.WidthInBytes = 64;
  out.Height = out.Depth = 1;
  CUgraphNode a = nullptr, c = nullptr;
  OK(cuGraphAddMemcpyNode(&a, graph_, nullptr, 0, &in, context_));
  const CUgraphNode b = add_scale(10, {a});
  OK(cuGraphAddMemcpyNode(&c, graph_, &b, 1, &out, context_));
  CUgraphExec exec = instantiate();
  source[3] = 9;
  launch(exec);
  EXPECT_EQ(90u, target[3]);
  source[3] = 8;
  launch(exec);
  EXPECT_EQ(80u, target[3]);
  CUDA_MEMCPY3D got = {};
  OK(cuGraphMemcpyNodeGetParams(a, &got));
  EXPECT_EQ(source.data(), got.srcHost);
}

TEST_F(GraphTest, HostNodesRunEachTime) {
  static int total;
  total = 0;
  int add = 5;
  CUDA_HOST_NODE_PARAMS host = {[](void* data) { total += *static_cast<int*>(data); }, &add};
  CUgraphNode node = nullptr;
  OK(cuGraphAddHostNode(&node, graph_, nullptr, 0, &host));
  CUgraphExec exec = instantiate();
  launch(exec);
  add = 7;
  launch(exec);
  EXPECT_EQ(12, total);
  int other = 100;
  host.userData = &other;
  OK(cuGraphExecHostNodeSetParams(exec, node, &host));
  launch(exec);
  EXPECT_EQ(112, total);
}

TEST_F(GraphTest, ChildGraphsAreCopies) {
  const CUgraphNode k = add_scale(3);
  CUgraph parent = nullptr, embedded = nullptr;
  OK(cuGraphCreate(&parent, 0));
  CUgraphNode child = nullptr;
  OK(cuGraphAddChildGraphNode(&child, parent, nullptr, 0, graph_));
  OK(cuGraphDestroyNode(k));
  OK(cuGraphChildGraphNodeGetGraph(child, &embedded));
  size_t n = 0;
  OK(cuGraphGetNodes(embedded, nullptr, &n));
  EXPECT_EQ(1u, n);
  CUgraphExec exec = nullptr;
  OK(cuGraphInstantiateWithFlags(&exec, parent, 0));
  launch(exec);
  EXPECT_EQ(3u, first());
  EXPECT_NE(CUDA_SUCCESS, cuGraphDestroy(embedded)) << "it is the node's";
  OK(cuGraphDestroy(parent));
  EXPECT_NE(CUDA_SUCCESS, cuGraphGetNodes(embedded, nullptr, &n));
}

TEST_F(GraphTest, ClonesKnowTheirOrigin) {
  const CUgraphNode a = add_fill(2), b = add_scale(3, {a});
  CUgraph clone = nullptr;
  OK(cuGraphClone(&clone, graph_));
  CUgraphNode twin = nullptr;
  OK(cuGraphNodeFindInClone(&twin, b, clone));
  EXPECT_NE(b, twin);
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  OK(cuGraphNodeGetType(twin, &type));
  EXPECT_EQ(CU_GRAPH_NODE_TYPE_KERNEL, type);
  OK(cuGraphDestroy(graph_));
  CUgraphExec exec = nullptr;
  OK(cuGraphInstantiateWithFlags(&exec, clone, 0));
  launch(exec);
  EXPECT_EQ(6u, first());
}

TEST_F(GraphTest, EventNodesRecordAndWait) {
  CUevent done = nullptr, go = nullptr;
  OK(cuEventCreate(&done, 0));
  OK(cuEventCreate(&go, 0));
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, 4096, 2));
  auto* flag = static_cast<std::atomic<uint32_t>*>(host);
  *flag = 0;
  CUdeviceptr flag_address = 0;
  OK(cuMemHostGetDevicePointer_v2(&flag_address, host, 0));
  CUstream other = nullptr;
  OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  OK(cuStreamWaitValue32_v2(other, flag_address, 1, CU_STREAM_WAIT_VALUE_GEQ));
  OK(cuEventRecord(go, other));
  CUgraphNode wait = nullptr, record = nullptr;
  OK(cuGraphAddEventWaitNode(&wait, graph_, nullptr, 0, go));
  const CUgraphNode fill = add_fill(6, {wait});
  OK(cuGraphAddEventRecordNode(&record, graph_, &fill, 1, done));
  CUevent got = nullptr;
  OK(cuGraphEventRecordNodeGetEvent(record, &got));
  EXPECT_EQ(done, got);
  CUgraphExec exec = instantiate();
  OK(cuGraphLaunch(exec, stream_));
  FAILS(CUDA_ERROR_NOT_READY, cuEventQuery(done));
  *flag = 1;
  OK(cuEventSynchronize(done));
  EXPECT_EQ(6u, first());
}

TEST_F(GraphTest, NodesOfEveryKindByOneCall) {
  CUgraphNodeParams params = {};
  params.type = CU_GRAPH_NODE_TYPE_MEMSET;
  params.memset.dst = p_;
  params.memset.value = 9;
  params.memset.elementSize = 4;
  params.memset.width = 1024;
  params.memset.height = 1;
  CUgraphNode a = nullptr, b = nullptr, c = nullptr;
  OK(cuGraphAddNode(&a, graph_, nullptr, 0, &params));
  unsigned n = 1024, factor = 2;
  void* kernel_params[] = {&p_, &n, &factor};
  params = {};
  params.type = CU_GRAPH_NODE_TYPE_KERNEL;
  params.kernel.func = scale_;
  params.kernel.gridDimX = 8;
  params.kernel.gridDimY = params.kernel.gridDimZ = 1;
  params.kernel.blockDimX = 128;
  params.kernel.blockDimY = params.kernel.blockDimZ = 1;
  params.kernel.kernelParams = kernel_params;
  OK(cuGraphAddNode_v2(&b, graph_, &a, nullptr, 1, &params));
  params = {};
  params.type = CU_GRAPH_NODE_TYPE_EMPTY;
  OK(cuGraphAddNode(&c, graph_, &b, 1, &params));
  launch(instantiate());
  EXPECT_EQ(18u, first());
  params.type = CU_GRAPH_NODE_TYPE_CONDITIONAL;
  EXPECT_NE(CUDA_SUCCESS, cuGraphAddNode(&c, graph_, nullptr, 0, &params));
  params.type = static_cast<CUgraphNodeType>(77);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphAddNode(&c, graph_, nullptr, 0, &params));
}

TEST_F(GraphTest, KernelNodesHaveAttributes) {
  const CUgraphNode a = add_scale(2), b = add_scale(2);
  CUkernelNodeAttrValue value = {};
  value.priority = -3;
  OK(cuGraphKernelNodeSetAttribute(a, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
  OK(cuGraphKernelNodeCopyAttributes(b, a));
  value = {};
  OK(cuGraphKernelNodeGetAttribute(b, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
  EXPECT_EQ(-3, value.priority);
}

TEST_F(GraphTest, MemoryOfAGraphLivesFromAllocToFree) {
  CUDA_MEM_ALLOC_NODE_PARAMS alloc = {};
  alloc.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  alloc.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  alloc.bytesize = 4096;
  CUgraphNode a = nullptr, b = nullptr;
  OK(cuGraphAddMemAllocNode(&a, graph_, nullptr, 0, &alloc));
  ASSERT_NE(0u, alloc.dptr);
  unsigned value = 44;
  void* params[] = {&alloc.dptr, &value};
  CUDA_KERNEL_NODE_PARAMS kernel = {};
  kernel.func = fill_;
  kernel.gridDimX = 8;
  kernel.gridDimY = kernel.gridDimZ = 1;
  kernel.blockDimX = 128;
  kernel.blockDimY = kernel.blockDimZ = 1;
  kernel.kernelParams = params;
  OK(cuGraphAddKernelNode_v2(&b, graph_, &a, 1, &kernel));
  CUgraphExec exec = instantiate();
  launch(exec);
  EXPECT_EQ(44u, read<uint32_t>(alloc.dptr, 1)[0]);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(exec, stream_));  // still allocated
  OK(cuMemFreeAsync(alloc.dptr, stream_));
  launch(exec);
  OK(cuMemFree_v2(alloc.dptr));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(alloc.dptr));
  CUgraphExec automatic = nullptr;
  OK(cuGraphExecDestroy(exec));
  OK(cuGraphInstantiateWithFlags(&automatic, graph_, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
  launch(automatic);
  launch(automatic);
  uint64_t used = 0;
  OK(cuDeviceGetGraphMemAttribute(device_, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &used));
  EXPECT_GE(used, 4096u);
  OK(cuMemFree_v2(alloc.dptr));
  CUgraph clone = nullptr;
  EXPECT_NE(CUDA_SUCCESS, cuGraphClone(&clone, graph_));
}

TEST_F(GraphTest, UserObjectsLiveAsLongAsAGraphThatHoldsThem) {
  static std::atomic<int> destroyed;
  destroyed = 0;
  CUuserObject object = nullptr;
  OK(cuUserObjectCreate(
      &object, nullptr, [](void*) { ++destroyed; }, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
  OK(cuGraphRetainUserObject(graph_, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuUserObjectRelease(object, 1));
  add_fill(1);
  CUgraphExec exec = instantiate();
  OK(cuGraphDestroy(graph_));
  launch(exec);
  EXPECT_EQ(0, destroyed);
  OK(cuGraphExecDestroy(exec));
  for (int i = 0; i < 500 && destroyed == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(1, destroyed);
}

TEST_F(GraphTest, InstantiatesInEveryForm) {
  add_fill(5);
  CUgraphExec exec = nullptr;
  CUgraphNode error = nullptr;
  char log[64];
  OK(cuGraphInstantiate_v2(&exec, graph_, &error, log, sizeof log));
  launch(exec);
  CUDA_GRAPH_INSTANTIATE_PARAMS params = {};
  params.flags = CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
  OK(cuGraphInstantiateWithParams(&exec, graph_, &params));
  EXPECT_EQ(CUDA_GRAPH_INSTANTIATE_SUCCESS, params.result_out);
  unsigned long long flags = 0;
  OK(cuGraphExecGetFlags(exec, &flags));
  EXPECT_EQ(8u, flags);
  OK(cuGraphUpload(exec, stream_));
  launch(exec);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithFlags(&exec, graph_, 1u << 30));
}

TEST_F(GraphTest, PrintsItself) {
  const CUgraphNode a = add_fill(1);
  add_scale(2, {a});
  char path[] = "/tmp/nm-graph-XXXXXX";
  close(mkstemp(path));
  OK(cuGraphDebugDotPrint(graph_, path, 0));
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  unlink(path);
  EXPECT_NE(std::string::npos, text.str().find("digraph"));
  EXPECT_NE(std::string::npos, text.str().find("->"));
  EXPECT_NE(std::string::npos, text.str().find("scale"));
}

TEST_F(GraphTest, AFaultInsideIsSticky) {
  CUfunction trap = nullptr;
  OK(cuModuleGetFunction(&trap, module_, "trap_kernel"));
  CUDA_KERNEL_NODE_PARAMS kernel = {};
  kernel.func = trap;
  kernel.gridDimX = kernel.gridDimY = kernel.gridDimZ = 1;
  kernel.blockDimX = kernel.blockDimY = kernel.blockDimZ = 1;
  CUgraphNode node = nullptr;
  OK(cuGraphAddKernelNode_v2(&node, graph_, nullptr, 0, &kernel));
  CUgraphExec exec = instantiate();
  OK(cuGraphLaunch(exec, stream_));
  EXPECT_NE(CUDA_SUCCESS, cuStreamSynchronize(stream_));
  EXPECT_NE(CUDA_SUCCESS, cuCtxSynchronize());
}

}  // namespace
