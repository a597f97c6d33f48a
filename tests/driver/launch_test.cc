#include "driver_test.h"
#include "kernels.h"

#include <atomic>

namespace {

class Launch : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    OK(cuModuleLoadData(&module_, kKernels));
  }
  CUfunction kernel(const char* name) {
    CUfunction function = nullptr;
    EXPECT_EQ(CUDA_SUCCESS, cuModuleGetFunction(&function, module_, name));
    return function;
  }
  CUmodule module_ = nullptr;
};

TEST_F(Launch, ComputesWithParametersInEitherForm) {
  std::vector<uint32_t> in(1000);
  std::iota(in.begin(), in.end(), 0);
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4000));
  OK(cuMemcpyHtoD_v2(p, in.data(), 4000));
  unsigned n = 999, factor = 3;
  void* params[] = {&p, &n, &factor};
  OK(cuLaunchKernel(kernel("scale"), 8, 1, 1, 128, 1, 1, 0, nullptr, params, nullptr));
  struct {
    CUdeviceptr p;
    unsigned n, factor;
  } packed = {p, 500, 2};
  size_t size = sizeof packed;
  void* extra[] = {reinterpret_cast<void*>(1), &packed, reinterpret_cast<void*>(2), &size, nullptr};
  OK(cuLaunchKernel(kernel("scale"), 8, 1, 1, 128, 1, 1, 0, nullptr, nullptr, extra));
  const auto out = read<uint32_t>(p, 1000);
  EXPECT_EQ(499u * 6, out[499]);
  EXPECT_EQ(500u * 3, out[500]);
  EXPECT_EQ(999u, out[999]);
}

TEST_F(Launch, ReturnsBeforeTheKernelEnds) {
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, 4096, 2));
  auto* flag = static_cast<std::atomic<uint32_t>*>(host);
  *flag = 0;
  CUdeviceptr p = 0;
  OK(cuMemHostGetDevicePointer_v2(&p, host, 0));
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  void* params[] = {&p};
  OK(cuLaunchKernel(kernel("spin"), 1, 1, 1, 32, 1, 1, 0, stream, params, nullptr));
  FAILS(CUDA_ERROR_NOT_READY, cuStreamQuery(stream));
  *flag = 1;
  OK(cuStreamSynchronize(stream));
}

TEST_F(Launch, SharedMemoryOfTheLaunch) {
  std::vector<uint32_t> in(256);
  std::iota(in.begin(), in.end(), 1);
  CUdeviceptr p = 0, out = 0;
  OK(cuMemAlloc_v2(&p, 1024));
  OK(cuMemAlloc_v2(&out, 4));
  OK(cuMemcpyHtoD_v2(p, in.data(), 1024));
  void* params[] = {&out, &p};
  CUlaunchConfig config = {};
  config.gridDimX = config.gridDimY = config.gridDimZ = 1;
  config.blockDimX = 256;
  config.blockDimY = config.blockDimZ = 1;
  config.sharedMemBytes = 1024;
  OK(cuLaunchKernelEx(&config, kernel("shared_sum"), params, nullptr));
  EXPECT_EQ(256u * 257 / 2, read<uint32_t>(out, 1)[0]);
}

TEST_F(Launch, LimitsAreCheckedAtTheCall) {
  CUdeviceptr p = counted(4096);
  unsigned value = 1;
  void* params[] = {&p, &value};
  const CUfunction fill = kernel("fill");
  const auto launch = [&](CUfunction f, unsigned grid, unsigned bx, unsigned by, unsigned bz, unsigned shared) {
    return cuLaunchKernel(f, grid, 1, 1, bx, by, bz, shared, nullptr, params, nullptr);
  };
  FAILS(CUDA_ERROR_INVALID_VALUE, launch(fill, 0, 1, 1, 1, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 1025, 1, 1, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 64, 32, 1, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 1, 1, 65, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 32, 1, 1, 60000));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(fill, 1, 70000, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  FAILS(CUDA_ERROR_INVALID_HANDLE, launch(nullptr, 1, 32, 1, 1, 0));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr));
  uint8_t byte = 0;
  void* small_params[] = {&p, &byte, &p};
  EXPECT_NE(CUDA_SUCCESS, cuLaunchKernel(kernel("small"), 1, 1, 1, 128, 1, 1, 0, nullptr, small_params, nullptr))
      << "beyond .maxntid";
  OK(cuCtxSynchronize());
  EXPECT_EQ(0, read<uint8_t>(p, 1)[0]) << "nothing ran";
}

TEST_F(Launch, ModuleVariablesAreTheKernelsOwn) {
  CUdeviceptr counter = 0;
  OK(cuModuleGetGlobal_v2(&counter, nullptr, module_, "counter"));
  OK(cuLaunchKernel(kernel("count_up"), 10, 1, 1, 64, 1, 1, 0, nullptr, nullptr, nullptr));
  EXPECT_EQ(7u + 640, read<uint32_t>(counter, 1)[0]);
  OK(cuMemsetD32_v2(counter, 0, 1));
  OK(cuLaunchKernel(kernel("count_up"), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  EXPECT_EQ(1u, read<uint32_t>(counter, 1)[0]);
}

TEST_F(Launch, CooperativeLaunchesMustFitAtOnce) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4 << 20));
  unsigned value = 9;
  void* params[] = {&p, &value};
  OK(cuLaunchCooperativeKernel(kernel("fill"), 2, 1, 1, 32, 1, 1, 0, nullptr, params));
  EXPECT_EQ(9u, read<uint32_t>(p + 252, 1)[0]);
  FAILS(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
        cuLaunchCooperativeKernel(kernel("fill"), 1000000, 1, 1, 1024, 1, 1, 0, nullptr, params));
}

TEST_F(Launch, AttributesOfALaunch) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4096));
  unsigned value = 3;
  void* params[] = {&p, &value};
  CUevent event = nullptr;
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, 0));
  CUlaunchAttribute attributes[4] = {};
  attributes[0].id = CU_LAUNCH_ATTRIBUTE_PRIORITY;
  attributes[0].value.priority = -1;
  attributes[1].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  attributes[1].value.programmaticStreamSerializationAllowed = 1;
  attributes[2].id = CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT;
  attributes[2].value.launchCompletionEvent.event = event;
  attributes[3].id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
  attributes[3].value.cooperative = 1;
  CUlaunchConfig config = {4, 1, 1, 32, 1, 1, 0, stream, attributes, 4};
  OK(cuLaunchKernelEx(&config, kernel("fill"), params, nullptr));
  OK(cuEventSynchronize(event));
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(3u, read<uint32_t>(p + 508, 1)[0]);
  attributes[0].id = static_cast<CUlaunchAttributeID>(19);
  EXPECT_NE(CUDA_SUCCESS, cuLaunchKernelEx(&config, kernel("fill"), params, nullptr));
}

TEST_F(Launch, ClustersAreChecked) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4096));
  OK(cuMemsetD8_v2(p, 0, 4096));
  unsigned value = 3;
  void* params[] = {&p, &value};
  CUlaunchAttribute cluster = {};
  cluster.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  cluster.value.clusterDim = {2, 1, 1};
  CUlaunchConfig config = {4, 1, 1, 32, 1, 1, 0, nullptr, &cluster, 1};
  OK(cuLaunchKernelEx(&config, kernel("fill"), params, nullptr));
  EXPECT_EQ(3u, read<uint32_t>(p + 508, 1)[0]);
  int clusters = 0;
  OK(cuOccupancyMaxActiveClusters(&clusters, kernel("fill"), &config));
  EXPECT_GT(clusters, 0);
  config.gridDimX = 5;
  EXPECT_NE(CUDA_SUCCESS, cuLaunchKernelEx(&config, kernel("fill"), params, nullptr)) << "5 blocks, clusters of 2";
  config.gridDimX = 64;
  cluster.value.clusterDim = {32, 1, 1};
  EXPECT_NE(CUDA_SUCCESS, cuLaunchKernelEx(&config, kernel("fill"), params, nullptr)) << "larger than any cluster";
  OK(cuCtxSynchronize());
}

// An error of the device stays with the context until it ends.
class Fault : public Launch {
 protected:
  void expect_sticky(CUresult error) {
    EXPECT_EQ(error, cuCtxSynchronize());
    CUdeviceptr p = 0;
    EXPECT_EQ(error, cuMemAlloc_v2(&p, 16));
    EXPECT_EQ(error, cuCtxSynchronize());
    cuCtxSetCurrent(nullptr);
    EXPECT_EQ(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2(device_));
    EXPECT_EQ(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&context_, device_));
    EXPECT_EQ(CUDA_SUCCESS, cuCtxSetCurrent(context_));
    EXPECT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&p, 16));
  }
};

TEST_F(Fault, IllegalAddress) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 256));
  OK(cuMemFree_v2(p));
  unsigned value = 1;
  void* params[] = {&p, &value};
  OK(cuLaunchKernel(kernel("fill"), 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  expect_sticky(CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(Fault, HostMemoryThatIsNotPinned) {
  std::vector<uint32_t> host(64);
  auto p = reinterpret_cast<CUdeviceptr>(host.data());
  int pageable = 0;
  OK(cuDeviceGetAttribute(&pageable, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, device_));
  if (pageable) GTEST_SKIP() << "this device reaches pageable memory";
  unsigned value = 1;
  void* params[] = {&p, &value};
  OK(cuLaunchKernel(kernel("fill"), 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  expect_sticky(CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(Fault, Misaligned) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 256));
  void* params[] = {&p};
  OK(cuLaunchKernel(kernel("misaligned"), 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr));
  expect_sticky(CUDA_ERROR_MISALIGNED_ADDRESS);
}

TEST_F(Fault, Trap) {
  OK(cuLaunchKernel(kernel("trap_kernel"), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  const CUresult error = cuCtxSynchronize();
  EXPECT_TRUE(error == CUDA_ERROR_LAUNCH_FAILED || error == CUDA_ERROR_ILLEGAL_INSTRUCTION);
  expect_sticky(error);
}

TEST_F(Fault, FailedAssertion) {
  const char* text =
      ".version 7.5\n.target sm_70\n.address_size 64\n"
      ".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 s);\n"
      ".global .align 1 .b8 msg[4] = {120, 61, 49, 0};\n"
      ".visible .entry check()\n{\n .reg .b64 %rd<3>;\n mov.u64 %rd1, msg;\n cvta.global.u64 %rd2, %rd1;\n"
      " {\n .param .b64 a;\n .param .b64 b;\n .param .b32 c;\n .param .b64 d;\n .param .b64 e;\n"
      " st.param.b64 [a], %rd2;\n st.param.b64 [b], %rd2;\n st.param.b32 [c], 7;\n st.param.b64 [d], %rd2;\n"
      " st.param.b64 [e], 1;\n call.uni __assertfail, (a, b, c, d, e);\n }\n ret;\n}\n";
  CUmodule module = nullptr;
  CUfunction check = nullptr;
  OK(cuModuleLoadData(&module, text));
  OK(cuModuleGetFunction(&check, module, "check"));
  OK(cuLaunchKernel(check, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  expect_sticky(CUDA_ERROR_ASSERT);
}

TEST_F(Fault, StopsWhatWasEnqueuedBehindIt) {
  CUevent event = nullptr;
  OK(cuEventCreate(&event, 0));
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, 0));
  OK(cuLaunchKernel(kernel("trap_kernel"), 1, 1, 1, 1, 1, 1, 0, stream, nullptr, nullptr));
  cuEventRecord(event, stream);
  EXPECT_NE(CUDA_SUCCESS, cuEventSynchronize(event));
  EXPECT_NE(CUDA_SUCCESS, cuStreamQuery(stream));
  expect_sticky(cuCtxSynchronize());
}

TEST_F(Fault, LeavesAnotherContextAlone) {
  CUcontext other = nullptr;
  OK(cuCtxCreate_v2(&other, 0, device_));
  CUmodule module = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  CUfunction trap = nullptr;
  OK(cuModuleGetFunction(&trap, module, "trap_kernel"));
  OK(cuLaunchKernel(trap, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  EXPECT_NE(CUDA_SUCCESS, cuCtxSynchronize());
  OK(cuCtxDestroy_v2(other));
  OK(cuCtxSetCurrent(context_));
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 16));
  OK(cuCtxSynchronize());
}

TEST_F(Launch, APeersMemoryNeedsPeerAccess) {
  int count = 0, can = 0;
  OK(cuDeviceGetCount(&count));
  if (count < 2) GTEST_SKIP() << "one device";
  OK(cuDeviceCanAccessPeer(&can, 0, 1));
  if (!can) GTEST_SKIP() << "no peer access here";
  CUcontext peer = nullptr, popped = nullptr;
  OK(cuDevicePrimaryCtxRetain(&peer, 1));
  OK(cuCtxPushCurrent_v2(peer));
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 256));
  OK(cuCtxPopCurrent_v2(&popped));
  unsigned value = 11;
  void* params[] = {&p, &value};
  OK(cuCtxEnablePeerAccess(peer, 0));
  OK(cuLaunchKernel(kernel("fill"), 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  OK(cuCtxSynchronize());
  EXPECT_EQ(11u, read<uint32_t>(p, 1)[0]);
  OK(cuCtxDisablePeerAccess(peer));
  OK(cuLaunchKernel(kernel("fill"), 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  FAILS(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
  OK(cuDevicePrimaryCtxReset_v2(1));
}

}  // namespace
