// What is posted while a capture is open: into it, beside it, and what becomes of a failure that nobody waited for.
#include <thread>

#include "graph_remote.h"

namespace {

// The worker pins memory of its own for such copies, and no capture is to hear of it.
TEST_F(GraphRemote, LargeCopiesInAnotherThreadLeaveACaptureAlone) {
  constexpr size_t kLarge = 66 << 20, kRows = 1000, kPitch = 512, kWidth = 100;
  CUstream other;
  CUdeviceptr p;
  OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  OK(cuMemAlloc_v2(&p, kLarge));
  std::vector<uint8_t> bytes(kLarge), back(kLarge), rows(kRows * kPitch);
  for (size_t i = 0; i < kLarge; i++) bytes[i] = static_cast<uint8_t>(i * 31 >> 7);
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  launch_add(1, stream_);
  std::thread([&] {
    OK(cuCtxSetCurrent(context_));
    OK(cuMemcpyHtoDAsync_v2(p, bytes.data(), kLarge, other));
    OK(cuMemcpyDtoHAsync_v2(back.data(), p, kLarge, other));
    CUDA_MEMCPY2D c{};
    c.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    c.srcDevice = p;
    c.dstMemoryType = CU_MEMORYTYPE_HOST;
    c.dstHost = rows.data();
    c.srcPitch = c.dstPitch = kPitch;
    c.WidthInBytes = kWidth;
    c.Height = kRows;
    OK(cuMemcpy2DAsync_v2(&c, other));
    std::swap(c.srcMemoryType, c.dstMemoryType);
    c.srcHost = rows.data();
    c.dstDevice = p;
    OK(cuMemcpy2DAsync_v2(&c, other));
  }).join();
  launch_add(1, stream_);
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(stream_, &graph));
  size_t nodes = 0;
  OK(cuGraphGetNodes(graph, nullptr, &nodes));
  EXPECT_EQ(2u, nodes);
  OK(cuGraphDestroy(graph));
  OK(cuCtxSynchronize());
  EXPECT_EQ(bytes, back);
  for (size_t i = 0; i < kWidth; i++) ASSERT_EQ(bytes[5 * kPitch + i], rows[5 * kPitch + i]);
}

// Posted into the capture, refused by the driver elsewhere: the end of the capture is where the program hears of it.
TEST_F(GraphRemote, WhatFailsOnItsWayIntoACaptureIsHeardOfAtItsEnd) {
  CUDA_ARRAY_DESCRIPTOR shape = {16, 16, CU_AD_FORMAT_UNSIGNED_INT8, 1};
  CUarray array;
  OK(cuArrayCreate_v2(&array, &shape));
  CUDA_MEMCPY2D beyond{};
  beyond.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  beyond.srcDevice = memory_;
  beyond.srcPitch = 16;
  beyond.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  beyond.dstArray = array;
  beyond.dstY = 10;
  beyond.WidthInBytes = 16;
  beyond.Height = 10;
  CUgraph graph = nullptr;
  for (bool first : {true, false}) {
    OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
    if (!first) launch_add(1, stream_);
    cuMemcpy2DAsync_v2(&beyond, stream_);
    cuMemsetD32Async(memory_, 1, kCount, stream_);
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
    OK(cuStreamIsCapturing(stream_, &status));
    EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_INVALIDATED, status);
    // Now that this is known, a call is refused at once.
    EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuMemsetD32Async(memory_, 1, kCount, stream_));
    graph = reinterpret_cast<CUgraph>(1);
    EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream_, &graph));
    EXPECT_EQ(nullptr, graph);
  }
  // Nothing of it turns up later, in whatever call.
  OK(cuMemsetD32Async(memory_, 3, kCount, stream_));
  OK(cuStreamSynchronize(stream_));
  OK(cuCtxSynchronize());
  EXPECT_EQ(3u, read<uint32_t>(memory_, 1)[0]);
}

TEST_F(GraphRemote, ACopyThatCannotBeCapturedLeavesNothingBehind) {
  std::vector<uint32_t> in = filled(1), out(kCount);
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  EXPECT_NE(CUDA_SUCCESS, cuStreamQuery(stream_));
  cuMemcpyHtoDAsync_v2(memory_, in.data(), kBytes, stream_);
  cuMemcpyDtoHAsync_v2(out.data(), memory_, kBytes, stream_);
  CUgraph graph = nullptr;
  EXPECT_EQ(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(stream_, &graph));
  CUgraphExec exec = pipeline(in.data(), out.data(), 5);
  run(exec);
  EXPECT_EQ(filled(6), out);
}

TEST_F(GraphRemote, AFailureElsewhereLeavesACaptureAlone) {
  CUDA_ARRAY_DESCRIPTOR shape = {16, 16, CU_AD_FORMAT_UNSIGNED_INT8, 1};
  CUarray array;
  CUstream other;
  OK(cuArrayCreate_v2(&array, &shape));
  OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  CUDA_MEMCPY2D beyond{};
  beyond.srcMemoryType = CU_MEMORYTYPE_DEVICE;
  beyond.srcDevice = memory_;
  beyond.srcPitch = 16;
  beyond.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  beyond.dstArray = array;
  beyond.dstY = 10;
  beyond.WidthInBytes = 16;
  beyond.Height = 10;
  CUgraph graph = nullptr;
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  launch_add(1, stream_);
  CUresult e = cuMemcpy2DAsync_v2(&beyond, other);
  OK(cuStreamEndCapture(stream_, &graph));
  size_t nodes = 0;
  CUresult later = cuGraphGetNodes(graph, nullptr, &nodes);
  if (later != CUDA_SUCCESS) later = cuGraphGetNodes(graph, nullptr, &nodes);
  EXPECT_EQ(CUDA_SUCCESS, later);
  EXPECT_EQ(1u, nodes);
  if (e == CUDA_SUCCESS) e = cuStreamSynchronize(other);
  OK(cuGraphDestroy(graph));
}

TEST_F(GraphRemote, ADestroyedContextEndsItsCapturesAndNoOthers) {
  CUcontext second;
  CUstream theirs;
  OK(cuCtxCreate_v2(&second, 0, device_));
  OK(cuStreamCreate(&theirs, CU_STREAM_NON_BLOCKING));
  OK(cuStreamBeginCapture_v2(theirs, CU_STREAM_CAPTURE_MODE_RELAXED));
  OK(cuCtxSetCurrent(context_));
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_RELAXED));
  launch_add(1, stream_);
  OK(cuCtxDestroy_v2(second));
  launch_add(1, stream_);
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(stream_, &graph));
  size_t nodes = 0;
  OK(cuGraphGetNodes(graph, nullptr, &nodes));
  EXPECT_EQ(2u, nodes);
  OK(cuGraphDestroy(graph));
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

// The rest is run with a limit on round trips: tests/remote/CMakeLists.txt.
TEST_F(GraphRemote, WorkIsCapturedWithoutWaiting) {
  std::vector<uint32_t> in = filled(1);
  CUstream joined, other;
  CUdeviceptr elsewhere;
  OK(cuStreamCreate(&joined, CU_STREAM_NON_BLOCKING));
  OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  OK(cuMemAlloc_v2(&elsewhere, kBytes));
  OK(cuMemsetD32Async(elsewhere, 0, kCount, other));
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuMemcpyHtoDAsync_v2(memory_, in.data(), kBytes, stream_));
  for (int i = 0; i < 300; i++) {
    launch_add(1, stream_);
    OK(cuMemsetD32Async(memory_ + 4, 7, 1, stream_));
    CUevent fork, join;
    OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
    OK(cuEventCreate(&join, CU_EVENT_DISABLE_TIMING));
    OK(cuEventRecord(fork, stream_));
    OK(cuStreamWaitEvent(joined, fork, 0));
    OK(cuMemcpyDtoDAsync_v2(memory_ + 8, memory_ + 4, 4, joined));
    OK(cuEventRecord(join, joined));
    OK(cuStreamWaitEvent(stream_, join, 0));
    OK(cuEventDestroy_v2(fork));
    OK(cuEventDestroy_v2(join));
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    OK(cuThreadExchangeStreamCaptureMode(&mode));
    OK(cuThreadExchangeStreamCaptureMode(&mode));
    // And beside it, in a stream that has nothing to do with the capture.
    CUstreamCaptureStatus status;
    OK(cuStreamIsCapturing(other, &status));
    EXPECT_EQ(CU_STREAM_CAPTURE_STATUS_NONE, status);
    OK(cuMemcpyHtoDAsync_v2(elsewhere, in.data(), 64, other));
    unsigned n = kCount;
    uint32_t value = 1;
    void* params[] = {&elsewhere, &n, &value};
    OK(cuLaunchKernel(add_, (kCount + 127) / 128, 1, 1, 128, 1, 1, 0, other, params, nullptr));
  }
  CUgraph graph = nullptr;
  OK(cuStreamEndCapture(stream_, &graph));
  OK(cuStreamSynchronize(other));
  auto there = read<uint32_t>(elsewhere, kCount);
  EXPECT_EQ(in[0] + 1, there[0]);
  EXPECT_EQ(300u, there[16]);
  CUgraphExec exec = instantiate(graph);
  run(exec);
  auto result = read<uint32_t>(memory_, 4);
  EXPECT_EQ(301u, result[0]);
  EXPECT_EQ(7u, result[1]);
  EXPECT_EQ(7u, result[2]);
  EXPECT_EQ(304u, result[3]);
}

// As long as a capture counts as open, every question about the legacy stream and every fill in it is waited for.
TEST_F(GraphRemote, ACaptureThatEndsByItselfCostsNothingAfterwards) {
  auto costs_nothing = [&] {
    CUdeviceptr p = 0;
    OK(cuMemAlloc_v2(&p, 64));
    for (int i = 0; i < 200; i++) {
      CUstreamCaptureStatus status;
      OK(cuStreamIsCapturing(nullptr, &status));
      OK(cuMemsetD32_v2(p, 1, 16));
    }
  };
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuStreamDestroy_v2(stream_));
  costs_nothing();

  CUcontext second;
  OK(cuCtxCreate_v2(&second, 0, device_));
  OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuCtxDestroy_v2(second));
  OK(cuCtxSetCurrent(context_));
  costs_nothing();

  OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  OK(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(cuDevicePrimaryCtxReset_v2(device_));
  OK(cuDevicePrimaryCtxRetain(&context_, device_));
  OK(cuCtxSetCurrent(context_));
  costs_nothing();

  // The default stream of a thread goes with the thread.
  std::thread([&] {
    OK(cuCtxSetCurrent(context_));
    OK(cuStreamBeginCapture_v2(reinterpret_cast<CUstream>(2), CU_STREAM_CAPTURE_MODE_RELAXED));
  }).join();
  OK(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
  costs_nothing();
}

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
