// Graphs whose two ends are in two processes: host memory that only the program has, functions of the program between
// the nodes, captures seen from several threads.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "../driver/driver_test.h"

namespace {

// add(p, n, value): p[i] += value for i < n, each a u32.
constexpr char kKernels[] = R"(
.version 7.5
.target sm_70
.address_size 64
.visible .entry add(.param .u64 p, .param .u32 n, .param .u32 value)
{
  .reg .pred %q;
  .reg .b32 %r<8>;
  .reg .b64 %d<4>;
  ld.param.u64 %d1, [p];
  ld.param.u32 %r1, [n];
  ld.param.u32 %r2, [value];
  mov.u32 %r3, %tid.x;
  mov.u32 %r4, %ctaid.x;
  mov.u32 %r5, %ntid.x;
  mad.lo.s32 %r3, %r4, %r5, %r3;
  setp.ge.u32 %q, %r3, %r1;
  @%q bra done;
  cvta.to.global.u64 %d1, %d1;
  mul.wide.u32 %d2, %r3, 4;
  add.s64 %d1, %d1, %d2;
  ld.global.u32 %r6, [%d1];
  add.s32 %r6, %r6, %r2;
  st.global.u32 [%d1], %r6;
done:
  ret;
}
)";

constexpr unsigned kCount = 3000;
constexpr size_t kBytes = kCount * 4;

// A host function with a C++ body.
void call(void* f) { (*static_cast<std::function<void()>*>(f))(); }

class GraphRemote : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuModuleLoadData(&module_, kKernels));
    OK(cuModuleGetFunction(&add_, module_, "add"));
    OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc_v2(&memory_, kBytes));
  }

  static std::vector<uint32_t> filled(uint32_t first) {
    std::vector<uint32_t> v(kCount);
    std::iota(v.begin(), v.end(), first);
    return v;
  }
  // In place: graphs keep the address.
  static void fill(std::vector<uint32_t>& v, uint32_t first) { std::iota(v.begin(), v.end(), first); }
  static CUDA_MEMCPY3D linear(CUdeviceptr device, void* host, size_t size, bool to_device) {
    CUDA_MEMCPY3D c{};
    c.srcMemoryType = to_device ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    c.dstMemoryType = to_device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    c.srcHost = to_device ? host : nullptr;
    c.dstHost = to_device ? nullptr : host;
    c.srcDevice = to_device ? 0 : device;
    c.dstDevice = to_device ? device : 0;
    c.srcPitch = c.dstPitch = c.WidthInBytes = size;
    c.Height = c.Depth = 1;
    return c;
  }
  CUgraphNode copy_node(CUgraph graph, std::vector<CUgraphNode> after, void* host, bool to_device) {
    CUDA_MEMCPY3D c = linear(memory_, host, kBytes, to_device);
    CUgraphNode node = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphAddMemcpyNode(&node, graph, after.data(), after.size(), &c, context_));
    return node;
  }
  CUgraphNode host_node(CUgraph graph, std::vector<CUgraphNode> after, std::function<void()>* f) {
    CUDA_HOST_NODE_PARAMS p{call, f};
    CUgraphNode node = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphAddHostNode(&node, graph, after.data(), after.size(), &p));
    return node;
  }
  CUgraphNode add_node(CUgraph graph, std::vector<CUgraphNode> after, uint32_t value) {
    unsigned n = kCount;
    void* params[] = {&memory_, &n, &value};
    CUDA_KERNEL_NODE_PARAMS p{};
    p.func = add_;
    p.gridDimX = (kCount + 127) / 128, p.gridDimY = p.gridDimZ = 1;
    p.blockDimX = 128, p.blockDimY = p.blockDimZ = 1;
    p.kernelParams = params;
    CUgraphNode node = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphAddKernelNode_v2(&node, graph, after.data(), after.size(), &p));
    return node;
  }
  void launch_add(uint32_t value, CUstream stream) {
    unsigned n = kCount;
    void* params[] = {&memory_, &n, &value};
    OK(cuLaunchKernel(add_, (kCount + 127) / 128, 1, 1, 128, 1, 1, 0, stream, params, nullptr));
  }
  CUgraphExec instantiate(CUgraph graph) {
    CUgraphExec exec = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphInstantiateWithFlags(&exec, graph, 0));
    return exec;
  }
  // in -> device, += value, device -> out
  CUgraphExec pipeline(void* in, void* out, uint32_t value) {
    CUgraph graph = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphCreate(&graph, 0));
    CUgraphNode a = copy_node(graph, {}, in, true), b = add_node(graph, {a}, value);
    copy_node(graph, {b}, out, false);
    CUgraphExec exec = instantiate(graph);
    EXPECT_EQ(CUDA_SUCCESS, cuGraphDestroy(graph));
    return exec;
  }
  void run(CUgraphExec exec) {
    OK(cuGraphLaunch(exec, stream_));
    OK(cuStreamSynchronize(stream_));
  }

  CUmodule module_ = nullptr;
  CUfunction add_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr memory_ = 0;
};

TEST_F(GraphRemote, PageableMemoryIsReadAndWrittenAtEveryLaunch) {
  std::vector<uint32_t> in = filled(5), out(kCount);
  CUgraphExec exec = pipeline(in.data(), out.data(), 100);
  for (uint32_t round = 0; round < 5; round++) {
    fill(in, round * 1000);
    run(exec);
    EXPECT_EQ(filled(round * 1000 + 100), out) << round;
  }
  // The same result again, over memory that the program has wiped.
  std::fill(out.begin(), out.end(), 0);
  run(exec);
  EXPECT_EQ(filled(4100), out);
  OK(cuGraphExecDestroy(exec));
}

TEST_F(GraphRemote, EveryKindOfHostMemoryWorks) {
  void* pinned = nullptr;
  OK(cuMemHostAlloc(&pinned, kBytes, 0));
  void* registered = std::aligned_alloc(4096, 16384);
  OK(cuMemHostRegister_v2(registered, 16384, 0));
  std::vector<uint32_t> pageable(kCount);
  for (void* in : {pinned, registered, static_cast<void*>(pageable.data())}) {
    for (void* out : {pinned, registered, static_cast<void*>(pageable.data())}) {
      if (in == out) continue;
      CUgraphExec exec = pipeline(in, out, 7);
      for (uint32_t first : {1u, 50u}) {
        auto values = filled(first);
        std::memcpy(in, values.data(), kBytes);
        run(exec);
        EXPECT_EQ(0, std::memcmp(out, filled(first + 7).data(), kBytes));
      }
      OK(cuGraphExecDestroy(exec));
    }
  }
  OK(cuMemHostUnregister(registered));
  std::free(registered);
  OK(cuMemFreeHost(pinned));
}

TEST_F(GraphRemote, OutputIsThereHoweverTheProgramLearnsOfTheEnd) {
  std::vector<uint32_t> in = filled(0), out(kCount);
  CUgraphExec exec = pipeline(in.data(), out.data(), 1);
  CUevent event;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  uint32_t first = 0;
  auto launch = [&] {
    fill(in, ++first);
    EXPECT_EQ(CUDA_SUCCESS, cuGraphLaunch(exec, stream_));
    EXPECT_EQ(CUDA_SUCCESS, cuEventRecord(event, stream_));
  };
  for (int round = 0; round < 20; round++) {
    launch();
    while (cuEventQuery(event) == CUDA_ERROR_NOT_READY) {
    }
    ASSERT_EQ(filled(first + 1), out) << "cuEventQuery";
    launch();
    OK(cuEventSynchronize(event));
    ASSERT_EQ(filled(first + 1), out) << "cuEventSynchronize";
    launch();
    while (cuStreamQuery(stream_) == CUDA_ERROR_NOT_READY) {
    }
    ASSERT_EQ(filled(first + 1), out) << "cuStreamQuery";
    launch();
    OK(cuCtxSynchronize());
    ASSERT_EQ(filled(first + 1), out) << "cuCtxSynchronize";
  }
  OK(cuGraphExecDestroy(exec));
}

TEST_F(GraphRemote, OutputComesAfterTheExecutableGraphIsGone) {
  std::vector<uint32_t> in = filled(3), out(kCount);
  CUgraphExec exec = pipeline(in.data(), out.data(), 1);
  OK(cuGraphLaunch(exec, stream_));
  OK(cuGraphExecDestroy(exec));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(filled(4), out);
}

TEST_F(GraphRemote, LaunchesInARowEachRunWithWhatIsThere) {
  std::vector<uint32_t> in = filled(3), out(kCount);
  CUgraphExec exec = pipeline(in.data(), out.data(), 1);
  for (int i = 0; i < 50; i++) OK(cuGraphLaunch(exec, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(filled(4), out);
  // In two streams by turns, with new values each time that only a function in the stream knows.
  CUstream streams[2] = {stream_};
  OK(cuStreamCreate(&streams[1], CU_STREAM_NON_BLOCKING));
  CUevent event;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  std::vector<uint32_t> firsts;
  std::function<void()> next = [&] { fill(in, in[0] + 1); }, note = [&] { firsts.push_back(out[0]); };
  for (int i = 0; i < 50; i++) {
    CUstream s = streams[i % 2];
    OK(cuStreamWaitEvent(s, event, 0));
    OK(cuLaunchHostFunc(s, call, &next));
    OK(cuGraphLaunch(exec, s));
    OK(cuLaunchHostFunc(s, call, &note));
    OK(cuEventRecord(event, s));
  }
  OK(cuCtxSynchronize());
  EXPECT_EQ(filled(54), out);
  std::vector<uint32_t> expected(50);
  fill(expected, 5);
  EXPECT_EQ(expected, firsts);
}

TEST_F(GraphRemote, CapturedCopiesOfPageableMemoryReadItAtTheLaunch) {
  std::vector<uint32_t> in = filled(0), out(kCount, 9);
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuMemcpyHtoDAsync_v2(memory_, in.data(), kBytes, stream_));
  launch_add(2, stream_);
  OK(cuMemcpyDtoHAsync_v2(out.data(), memory_, kBytes, stream_));
  CUgraph graph;
  OK(cuStreamEndCapture(stream_, &graph));
  EXPECT_EQ(std::vector<uint32_t>(kCount, 9), out);
  CUgraphExec exec = instantiate(graph);
  OK(cuGraphDestroy(graph));
  for (uint32_t first : {10u, 20u, 30u}) {
    fill(in, first);
    run(exec);
    EXPECT_EQ(filled(first + 2), out);
  }
}

TEST_F(GraphRemote, ACapturedCopyBetweenHostMemoriesIsANode) {
  std::vector<uint32_t> in = filled(0), out(kCount, 9);
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(out.data()), reinterpret_cast<CUdeviceptr>(in.data()), kBytes,
                   stream_));
  CUgraph graph;
  OK(cuStreamEndCapture(stream_, &graph));
  EXPECT_EQ(9u, out[0]);
  CUgraphExec exec = instantiate(graph);
  fill(in, 77);
  run(exec);
  EXPECT_EQ(filled(77), out);
}

TEST_F(GraphRemote, AHostNodeSeesWhatTheGraphWroteAndFeedsWhatItReads) {
  std::vector<uint32_t> in = filled(10), between(kCount), out(kCount);
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  std::function<void()> work = [&] {
    for (unsigned i = 0; i < kCount; i++) between[i] = between[i] * 3;
  };
  CUgraphNode a = copy_node(graph, {}, in.data(), true);
  CUgraphNode b = copy_node(graph, {a}, between.data(), false);
  CUgraphNode c = host_node(graph, {b}, &work);
  CUgraphNode d = copy_node(graph, {c}, between.data(), true);
  CUgraphNode e = add_node(graph, {d}, 1);
  copy_node(graph, {e}, out.data(), false);
  CUgraphExec exec = instantiate(graph);
  for (uint32_t round = 0; round < 10; round++) {
    fill(in, round);
    run(exec);
    for (unsigned i = 0; i < kCount; i++) ASSERT_EQ((round + i) * 3 + 1, out[i]) << round << " " << i;
  }
}

TEST_F(GraphRemote, AFunctionInTheStreamFillsWhatALaterLaunchReads) {
  std::vector<uint32_t> in = filled(0), out(kCount), seen;
  CUgraphExec exec = pipeline(in.data(), out.data(), 1);
  for (uint32_t round = 1; round <= 10; round++) {
    std::atomic<bool> go{false};
    std::function<void()> before = [&] {
      while (!go) usleep(100);
      fill(in, round * 100);
    };
    std::function<void()> after = [&] { seen = out; };
    OK(cuLaunchHostFunc(stream_, call, &before));
    OK(cuGraphLaunch(exec, stream_));
    OK(cuLaunchHostFunc(stream_, call, &after));
    go = true;
    OK(cuStreamSynchronize(stream_));
    ASSERT_EQ(filled(round * 100 + 1), seen);
    ASSERT_EQ(filled(round * 100 + 1), out);
  }
}

TEST_F(GraphRemote, ALaunchNeverWaitsForAnEarlierOneThatIsHeldUp) {
  std::vector<uint32_t> in = filled(0), out(kCount);
  std::atomic<bool> go{false};
  std::function<void()> hold = [&] {
    while (!go) usleep(100);
  };
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  CUgraphNode h = host_node(graph, {}, &hold);
  CUgraphNode a = copy_node(graph, {h}, in.data(), true), b = add_node(graph, {a}, 1);
  copy_node(graph, {b}, out.data(), false);
  CUgraphExec exec = instantiate(graph);
  OK(cuGraphLaunch(exec, stream_));
  fill(in, 500);
  OK(cuGraphLaunch(exec, stream_));
  OK(cuGraphLaunch(exec, stream_));
  EXPECT_EQ(CUDA_ERROR_NOT_READY, cuStreamQuery(stream_));
  go = true;
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(filled(501), out);
}

TEST_F(GraphRemote, PitchedRowsLeaveTheirGapsAlone) {
  constexpr size_t kWidth = 40, kRows = 9, kPitch = 64;
  std::vector<uint8_t> in(kPitch * kRows), out(kPitch * kRows, 0xaa);
  CUDA_MEMCPY3D c{};
  c.srcMemoryType = CU_MEMORYTYPE_HOST;
  c.srcHost = in.data();
  c.srcPitch = kPitch;
  c.srcXInBytes = 8;
  c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  c.dstDevice = memory_;
  c.dstPitch = kWidth;
  c.WidthInBytes = kWidth;
  c.Height = kRows;
  c.Depth = 1;
  CUgraph graph;
  CUgraphNode a, b;
  OK(cuGraphCreate(&graph, 0));
  OK(cuGraphAddMemcpyNode(&a, graph, nullptr, 0, &c, context_));
  CUDA_MEMCPY3D back{};
  back.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  back.srcDevice = memory_;
  back.srcPitch = kWidth;
  back.dstMemoryType = CU_MEMORYTYPE_HOST;
  back.dstHost = out.data();
  back.dstPitch = kPitch;
  back.dstXInBytes = 16;
  back.WidthInBytes = kWidth;
  back.Height = kRows;
  back.Depth = 1;
  OK(cuGraphAddMemcpyNode(&b, graph, &a, 1, &back, context_));
  CUgraphExec exec = instantiate(graph);
  std::iota(in.begin(), in.end(), uint8_t{1});
  run(exec);
  for (size_t y = 0; y < kRows; y++) {
    for (size_t x = 0; x < kPitch; x++) {
      const bool inside = x >= 16 && x < 16 + kWidth;
      ASSERT_EQ(inside ? in[y * kPitch + x - 8] : 0xaa, out[y * kPitch + x]) << x << "," << y;
    }
  }
  CUDA_MEMCPY3D asked{};
  OK(cuGraphMemcpyNodeGetParams(a, &asked));
  EXPECT_EQ(in.data(), asked.srcHost);
  EXPECT_EQ(kPitch, asked.srcPitch);
  EXPECT_EQ(8u, asked.srcXInBytes);
  EXPECT_EQ(memory_, asked.dstDevice);
  OK(cuGraphMemcpyNodeGetParams(b, &asked));
  EXPECT_EQ(out.data(), asked.dstHost);
  EXPECT_EQ(16u, asked.dstXInBytes);
}

TEST_F(GraphRemote, CopyNodesCanBePointedElsewhere) {
  std::vector<uint32_t> in = filled(1), other = filled(1000), out(kCount), elsewhere(kCount);
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  CUgraphNode a = copy_node(graph, {}, in.data(), true), b = add_node(graph, {a}, 1);
  CUgraphNode c = copy_node(graph, {b}, out.data(), false);
  CUgraphExec exec = instantiate(graph);
  run(exec);
  EXPECT_EQ(filled(2), out);

  CUDA_MEMCPY3D to = linear(memory_, other.data(), kBytes, true),
                from = linear(memory_, elsewhere.data(), kBytes, false);
  OK(cuGraphExecMemcpyNodeSetParams(exec, a, &to, context_));
  OK(cuGraphExecMemcpyNodeSetParams(exec, c, &from, context_));
  run(exec);
  EXPECT_EQ(filled(2), out);
  EXPECT_EQ(filled(1001), elsewhere);

  // The graph itself, and from it the executable one.
  std::vector<uint32_t> third = filled(5000);
  CUDA_MEMCPY3D again = linear(memory_, third.data(), kBytes, true);
  OK(cuGraphMemcpyNodeSetParams(a, &again));
  CUgraphExecUpdateResultInfo info{};
  OK(cuGraphExecUpdate_v2(exec, graph, &info));
  EXPECT_EQ(CU_GRAPH_EXEC_UPDATE_SUCCESS, info.result);
  run(exec);
  EXPECT_EQ(filled(5001), out);
  EXPECT_EQ(filled(1001), elsewhere);
}

TEST_F(GraphRemote, AnUpdateFromAnotherCaptureBringsItsMemory) {
  std::vector<uint32_t> first = filled(0), second = filled(100), out(kCount);
  auto capture = [&](std::vector<uint32_t>& in) {
    EXPECT_EQ(CUDA_SUCCESS, cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    EXPECT_EQ(CUDA_SUCCESS, cuMemcpyHtoDAsync_v2(memory_, in.data(), kBytes, stream_));
    EXPECT_EQ(CUDA_SUCCESS, cuMemcpyDtoHAsync_v2(out.data(), memory_, kBytes, stream_));
    CUgraph graph = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuStreamEndCapture(stream_, &graph));
    return graph;
  };
  CUgraph a = capture(first);
  CUgraphExec exec = instantiate(a);
  OK(cuGraphDestroy(a));
  run(exec);
  EXPECT_EQ(first, out);
  CUgraph b = capture(second);
  CUgraphNode node;
  CUgraphExecUpdateResult result;
  OK(cuGraphExecUpdate(exec, b, &node, &result));
  OK(cuGraphDestroy(b));
  run(exec);
  EXPECT_EQ(second, out);
}

TEST_F(GraphRemote, ClonesAndChildGraphsCarryTheirMemory) {
  std::vector<uint32_t> in = filled(1), out(kCount);
  CUgraph child, parent, clone;
  OK(cuGraphCreate(&child, 0));
  CUgraphNode a = copy_node(child, {}, in.data(), true), b = add_node(child, {a}, 4);
  copy_node(child, {b}, out.data(), false);
  OK(cuGraphCreate(&parent, 0));
  CUgraphNode node;
  OK(cuGraphAddChildGraphNode(&node, parent, nullptr, 0, child));
  OK(cuGraphDestroy(child));
  OK(cuGraphClone(&clone, parent));
  OK(cuGraphDestroy(parent));
  CUgraphExec exec = instantiate(clone);
  OK(cuGraphDestroy(clone));
  run(exec);
  EXPECT_EQ(filled(5), out);
  fill(in, 50);
  run(exec);
  EXPECT_EQ(filled(54), out);
}

TEST_F(GraphRemote, AChildOfAnExecutableGraphCanBeExchanged) {
  std::vector<uint32_t> in = filled(1), other = filled(700), out(kCount);
  auto make = [&](void* from) {
    CUgraph graph = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuGraphCreate(&graph, 0));
    CUgraphNode a = copy_node(graph, {}, from, true);
    copy_node(graph, {a}, out.data(), false);
    return graph;
  };
  CUgraph one = make(in.data()), two = make(other.data()), parent;
  OK(cuGraphCreate(&parent, 0));
  CUgraphNode node;
  OK(cuGraphAddChildGraphNode(&node, parent, nullptr, 0, one));
  CUgraphExec exec = instantiate(parent);
  run(exec);
  EXPECT_EQ(in, out);
  OK(cuGraphExecChildGraphNodeSetParams(exec, node, two));
  run(exec);
  EXPECT_EQ(other, out);
}

TEST_F(GraphRemote, ALaunchCanBeCaptured) {
  std::vector<uint32_t> in = filled(1), out(kCount);
  CUgraphExec inner = pipeline(in.data(), out.data(), 3);
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  CUresult e = cuGraphLaunch(inner, stream_);
  CUgraph graph;
  OK(cuStreamEndCapture(stream_, &graph));
  if (e == CUDA_ERROR_NOT_SUPPORTED) GTEST_SKIP() << "this driver captures no launches of graphs";
  ASSERT_EQ(CUDA_SUCCESS, e);
  OK(cuGraphExecDestroy(inner));
  CUgraphExec exec = instantiate(graph);
  fill(in, 60);
  run(exec);
  EXPECT_EQ(filled(63), out);
}

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

TEST_F(GraphRemote, CaptureIsSeenByEveryThread) {
  CUstreamCaptureStatus status;
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  launch_add(1, stream_);
  CUgraph during = nullptr;
  const CUgraphNode* nodes = nullptr;
  size_t count = 0;
  uint64_t id = 0, id_elsewhere = 0;
  OK(cuStreamGetCaptureInfo_v2(stream_, &status, &id, &during, &nodes, &count));
  EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_ACTIVE, status);
  ASSERT_EQ(1u, count);
  CUgraphNodeType type;
  OK(cuGraphNodeGetType(nodes[0], &type));
  EXPECT_EQ(CU_GRAPH_NODE_TYPE_KERNEL, type);
  std::thread([&] {
    cuCtxSetCurrent(context_);
    EXPECT_EQ(CUDA_SUCCESS, cuStreamGetCaptureInfo(stream_, &status, &id_elsewhere));
    launch_add(2, stream_);
  }).join();
  EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_ACTIVE, status);
  EXPECT_EQ(id, id_elsewhere);
  CUgraph graph;
  OK(cuStreamEndCapture(stream_, &graph));
  EXPECT_EQ(during, graph);
  OK(cuGraphGetNodes(graph, nullptr, &count));
  EXPECT_EQ(2u, count);
  OK(cuStreamIsCapturing(stream_, &status));
  EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_NONE, status);
  OK(cuGraphDestroy(graph));
}

TEST_F(GraphRemote, AnotherThreadMayNotEndACapture) {
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CUgraph graph;
  std::thread([&] {
    cuCtxSetCurrent(context_);
    EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, cuStreamEndCapture(stream_, &graph));
  }).join();
  OK(cuStreamEndCapture(stream_, &graph));
  OK(cuGraphDestroy(graph));
}

TEST_F(GraphRemote, WhatACaptureForbidsDependsOnTheThread) {
  auto allocate = [&] {
    CUdeviceptr p = 0;
    CUresult e = cuMemAlloc_v2(&p, 64);
    if (e == CUDA_SUCCESS) cuMemFree_v2(p);
    return e;
  };
  auto elsewhere = [&](CUstreamCaptureMode mode) {
    CUresult e = CUDA_ERROR_UNKNOWN;
    std::thread([&] {
      cuCtxSetCurrent(context_);
      CUstreamCaptureMode m = mode;
      EXPECT_EQ(CUDA_SUCCESS, cuThreadExchangeStreamCaptureMode(&m));
      EXPECT_EQ(CU_STREAM_CAPTURE_MODE_GLOBAL, m);
      e = allocate();
    }).join();
    return e;
  };
  CUgraph graph;
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT_EQ(CUDA_SUCCESS, elsewhere(CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT_EQ(CUDA_SUCCESS, elsewhere(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  // The capturing thread itself, by leave of its own mode.
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  EXPECT_EQ(CUDA_SUCCESS, allocate());
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  EXPECT_EQ(CU_STREAM_CAPTURE_MODE_RELAXED, mode);
  EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream_, &graph));

  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  EXPECT_EQ(CUDA_SUCCESS, elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, allocate());
  EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream_, &graph));

  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT_EQ(CUDA_SUCCESS, allocate());
  EXPECT_EQ(CUDA_SUCCESS, elsewhere(CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuStreamEndCapture(stream_, &graph));
  OK(cuGraphDestroy(graph));
}

TEST_F(GraphRemote, AFailedCaptureLeavesNothingBehind) {
  std::vector<uint32_t> in = filled(1);
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuMemcpyHtoDAsync_v2(memory_, in.data(), kBytes, stream_));
  EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(stream_));
  CUgraph graph = nullptr;
  EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream_, &graph));
  EXPECT_EQ(nullptr, graph);
  CUstreamCaptureStatus status;
  OK(cuStreamIsCapturing(stream_, &status));
  EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_NONE, status);
  // Nothing of the failure turns up later.
  OK(cuMemsetD32Async(memory_, 1, kCount, stream_));
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(1u, read<uint32_t>(memory_, 1)[0]);
}

TEST_F(GraphRemote, AnErrorDuringACaptureIsTheCallsOwn) {
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  CUevent never;
  OK(cuEventCreate(&never, CU_EVENT_DISABLE_TIMING));
  OK(cuEventRecord(never, stream_));
  EXPECT_NE(CUDA_SUCCESS, cuEventSynchronize(never));
  CUgraph graph = nullptr;
  EXPECT_NE(CUDA_SUCCESS, cuMemsetD32Async(memory_, 1, kCount, stream_));
  EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream_, &graph));
  OK(cuMemsetD32Async(memory_, 1, kCount, stream_));
  OK(cuStreamSynchronize(stream_));
}

TEST_F(GraphRemote, ADestroyedStreamEndsItsCapture) {
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuStreamDestroy_v2(stream_));
  CUdeviceptr p;
  OK(cuMemAlloc_v2(&p, 64));
  OK(cuMemFree_v2(p));
  OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  OK(cuMemsetD32Async(memory_, 1, kCount, stream_));
  OK(cuStreamSynchronize(stream_));
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

// Run with a limit on round trips: tests/remote/CMakeLists.txt.
TEST_F(GraphRemote, QuestionsAboutCaptureAndLaunchesCostNothing) {
  CUgraph graph;
  OK(cuGraphCreate(&graph, 0));
  add_node(graph, {}, 1);
  CUgraphExec exec = instantiate(graph);
  OK(cuMemsetD32_v2(memory_, 0, kCount));
  OK(cuCtxSynchronize());
  for (int i = 0; i < 1000; i++) {
    CUstreamCaptureStatus status;
    uint64_t id;
    OK(cuStreamIsCapturing(stream_, &status));
    OK(cuStreamGetCaptureInfo(stream_, &status, &id));
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    OK(cuThreadExchangeStreamCaptureMode(&mode));
    OK(cuGraphLaunch(exec, stream_));
    OK(cuThreadExchangeStreamCaptureMode(&mode));
  }
  OK(cuStreamSynchronize(stream_));
  EXPECT_EQ(1000u, read<uint32_t>(memory_, 1)[0]);
}

}  // namespace
