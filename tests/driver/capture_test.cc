#include "driver_test.h"
#include "kernels.h"

#include <thread>

namespace {

class CaptureTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuModuleLoadData(&module_, kKernels));
    OK(cuModuleGetFunction(&scale_, module_, "scale"));
    OK(cuStreamCreate(&a_, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&b_, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc_v2(&p_, 4096));
    OK(cuMemsetD32_v2(p_, 1, 1024));
    OK(cuCtxSynchronize());
  }
  void scale(unsigned n, unsigned factor, CUstream stream) {
    void* params[] = {&p_, &n, &factor};
    OK(cuLaunchKernel(scale_, 8, 1, 1, 128, 1, 1, 0, stream, params, nullptr));
  }
  void run(CUgraph graph, int times = 1) {
    CUgraphExec exec = nullptr;
    OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int i = 0; i < times; ++i) OK(cuGraphLaunch(exec, a_));
    OK(cuStreamSynchronize(a_));
    OK(cuGraphExecDestroy(exec));
  }
  // Begins, lets `body` break it, and expects the end to say so.
  template <class Body>
  void expect_invalidated(CUstreamCaptureMode mode, Body&& body) {
    OK(cuStreamBeginCapture_v2(a_, mode));
    body();
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    OK(cuStreamIsCapturing(a_, &status));
    EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_INVALIDATED, status);
    CUgraph graph = reinterpret_cast<CUgraph>(1);
    EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(a_, &graph));
    EXPECT_EQ(nullptr, graph);
    OK(cuStreamIsCapturing(a_, &status));
    EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_NONE, status);
  }

  CUmodule module_ = nullptr;
  CUfunction scale_ = nullptr;
  CUstream a_ = nullptr, b_ = nullptr;
  CUdeviceptr p_ = 0;
};

TEST_F(CaptureTest, RecordsInsteadOfRunning) {
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  scale(1024, 3, a_);
  OK(cuMemsetD32Async(p_, 5, 1, a_));
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  uint64_t id = 0;
  CUgraph live = nullptr;
  const CUgraphNode* dependencies = nullptr;
  size_t count = 0;
  OK(cuStreamGetCaptureInfo_v2(a_, &status, &id, &live, &dependencies, &count));
  EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_ACTIVE, status);
  EXPECT_EQ(1u, count);
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_KERNEL;
  OK(cuGraphNodeGetType(dependencies[0], &type));
  EXPECT_EQ(CU_GRAPH_NODE_TYPE_MEMSET, type);
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(a_, &graph));
  EXPECT_EQ(live, graph);
  EXPECT_EQ(1u, read<uint32_t>(p_ + 4, 1)[0]);
  size_t nodes = 0;
  OK(cuGraphGetNodes(graph, nullptr, &nodes));
  EXPECT_EQ(2u, nodes);
  run(graph, 2);
  EXPECT_EQ(5u, read<uint32_t>(p_, 1)[0]);
  EXPECT_EQ(9u, read<uint32_t>(p_ + 4, 1)[0]);
  OK(cuGraphDestroy(graph));
}

TEST_F(CaptureTest, EventsJoinOtherStreams) {
  CUevent fork = nullptr, join = nullptr;
  OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
  OK(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  OK(cuEventRecord(fork, a_));
  OK(cuStreamWaitEvent(b_, fork, 0));
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  OK(cuStreamIsCapturing(b_, &status));
  EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_ACTIVE, status);
  OK(cuMemsetD32Async(p_, 2, 512, a_));
  OK(cuMemsetD32Async(p_ + 2048, 3, 512, b_));
  OK(cuEventRecord(join, b_));
  OK(cuStreamWaitEvent(a_, join, 0));
  scale(1024, 10, a_);
  FAILS(CUDA_ERROR_CAPTURED_EVENT, cuEventQuery(join));
  CUgraph graph = nullptr;
  FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(a_, &graph));  // by that question

  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  OK(cuEventRecord(fork, a_));
  OK(cuStreamWaitEvent(b_, fork, 0));
  OK(cuMemsetD32Async(p_, 2, 512, a_));
  OK(cuMemsetD32Async(p_ + 2048, 3, 512, b_));
  OK(cuEventRecord(join, b_));
  OK(cuStreamWaitEvent(a_, join, 0));
  scale(1024, 10, a_);
  OK(cuStreamEndCapture(a_, &graph));
  size_t edges = 0, roots = 0;
  OK(cuGraphGetEdges(graph, nullptr, nullptr, &edges));
  OK(cuGraphGetRootNodes(graph, nullptr, &roots));
  EXPECT_EQ(2u, edges);
  EXPECT_EQ(2u, roots);
  run(graph);
  EXPECT_EQ(20u, read<uint32_t>(p_, 1)[0]);
  EXPECT_EQ(30u, read<uint32_t>(p_ + 4092, 1)[0]);
  OK(cuGraphDestroy(graph));
}

TEST_F(CaptureTest, UnjoinedWorkIsAnError) {
  CUevent fork = nullptr;
  OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuMemsetD32Async(p_, 2, 1, a_));
  OK(cuEventRecord(fork, a_));
  OK(cuStreamWaitEvent(b_, fork, 0));
  OK(cuMemsetD32Async(p_, 3, 1, b_));
  CUgraph graph = nullptr;
  FAILS(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(b_, &graph));
  FAILS(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, cuStreamEndCapture(a_, &graph));
  FAILS(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(a_, &graph));
  OK(cuMemsetD32Async(p_, 4, 1, b_));
  OK(cuStreamSynchronize(b_));
}

TEST_F(CaptureTest, SynchronisingInvalidates) {
  expect_invalidated(CU_STREAM_CAPTURE_MODE_RELAXED,
                     [&] { FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(a_)); });
  expect_invalidated(CU_STREAM_CAPTURE_MODE_RELAXED,
                     [&] { FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamQuery(a_)); });
  expect_invalidated(CU_STREAM_CAPTURE_MODE_GLOBAL,
                     [&] { FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuCtxSynchronize()); });
}

TEST_F(CaptureTest, UnsafeCallsFollowTheMode) {
  CUdeviceptr p = 0;
  expect_invalidated(CU_STREAM_CAPTURE_MODE_GLOBAL,
                     [&] { FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuMemAlloc_v2(&p, 16)); });
  const auto in_other_thread = [&] {
    CUresult result = CUDA_ERROR_UNKNOWN;
    std::thread([&] {
      cuCtxSetCurrent(context_);
      result = cuMemAlloc_v2(&p, 16);
    }).join();
    return result;
  };
  expect_invalidated(CU_STREAM_CAPTURE_MODE_GLOBAL,
                     [&] { FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, in_other_thread()); });
  CUgraph graph = nullptr;
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  OK(in_other_thread());
  OK(cuStreamEndCapture(a_, &graph));
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuMemAlloc_v2(&p, 16));
  OK(cuStreamEndCapture(a_, &graph));
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  OK(cuMemAlloc_v2(&p, 16));
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  EXPECT_EQ(CU_STREAM_CAPTURE_MODE_RELAXED, mode);
  OK(cuStreamEndCapture(a_, &graph));
}

TEST_F(CaptureTest, TheLegacyStreamCannotBeDrawnIn) {
  CUstream blocking = nullptr;
  OK(cuStreamCreate(&blocking, 0));
  FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamBeginCapture_v2(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
  FAILS(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuMemsetD32Async(p_, 1, 1, nullptr));
  CUgraph graph = nullptr;
  FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(blocking, &graph));
}

TEST_F(CaptureTest, DependenciesMayNotCrossTheBoundary) {
  CUevent outside = nullptr, other = nullptr;
  OK(cuEventCreate(&outside, CU_EVENT_DISABLE_TIMING));
  OK(cuEventCreate(&other, CU_EVENT_DISABLE_TIMING));
  OK(cuEventRecord(outside, b_));
  expect_invalidated(CU_STREAM_CAPTURE_MODE_RELAXED,
                     [&] { FAILS(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, cuStreamWaitEvent(a_, outside, 0)); });
  OK(cuStreamBeginCapture_v2(b_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuEventRecord(other, b_));
  expect_invalidated(CU_STREAM_CAPTURE_MODE_RELAXED,
                     [&] { FAILS(CUDA_ERROR_STREAM_CAPTURE_MERGE, cuStreamWaitEvent(a_, other, 0)); });
  CUgraph graph = nullptr;
  FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(b_, &graph));
}

TEST_F(CaptureTest, AnotherThreadMayEndARelaxedCaptureOnly) {
  CUgraph graph = nullptr;
  const auto end_elsewhere = [&] {
    CUresult result = CUDA_ERROR_UNKNOWN;
    std::thread([&] {
      cuCtxSetCurrent(context_);
      result = cuStreamEndCapture(a_, &graph);
    }).join();
    return result;
  };
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  FAILS(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, end_elsewhere());
  OK(cuStreamEndCapture(a_, &graph));
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(end_elsewhere());
}

TEST_F(CaptureTest, DependenciesCanBeSetByHand) {
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuMemsetD32Async(p_, 1, 1, a_));
  CUstreamCaptureStatus status;
  CUgraph graph = nullptr;
  OK(cuStreamGetCaptureInfo_v2(a_, &status, nullptr, &graph, nullptr, nullptr));
  CUgraphNode empty = nullptr;
  OK(cuGraphAddEmptyNode(&empty, graph, nullptr, 0));
  OK(cuStreamUpdateCaptureDependencies(a_, &empty, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
  OK(cuMemsetD32Async(p_, 2, 1, a_));
  OK(cuStreamEndCapture(a_, &graph));
  size_t edges = 0;
  OK(cuGraphGetEdges(graph, nullptr, nullptr, &edges));
  EXPECT_EQ(1u, edges);
  OK(cuGraphDestroy(graph));
}

TEST_F(CaptureTest, IntoAGraphThatExists) {
  CUgraph graph = nullptr, same = nullptr;
  OK(cuGraphCreate(&graph, 0));
  CUgraphNode first = nullptr;
  OK(cuGraphAddEmptyNode(&first, graph, nullptr, 0));
  OK(cuStreamBeginCaptureToGraph(a_, graph, &first, nullptr, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuMemsetD32Async(p_, 8, 4, a_));
  OK(cuStreamEndCapture(a_, &same));
  EXPECT_EQ(graph, same);
  size_t edges = 0;
  OK(cuGraphGetEdges(graph, nullptr, nullptr, &edges));
  EXPECT_EQ(1u, edges);
  run(graph);
  EXPECT_EQ(8u, read<uint32_t>(p_ + 12, 1)[0]);
}

TEST_F(CaptureTest, HostMemoryIsReadWhenTheGraphRuns) {
  uint32_t source = 100, target = 0;
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuMemcpyHtoDAsync_v2(p_, &source, 4, a_));
  scale(1, 2, a_);
  OK(cuMemcpyDtoHAsync_v2(&target, p_, 4, a_));
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(a_, &graph));
  EXPECT_EQ(0u, target);
  source = 7;
  run(graph);
  EXPECT_EQ(14u, target);
  source = 8;
  run(graph);
  EXPECT_EQ(16u, target);
}

TEST_F(CaptureTest, CapturedHostFunctionsRunAtEachLaunch) {
  static int runs;
  runs = 0;
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuLaunchHostFunc(
      a_, [](void*) { ++runs; }, nullptr));
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(a_, &graph));
  EXPECT_EQ(0, runs);
  run(graph, 3);
  EXPECT_EQ(3, runs);
}

TEST_F(CaptureTest, AGraphLaunchedIntoACaptureBecomesAChild) {
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  scale(1024, 3, a_);
  CUgraph inner = nullptr, outer = nullptr;
  OK(cuStreamEndCapture(a_, &inner));
  CUgraphExec exec = nullptr;
  OK(cuGraphInstantiateWithFlags(&exec, inner, 0));
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuGraphLaunch(exec, a_));
  OK(cuGraphLaunch(exec, a_));
  OK(cuStreamEndCapture(a_, &outer));
  run(outer);
  EXPECT_EQ(9u, read<uint32_t>(p_, 1)[0]);
}

TEST_F(CaptureTest, StreamOrderedMemoryBecomesNodes) {
  OK(cuStreamBeginCapture_v2(a_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CUdeviceptr temporary = 0;
  OK(cuMemAllocAsync(&temporary, 4096, a_));
  OK(cuMemsetD32Async(temporary, 33, 1024, a_));
  OK(cuMemcpyDtoDAsync_v2(p_, temporary, 4096, a_));
  OK(cuMemFreeAsync(temporary, a_));
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(a_, &graph));
  run(graph, 2);
  EXPECT_EQ(33u, read<uint32_t>(p_ + 4092, 1)[0]);
}

}  // namespace
