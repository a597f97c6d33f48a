#include "driver_test.h"

#include <thread>

namespace {

TEST(Context, CallsWithoutOneAreRefused) {
  OK(cuInit(0));
  cuCtxSetCurrent(nullptr);
  CUdeviceptr p = 0;
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc_v2(&p, 16));
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxSynchronize());
  CUcontext current = reinterpret_cast<CUcontext>(1);
  OK(cuCtxGetCurrent(&current));
  EXPECT_EQ(nullptr, current);
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent_v2(&current));
}

TEST(Primary, HandleIsStableAndStateFollowsTheCount) {
  OK(cuInit(0));
  unsigned flags = 9;
  int active = 9;
  OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
  EXPECT_EQ(0, active);
  CUcontext first = nullptr, second = nullptr;
  OK(cuDevicePrimaryCtxRetain(&first, 0));
  OK(cuDevicePrimaryCtxRetain(&second, 0));
  EXPECT_EQ(first, second);
  OK(cuDevicePrimaryCtxRelease_v2(0));
  OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
  EXPECT_EQ(1, active);
  OK(cuDevicePrimaryCtxRelease_v2(0));
  OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
  EXPECT_EQ(0, active);
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease_v2(0));
  OK(cuDevicePrimaryCtxRetain(&second, 0));
  EXPECT_EQ(first, second);
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy_v2(first));
  OK(cuDevicePrimaryCtxReset_v2(0));
}

TEST(Primary, UseAfterResetSaysDestroyed) {
  OK(cuInit(0));
  CUcontext context = nullptr;
  OK(cuDevicePrimaryCtxRetain(&context, 0));
  OK(cuCtxSetCurrent(context));
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 1 << 20));
  OK(cuDevicePrimaryCtxReset_v2(0));
  FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuMemAlloc_v2(&p, 16));
  OK(cuDevicePrimaryCtxRetain(&context, 0));
  OK(cuMemAlloc_v2(&p, 16));
  OK(cuCtxSetCurrent(nullptr));
  OK(cuDevicePrimaryCtxReset_v2(0));
}

TEST(Context, StackBelongsToTheThread) {
  OK(cuInit(0));
  CUcontext a = nullptr, b = nullptr, got = nullptr;
  OK(cuCtxCreate_v2(&a, 0, 0));
  OK(cuCtxCreate_v2(&b, CU_CTX_SCHED_YIELD, 0));
  OK(cuCtxGetCurrent(&got));
  EXPECT_EQ(b, got);
  std::thread([] {
    CUcontext other = reinterpret_cast<CUcontext>(1);
    EXPECT_EQ(CUDA_SUCCESS, cuCtxGetCurrent(&other));
    EXPECT_EQ(nullptr, other);
  }).join();
  OK(cuCtxPopCurrent_v2(&got));
  EXPECT_EQ(b, got);
  OK(cuCtxGetCurrent(&got));
  EXPECT_EQ(a, got);
  OK(cuCtxPushCurrent_v2(b));
  unsigned flags = 0;
  OK(cuCtxGetFlags(&flags));
  EXPECT_EQ(CU_CTX_SCHED_YIELD, flags & CU_CTX_SCHED_MASK);
  OK(cuCtxDestroy_v2(b));
  OK(cuCtxGetCurrent(&got));
  EXPECT_EQ(a, got);
  OK(cuCtxDestroy_v2(a));
  OK(cuCtxGetCurrent(&got));
  EXPECT_EQ(nullptr, got);
}

TEST(Context, DestructionEndsWhatItOwns) {
  OK(cuInit(0));
  CUcontext keep = nullptr, gone = nullptr;
  OK(cuCtxCreate_v2(&keep, 0, 0));
  OK(cuCtxCreate_v2(&gone, 0, 0));
  CUdeviceptr p = 0;
  CUstream stream = nullptr;
  CUevent event = nullptr;
  size_t before = 0, after = 0, total = 0;
  OK(cuMemGetInfo_v2(&before, &total));
  OK(cuMemAlloc_v2(&p, 32 << 20));
  OK(cuStreamCreate(&stream, 0));
  OK(cuEventCreate(&event, 0));
  OK(cuCtxDestroy_v2(gone));
  OK(cuCtxSetCurrent(keep));
  OK(cuMemGetInfo_v2(&after, &total));
  EXPECT_GE(after + (2 << 20), before);
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxSetCurrent(gone));
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy_v2(gone));
  EXPECT_NE(CUDA_SUCCESS, cuStreamSynchronize(stream));
  EXPECT_NE(CUDA_SUCCESS, cuEventQuery(event));
  uint8_t byte = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(&byte, p, 1));
  OK(cuCtxDestroy_v2(keep));
}

TEST(Context, DestroyedByAnotherThreadIsNoticedWhereItIsCurrent) {
  OK(cuInit(0));
  CUcontext context = nullptr;
  OK(cuCtxCreate_v2(&context, 0, 0));
  std::thread([context] { EXPECT_EQ(CUDA_SUCCESS, cuCtxDestroy_v2(context)); }).join();
  CUdeviceptr p = 0;
  FAILS(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuMemAlloc_v2(&p, 16));
  OK(cuCtxSetCurrent(nullptr));
}

class CurrentContext : public DriverTest {};

TEST_F(CurrentContext, AnswersDeviceIdVersionAndLimits) {
  CUdevice device = -1;
  OK(cuCtxGetDevice(&device));
  EXPECT_EQ(device_, device);
  OK(cuCtxGetDevice_v2(&device, context_));
  unsigned long long id = 0, other_id = 0;
  OK(cuCtxGetId(nullptr, &id));
  OK(cuCtxGetId(context_, &other_id));
  EXPECT_EQ(id, other_id);
  unsigned version = 0;
  OK(cuCtxGetApiVersion(context_, &version));
  EXPECT_GE(version, 3020u);
  size_t stack = 0;
  OK(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 4096));
  OK(cuCtxGetLimit(&stack, CU_LIMIT_STACK_SIZE));
  EXPECT_EQ(4096u, stack);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuCtxGetLimit(&stack, static_cast<CUlimit>(77)));
  int least = -1, greatest = 1;
  OK(cuCtxGetStreamPriorityRange(&least, &greatest));
  EXPECT_EQ(0, least);
  EXPECT_LE(greatest, 0);
  OK(cuCtxSynchronize());
  OK(cuCtxSynchronize_v2(context_));
}

TEST_F(CurrentContext, PeerAccessIsEnabledOnceAndDisabledOnce) {
  int count = 0;
  OK(cuDeviceGetCount(&count));
  if (count < 2) GTEST_SKIP() << "one device";
  int can = 0;
  OK(cuDeviceCanAccessPeer(&can, 0, 1));
  if (!can) GTEST_SKIP() << "no peer access here";
  CUcontext peer = nullptr;
  OK(cuDevicePrimaryCtxRetain(&peer, 1));
  OK(cuCtxEnablePeerAccess(peer, 0));
  FAILS(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, cuCtxEnablePeerAccess(peer, 0));
  OK(cuCtxDisablePeerAccess(peer));
  FAILS(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, cuCtxDisablePeerAccess(peer));
  OK(cuDevicePrimaryCtxRelease_v2(1));
}

}  // namespace
