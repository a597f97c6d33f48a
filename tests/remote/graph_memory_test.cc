// Graphs that copy from and to host memory which only the program has, and functions of the program between the nodes.
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "graph_remote.h"

namespace {

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

}  // namespace
