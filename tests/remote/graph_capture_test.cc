// Captures that begin in one process and happen in another.
#include <thread>

#include "graph_remote.h"

namespace {

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

}  // namespace
