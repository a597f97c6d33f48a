// Green contexts: a part of the multiprocessors, a context for it, and streams in it. A driver without them says so.
#include "../driver/driver_test.h"

namespace {

class Green : public DriverTest {
 protected:
  // False: this driver has none.
  bool split(CUdevResource* part, CUdevResource* rest) {
    CUdevResource all{};
    CUresult there = cuDeviceGetDevResource(device_, &all, static_cast<CUdevResourceType>(1));
    if (there == CUDA_ERROR_NOT_SUPPORTED) return false;
    EXPECT_EQ(CUDA_SUCCESS, there);
    unsigned groups = 0;
    EXPECT_EQ(CUDA_SUCCESS, cuDevSmResourceSplitByCount(nullptr, &groups, &all, nullptr, 0, 8));
    EXPECT_GE(groups, 1u);
    groups = 1;
    EXPECT_EQ(CUDA_SUCCESS, cuDevSmResourceSplitByCount(part, &groups, &all, rest, 0, 8));
    EXPECT_EQ(1u, groups);
    EXPECT_GE(part->sm.smCount, 8u);
    EXPECT_EQ(all.sm.smCount, part->sm.smCount + rest->sm.smCount);
    return true;
  }
};

TEST_F(Green, WhatIsWrongIsRefused) {
  CUdevResource resource{};
  unsigned groups = 1;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuDevSmResourceSplitByCount(&resource, nullptr, &resource, nullptr, 0, 8));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuDevSmResourceSplitByCount(&resource, &groups, nullptr, nullptr, 0, 8));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuDevResourceGenerateDesc(nullptr, &resource, 1));
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  auto nobody = reinterpret_cast<CUgreenCtx>(0x1234);
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxFromGreenCtx(&context, nobody));
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuGreenCtxStreamCreate(&stream, nobody, CU_STREAM_NON_BLOCKING, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuGreenCtxStreamCreate(&stream, nobody, 0, 0));
}

TEST_F(Green, PlainStreamsBelongToNoGreenContext) {
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CUcontext context = nullptr;
  auto green = reinterpret_cast<CUgreenCtx>(1);
  OK(cuStreamGetCtx_v2(stream, &context, &green));
  EXPECT_EQ(context_, context);
  EXPECT_EQ(nullptr, green);
  green = reinterpret_cast<CUgreenCtx>(1);
  OK(cuStreamGetGreenCtx(nullptr, &green));
  EXPECT_EQ(nullptr, green);
  OK(cuStreamDestroy_v2(stream));
}

TEST_F(Green, ItsContextIsMadeCurrentAndItsStreamsWork) {
  CUdevResource part{}, rest{};
  if (!split(&part, &rest)) GTEST_SKIP() << "this driver has no green contexts";
  CUdevResourceDesc desc = nullptr;
  OK(cuDevResourceGenerateDesc(&desc, &part, 1));
  CUgreenCtx green = nullptr;
  OK(cuGreenCtxCreate(&green, desc, device_, 1));
  CUcontext context = nullptr, current = nullptr, again = nullptr;
  OK(cuCtxFromGreenCtx(&context, green));
  OK(cuCtxFromGreenCtx(&again, green));
  EXPECT_EQ(context, again);
  OK(cuCtxSetCurrent(context));
  OK(cuCtxGetCurrent(&current));
  EXPECT_EQ(context, current);
  CUdevice device = -1;
  OK(cuCtxGetDevice(&device));
  EXPECT_EQ(device_, device);
  CUdevResource has{};
  OK(cuGreenCtxGetDevResource(green, &has, static_cast<CUdevResourceType>(1)));
  EXPECT_EQ(part.sm.smCount, has.sm.smCount);

  CUstream stream = nullptr;
  OK(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING, 0));
  unsigned flags = 0;
  unsigned long long id = 0;
  CUcontext of_stream = nullptr;
  CUgreenCtx its = nullptr;
  OK(cuStreamGetFlags(stream, &flags));
  EXPECT_EQ(unsigned{CU_STREAM_NON_BLOCKING}, flags);
  OK(cuStreamGetId(stream, &id));
  EXPECT_NE(0u, id);
  OK(cuStreamGetCtx(stream, &of_stream));
  EXPECT_EQ(context, of_stream);
  OK(cuStreamGetCtx_v2(stream, &of_stream, &its));
  EXPECT_EQ(context_, of_stream);
  EXPECT_EQ(green, its);
  OK(cuStreamGetGreenCtx(stream, &its));
  EXPECT_EQ(green, its);
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4096));
  OK(cuMemsetD32Async(p, 0x12345678, 1024, stream));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(0x12345678u, read<uint32_t>(p, 1024)[1023]);
  OK(cuMemFree_v2(p));
  OK(cuStreamDestroy_v2(stream));
  OK(cuCtxSetCurrent(context_));
  OK(cuGreenCtxDestroy(green));
  FAILS(CUDA_ERROR_INVALID_CONTEXT, cuCtxSetCurrent(context));
}

}  // namespace
