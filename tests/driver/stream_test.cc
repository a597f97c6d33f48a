#include "held_test.h"

#include <chrono>
#include <thread>

namespace {

using Stream = HeldTest;

TEST_F(Stream, SettingsAreRemembered) {
  CUstream stream = nullptr;
  OK(cuStreamCreateWithPriority(&stream, CU_STREAM_NON_BLOCKING, -100));
  int priority = 1, least = 0, greatest = 0;
  OK(cuCtxGetStreamPriorityRange(&least, &greatest));
  OK(cuStreamGetPriority(stream, &priority));
  EXPECT_EQ(greatest, priority);
  unsigned flags = 0;
  OK(cuStreamGetFlags(stream, &flags));
  EXPECT_EQ(CU_STREAM_NON_BLOCKING, flags);
  CUcontext context = nullptr;
  OK(cuStreamGetCtx(stream, &context));
  EXPECT_EQ(context_, context);
  CUdevice device = -1;
  OK(cuStreamGetDevice(stream, &device));
  EXPECT_EQ(device_, device);
  unsigned long long id = 0, null_id = 0;
  OK(cuStreamGetId(stream, &id));
  OK(cuStreamGetId(nullptr, &null_id));
  EXPECT_NE(id, null_id);
  CUstreamAttrValue value = {};
  value.syncPolicy = CU_SYNC_POLICY_YIELD;
  OK(cuStreamSetAttribute(stream, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &value));
  CUstream other = nullptr;
  OK(cuStreamCreate(&other, 0));
  OK(cuStreamCopyAttributes(other, stream));
  value = {};
  OK(cuStreamGetAttribute(other, CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY, &value));
  EXPECT_EQ(CU_SYNC_POLICY_YIELD, value.syncPolicy);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamCreate(&other, 64));
  OK(cuStreamDestroy_v2(stream));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuStreamQuery(stream));
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy_v2(stream));
}

TEST_F(Stream, WorkRunsInOrderAndQuerySaysNotReady) {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CUdeviceptr p = counted(16);
  OK(cuStreamSynchronize(nullptr));
  hold(stream);
  OK(cuMemsetD8Async(p, 1, 16, stream));
  OK(cuMemsetD8Async(p, 2, 8, stream));
  FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
  release();
  OK(cuStreamSynchronize(stream));
  OK(cuStreamQuery(stream));
  EXPECT_EQ(2, read<uint8_t>(p, 16)[7]);
  EXPECT_EQ(1, read<uint8_t>(p, 16)[8]);
}

TEST_F(Stream, LegacyStreamWaitsForBlockingOnesAndHoldsThemUp) {
  CUstream blocking = nullptr, free_stream = nullptr;
  OK(cuStreamCreate(&blocking, 0));
  OK(cuStreamCreate(&free_stream, CU_STREAM_NON_BLOCKING));
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 3 * 256));
  OK(cuMemsetD8_v2(p, 0, 3 * 256));
  OK(cuStreamSynchronize(nullptr));
  hold(blocking);
  OK(cuMemsetD8Async(p, 1, 1, nullptr));            // behind the held stream
  OK(cuMemsetD8Async(p + 256, 1, 1, blocking));     // behind the legacy stream
  OK(cuMemsetD8Async(p + 512, 1, 1, free_stream));  // behind nothing
  OK(cuStreamSynchronize(free_stream));
  FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(nullptr));
  FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(blocking));
  release();
  OK(cuCtxSynchronize());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(1, read<uint8_t>(p + 256 * i, 1)[0]);
}

TEST_F(Stream, HostFunctionsRunInOrderAndMayNotCallTheDriver) {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  static std::atomic<int> step;
  static CUresult inside;
  step = 0;
  hold(stream);
  OK(cuLaunchHostFunc(
      stream,
      [](void* data) {
        CUdeviceptr p = 0;
        inside = cuMemAlloc_v2(&p, 16);
        step = *static_cast<int*>(data);
      },
      new int(7)));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(0, step);
  release();
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(7, step);
  EXPECT_EQ(CUDA_ERROR_NOT_PERMITTED, inside);
}

TEST_F(Stream, CallbackLearnsTheStatus) {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, 0));
  static std::atomic<CUstream> seen;
  static std::atomic<int> status;
  status = -1;
  OK(cuStreamAddCallback(
      stream,
      [](CUstream s, CUresult result, void*) {
        seen = s;
        status = result;
      },
      nullptr, 0));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(stream, seen);
  EXPECT_EQ(CUDA_SUCCESS, status);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamAddCallback(stream, nullptr, nullptr, 0));
}

TEST_F(Stream, ValuesAreWaitedForAndWritten) {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 64));
  OK(cuMemsetD8_v2(p, 0, 64));
  OK(cuStreamSynchronize(nullptr));
  OK(cuStreamWriteValue32_v2(stream, p, 5, 0));
  OK(cuStreamWriteValue64_v2(stream, p + 8, 1ull << 40, 0));
  OK(cuStreamWaitValue32_v2(stream, p, 5, CU_STREAM_WAIT_VALUE_EQ));
  OK(cuStreamWaitValue64_v2(stream, p + 8, 1ull << 40, CU_STREAM_WAIT_VALUE_AND));
  CUstreamBatchMemOpParams ops[2] = {};
  ops[0].waitValue.operation = CU_STREAM_MEM_OP_WAIT_VALUE_32;
  ops[0].waitValue.address = p;
  ops[0].waitValue.value = 5;
  ops[1].writeValue.operation = CU_STREAM_MEM_OP_WRITE_VALUE_32;
  ops[1].writeValue.address = p + 16;
  ops[1].writeValue.value = 6;
  OK(cuStreamBatchMemOp_v2(stream, 2, ops, 0));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(6u, read<uint32_t>(p + 16, 1)[0]);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32_v2(stream, p + 1, 5, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuStreamWriteValue32_v2(stream, 4096, 5, 0));
}

TEST_F(Stream, PerThreadStreamsAreDifferentInEachThread) {
  unsigned long long main_id = 0, again = 0, other = 0;
  const auto per_thread = reinterpret_cast<CUstream>(2);
  OK(cuStreamGetId(per_thread, &main_id));
  OK(cuStreamGetId_ptsz(nullptr, &again));
  EXPECT_EQ(main_id, again);
  std::thread([&] {
    EXPECT_EQ(CUDA_SUCCESS, cuCtxSetCurrent(context_));
    EXPECT_EQ(CUDA_SUCCESS, cuStreamGetId(per_thread, &other));
  }).join();
  EXPECT_NE(main_id, other);
}

TEST_F(Stream, DestroyedStreamStillDoesItsWork) {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CUdeviceptr p = counted(16);
  OK(cuCtxSynchronize());
  hold(stream);
  OK(cuMemsetD8Async(p, 9, 16, stream));
  OK(cuStreamDestroy_v2(stream));
  release();
  OK(cuCtxSynchronize());
  EXPECT_EQ(9, read<uint8_t>(p, 16)[15]);
}

TEST_F(Stream, ManyThreadsEnqueueAtOnce) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 8 * 4096));
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      ASSERT_EQ(CUDA_SUCCESS, cuCtxSetCurrent(context_));
      CUstream stream = nullptr;
      ASSERT_EQ(CUDA_SUCCESS, cuStreamCreate(&stream, t % 2 ? CU_STREAM_NON_BLOCKING : 0));
      for (int i = 0; i < 50; ++i) {
        ASSERT_EQ(CUDA_SUCCESS, cuMemsetD32Async(p + t * 4096, t * 1000 + i, 1024, stream));
      }
      ASSERT_EQ(CUDA_SUCCESS, cuStreamSynchronize(stream));
      ASSERT_EQ(CUDA_SUCCESS, cuStreamDestroy_v2(stream));
    });
  }
  for (auto& thread : threads) thread.join();
  for (int t = 0; t < 8; ++t) EXPECT_EQ(t * 1000 + 49, read<int>(p + t * 4096 + 4092, 1)[0]);
}

}  // namespace
