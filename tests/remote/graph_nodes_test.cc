// Nodes and graphs as objects: what they tell of themselves, what dies with them, what they own.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "graph_remote.h"

namespace {

TEST_F(GraphRemote, NodesTellTheirParametersInTheProgramsOwnTerms) {
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  CUgraphNode kernel = add_node(graph, {}, 77);
  CUDA_KERNEL_NODE_PARAMS p{};
  OK(cuGraphKernelNodeGetParams_v2(kernel, &p));
  EXPECT_EQ(add_, p.func);
  EXPECT_EQ(128u, p.blockDimX);
  EXPECT_EQ((kCount + 127) / 128, p.gridDimX);
  ASSERT_NE(nullptr, p.kernelParams);
  EXPECT_EQ(memory_, *static_cast<CUdeviceptr*>(p.kernelParams[0]));
  EXPECT_EQ(77u, *static_cast<uint32_t*>(p.kernelParams[2]));
  CUDA_KERNEL_NODE_PARAMS_v1 old{};
  OK(cuGraphKernelNodeGetParams(kernel, &old));
  EXPECT_EQ(add_, old.func);
  EXPECT_EQ(77u, *static_cast<uint32_t*>(old.kernelParams[2]));

  // Changed and written back, as programs do.
  uint32_t value = 5;
  p.kernelParams[2] = &value;
  OK(cuGraphKernelNodeSetParams_v2(kernel, &p));
  CUgraphExec exec = instantiate(graph);
  OK(cuMemsetD32_v2(memory_, 100, kCount));
  OK(cuCtxSynchronize());
  run(exec);
  EXPECT_EQ(105u, read<uint32_t>(memory_, 1)[0]);
  OK(cuGraphKernelNodeGetParams_v2(kernel, &p));  // what was read before went with the change
  value = 6;
  p.kernelParams[2] = &value;
  OK(cuGraphExecKernelNodeSetParams_v2(exec, kernel, &p));
  run(exec);
  EXPECT_EQ(111u, read<uint32_t>(memory_, 1)[0]);

  std::function<void()> f = [] {}, g = [] {};
  CUgraphNode host = host_node(graph, {kernel}, &f);
  CUDA_HOST_NODE_PARAMS h{};
  OK(cuGraphHostNodeGetParams(host, &h));
  EXPECT_EQ(call, h.fn);
  EXPECT_EQ(&f, h.userData);
  h.userData = &g;
  OK(cuGraphHostNodeSetParams(host, &h));
  h = {};
  OK(cuGraphHostNodeGetParams(host, &h));
  EXPECT_EQ(&g, h.userData);
}

TEST_F(GraphRemote, OneFunctionAddsNodesOfAllTypes) {
  std::vector<uint32_t> in = filled(1), out(kCount);
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  int ran = 0;
  std::function<void()> count = [&] { ran++; };
  CUgraphNode a, b, c, d, e;
  CUgraphNodeParams p{};
  p.type = CU_GRAPH_NODE_TYPE_MEMCPY;
  p.memcpy.copyCtx = context_;
  p.memcpy.copyParams = linear(memory_, in.data(), kBytes, true);
  OK(cuGraphAddNode_v2(&a, graph, nullptr, nullptr, 0, &p));
  p = {};
  p.type = CU_GRAPH_NODE_TYPE_KERNEL;
  unsigned n = kCount;
  uint32_t value = 9;
  void* params[] = {&memory_, &n, &value};
  p.kernel.func = add_;
  p.kernel.gridDimX = (kCount + 127) / 128, p.kernel.gridDimY = p.kernel.gridDimZ = 1;
  p.kernel.blockDimX = 128, p.kernel.blockDimY = p.kernel.blockDimZ = 1;
  p.kernel.kernelParams = params;
  OK(cuGraphAddNode_v2(&b, graph, &a, nullptr, 1, &p));
  p = {};
  p.type = CU_GRAPH_NODE_TYPE_MEMCPY;
  p.memcpy.copyCtx = context_;
  p.memcpy.copyParams = linear(memory_, out.data(), kBytes, false);
  OK(cuGraphAddNode_v2(&c, graph, &b, nullptr, 1, &p));
  p = {};
  p.type = CU_GRAPH_NODE_TYPE_HOST;
  p.host.fn = call;
  p.host.userData = &count;
  OK(cuGraphAddNode_v2(&d, graph, &c, nullptr, 1, &p));
  p = {};
  p.type = CU_GRAPH_NODE_TYPE_MEMSET;
  p.memset.dst = memory_;
  p.memset.elementSize = 4;
  p.memset.width = kCount;
  p.memset.height = 1;
  p.memset.ctx = context_;
  OK(cuGraphAddNode_v2(&e, graph, &c, nullptr, 1, &p));
  p = {};
  p.type = CU_GRAPH_NODE_TYPE_EMPTY;
  CUgraphNode both[] = {d, e}, last;
  OK(cuGraphAddNode_v2(&last, graph, both, nullptr, 2, &p));
  size_t nodes = 0;
  OK(cuGraphGetNodes(graph, nullptr, &nodes));
  EXPECT_EQ(6u, nodes);
  std::vector<CUgraphNode> before(2);
  size_t two = 2;
  OK(cuGraphNodeGetDependencies(last, before.data(), &two));
  EXPECT_EQ(2u, two);
  EXPECT_TRUE((before[0] == d && before[1] == e) || (before[0] == e && before[1] == d));
  CUgraphExec exec = instantiate(graph);
  run(exec);
  EXPECT_EQ(filled(10), out);
  EXPECT_EQ(1, ran);
  EXPECT_EQ(0u, read<uint32_t>(memory_, 1)[0]);
}

TEST_F(GraphRemote, MemoryThatAGraphAllocatesCanBeUsedAndFreed) {
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  CUDA_MEM_ALLOC_NODE_PARAMS p{};
  p.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  p.poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  p.poolProps.location.id = device_;
  p.bytesize = 4096;
  CUgraphNode alloc, fill;
  OK(cuGraphAddMemAllocNode(&alloc, graph, nullptr, 0, &p));
  ASSERT_NE(0u, p.dptr);
  CUDA_MEMSET_NODE_PARAMS set{};
  set.dst = p.dptr;
  set.value = 7;
  set.elementSize = 4;
  set.width = 1024;
  set.height = 1;
  OK(cuGraphAddMemsetNode(&fill, graph, &alloc, 1, &set, context_));
  CUDA_MEM_ALLOC_NODE_PARAMS asked{};
  OK(cuGraphMemAllocNodeGetParams(alloc, &asked));
  EXPECT_EQ(p.dptr, asked.dptr);
  EXPECT_EQ(4096u, asked.bytesize);
  CUgraphExec exec = instantiate(graph);
  for (int round = 0; round < 3; round++) {
    run(exec);
    EXPECT_EQ(std::vector<uint32_t>(1024, 7), read<uint32_t>(p.dptr, 1024));
    OK(cuMemFree_v2(p.dptr));
  }
  OK(cuGraphExecDestroy(exec));
  OK(cuGraphDestroy(graph));
  // Its addresses may be given away again.
  for (int i = 0; i < 50; i++) {
    CUdeviceptr q;
    OK(cuMemAlloc_v2(&q, 1 << 20));
    OK(cuMemFree_v2(q));
  }
}

TEST_F(GraphRemote, HandlesOfADestroyedGraphAreRefused) {
  for (int round = 0; round < 20; round++) {
    CUgraph graph;
    OK(cuGraphCreate(&graph, 0));
    std::vector<CUgraphNode> nodes(200);
    for (size_t i = 0; i < nodes.size(); i++)
      OK(cuGraphAddEmptyNode(&nodes[i], graph, i ? &nodes[i - 1] : nullptr, i ? 1 : 0));
    OK(cuGraphDestroy(graph));
    CUgraphNodeType type;
    EXPECT_NE(CUDA_SUCCESS, cuGraphNodeGetType(nodes[0], &type));
    EXPECT_NE(CUDA_SUCCESS, cuGraphNodeGetType(nodes[199], &type));
    EXPECT_NE(CUDA_SUCCESS, cuGraphAddEmptyNode(&nodes[0], graph, nullptr, 0));
  }
}

TEST_F(GraphRemote, ADestructorOfAUserObjectRunsInTheProgram) {
  std::atomic<int> destroyed{0};
  auto destroy = [](void* p) { ++*static_cast<std::atomic<int>*>(p); };
  CUuserObject object;
  CUresult e = cuUserObjectCreate(&object, &destroyed, destroy, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC);
  if (e == CUDA_ERROR_NOT_SUPPORTED) GTEST_SKIP() << "this driver has no user objects";
  ASSERT_EQ(CUDA_SUCCESS, e);
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  OK(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
  EXPECT_EQ(0, destroyed);
  OK(cuGraphDestroy(graph));
  for (int i = 0; i < 2000 && !destroyed; i++) {
    cuCtxSynchronize();
    usleep(1000);
  }
  EXPECT_EQ(1, destroyed);
}

TEST_F(GraphRemote, TheDrawingOfAGraphIsWrittenHere) {
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  add_node(graph, {}, 1);
  char path[] = "/tmp/nm-dot-XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  close(fd);
  OK(cuGraphDebugDotPrint(graph, path, 0));
  FILE* file = std::fopen(path, "r");
  char text[4096] = {};
  const size_t n = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  unlink(path);
  EXPECT_GT(n, 0u);
  EXPECT_NE(nullptr, std::strstr(text, "digraph"));
  EXPECT_EQ(CUDA_ERROR_OPERATING_SYSTEM, cuGraphDebugDotPrint(graph, "/nonexistent/x.dot", 0));
}

TEST_F(GraphRemote, NodesWriteAndWaitForValuesInMemory) {
  CUstreamBatchMemOpParams ops[2] = {};
  ops[0].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
  ops[0].writeValue.address = memory_;
  ops[0].writeValue.value = 11;
  ops[1].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
  ops[1].waitValue.address = memory_;
  ops[1].waitValue.value = 11;
  ops[1].waitValue.flags = CU_STREAM_WAIT_VALUE_EQ;
  CUDA_BATCH_MEM_OP_NODE_PARAMS p{context_, 2, ops, 0};
  CUgraph graph;
  CUgraphNode node, other;
  OK(cuGraphCreate(&graph, 0));
  OK(cuGraphAddBatchMemOpNode(&node, graph, nullptr, 0, &p));
  CUgraphNodeType type;
  OK(cuGraphNodeGetType(node, &type));
  EXPECT_EQ(CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, type);
  CUDA_BATCH_MEM_OP_NODE_PARAMS asked{};
  OK(cuGraphBatchMemOpNodeGetParams(node, &asked));
  EXPECT_EQ(context_, asked.ctx);
  ASSERT_EQ(2u, asked.count);
  EXPECT_EQ(memory_, asked.paramArray[0].writeValue.address);
  EXPECT_EQ(11u, asked.paramArray[0].writeValue.value);
  CUgraphExec exec = instantiate(graph);
  run(exec);
  EXPECT_EQ(11u, read<uint32_t>(memory_, 1)[0]);

  p.count = 1;
  ops[0].writeValue.value = 12;
  OK(cuGraphExecBatchMemOpNodeSetParams(exec, node, &p));
  run(exec);
  EXPECT_EQ(12u, read<uint32_t>(memory_, 1)[0]);
  ops[0].writeValue.value = 13;
  OK(cuGraphBatchMemOpNodeSetParams(node, &p));
  run(instantiate(graph));
  EXPECT_EQ(13u, read<uint32_t>(memory_, 1)[0]);

  p.count = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphAddBatchMemOpNode(&other, graph, nullptr, 0, &p));
  p.count = 1u << 31;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphAddBatchMemOpNode(&other, graph, nullptr, 0, &p));
  p.count = 1;
  p.paramArray = nullptr;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGraphAddBatchMemOpNode(&other, graph, nullptr, 0, &p));
}

}  // namespace
