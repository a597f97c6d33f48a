// Many threads, one context or several: every call may be made at any time.
#include "driver_test.h"
#include "kernels.h"

#include <atomic>
#include <thread>

namespace {

class Threads : public DriverTest {
 protected:
  template <class Body>
  void everywhere(int threads, Body&& body) {
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        ASSERT_EQ(CUDA_SUCCESS, cuCtxSetCurrent(context_));
        body(t);
      });
    }
    for (auto& thread : all) thread.join();
  }
};

TEST_F(Threads, EachWithItsOwnStreamMemoryAndKernels) {
  CUmodule module = nullptr;
  CUfunction scale = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  OK(cuModuleGetFunction(&scale, module, "scale"));
  everywhere(8, [&](int t) {
    CUstream stream = nullptr;
    ASSERT_EQ(CUDA_SUCCESS, cuStreamCreate(&stream, t % 2 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT));
    for (int i = 0; i < 20; ++i) {
      CUdeviceptr p = 0;
      if (i % 2) {
        ASSERT_EQ(CUDA_SUCCESS, cuMemAllocAsync(&p, 4096, stream));
      } else {
        ASSERT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&p, 4096));
      }
      ASSERT_EQ(CUDA_SUCCESS, cuMemsetD32Async(p, t + 1, 1024, stream));
      unsigned n = 1024, factor = 3;
      void* params[] = {&p, &n, &factor};
      ASSERT_EQ(CUDA_SUCCESS, cuLaunchKernel(scale, 8, 1, 1, 128, 1, 1, 0, stream, params, nullptr));
      std::vector<uint32_t> out(1024);
      ASSERT_EQ(CUDA_SUCCESS, cuMemcpyDtoHAsync_v2(out.data(), p, 4096, stream));
      ASSERT_EQ(CUDA_SUCCESS, cuStreamSynchronize(stream));
      ASSERT_EQ(static_cast<uint32_t>(3 * (t + 1)), out[1023]);
      if (i % 2) {
        ASSERT_EQ(CUDA_SUCCESS, cuMemFreeAsync(p, stream));
      } else {
        ASSERT_EQ(CUDA_SUCCESS, cuMemFree_v2(p));
      }
    }
    ASSERT_EQ(CUDA_SUCCESS, cuStreamDestroy_v2(stream));
  });
}

TEST_F(Threads, APipelineOfEvents) {
  constexpr int kStages = 6, kRounds = 20;
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, 4));
  CUmodule module = nullptr;
  CUfunction scale = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  OK(cuModuleGetFunction(&scale, module, "scale"));
  std::vector<CUstream> streams(kStages);
  std::vector<CUevent> events(kStages);
  for (auto& stream : streams) OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (auto& event : events) OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  for (int round = 0; round < kRounds; ++round) {
    OK(cuMemsetD32Async(p, 1, 1, streams[0]));
    for (int s = 0; s < kStages; ++s) {
      if (s > 0) {
        OK(cuStreamWaitEvent(streams[s], events[s - 1], 0));
      }
      unsigned n = 1, factor = 2;
      void* params[] = {&p, &n, &factor};
      OK(cuLaunchKernel(scale, 1, 1, 1, 32, 1, 1, 0, streams[s], params, nullptr));
      OK(cuEventRecord(events[s], streams[s]));
    }
    OK(cuStreamWaitEvent(streams[0], events[kStages - 1], 0));
    OK(cuStreamSynchronize(streams[0]));
    ASSERT_EQ(64u, read<uint32_t>(p, 1)[0]);
  }
}

TEST_F(Threads, ContextsComeAndGoBesideEachOther) {
  everywhere(6, [&](int) {
    for (int i = 0; i < 5; ++i) {
      CUcontext context = nullptr;
      ASSERT_EQ(CUDA_SUCCESS, cuCtxCreate_v2(&context, 0, device_));
      CUmodule module = nullptr;
      CUfunction fill = nullptr;
      ASSERT_EQ(CUDA_SUCCESS, cuModuleLoadData(&module, kKernels));
      ASSERT_EQ(CUDA_SUCCESS, cuModuleGetFunction(&fill, module, "fill"));
      CUdeviceptr p = 0;
      ASSERT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&p, 4096));
      unsigned value = 5;
      void* params[] = {&p, &value};
      ASSERT_EQ(CUDA_SUCCESS, cuLaunchKernel(fill, 8, 1, 1, 128, 1, 1, 0, nullptr, params, nullptr));
      if (i % 2) {
        ASSERT_EQ(CUDA_SUCCESS, cuCtxSynchronize());
      }
      ASSERT_EQ(CUDA_SUCCESS, cuCtxDestroy_v2(context));
    }
  });
}

TEST_F(Threads, LibrariesAreLoadedOnceForAll) {
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  OK(cuLibraryLoadData(&library, kKernels, nullptr, nullptr, 0, nullptr, nullptr, 0));
  OK(cuLibraryGetKernel(&kernel, library, "count_up"));
  everywhere(8, [&](int) {
    for (int i = 0; i < 10; ++i) {
      ASSERT_EQ(CUDA_SUCCESS, cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), 1, 1, 1, 32, 1, 1, 0,
                                             reinterpret_cast<CUstream>(2), nullptr, nullptr));
    }
    ASSERT_EQ(CUDA_SUCCESS, cuStreamSynchronize(reinterpret_cast<CUstream>(2)));
  });
  CUdeviceptr counter = 0;
  OK(cuLibraryGetGlobal(&counter, nullptr, library, "counter"));
  EXPECT_EQ(7u + 8 * 10 * 32, read<uint32_t>(counter, 1)[0]);
  OK(cuLibraryUnload(library));
}

TEST_F(Threads, CapturesOfSeveralThreadsAreApart) {
  everywhere(6, [&](int t) {
    CUstream stream = nullptr;
    ASSERT_EQ(CUDA_SUCCESS, cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CUdeviceptr p = 0;
    ASSERT_EQ(CUDA_SUCCESS, cuMemAlloc_v2(&p, 64));
    for (int i = 0; i < 10; ++i) {
      ASSERT_EQ(CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
      ASSERT_EQ(CUDA_SUCCESS, cuMemsetD32Async(p, t * 100 + i, 16, stream));
      CUgraph graph = nullptr;
      CUgraphExec exec = nullptr;
      ASSERT_EQ(CUDA_SUCCESS, cuStreamEndCapture(stream, &graph));
      ASSERT_EQ(CUDA_SUCCESS, cuGraphInstantiateWithFlags(&exec, graph, 0));
      ASSERT_EQ(CUDA_SUCCESS, cuGraphLaunch(exec, stream));
      ASSERT_EQ(CUDA_SUCCESS, cuStreamSynchronize(stream));
      int value = 0;
      ASSERT_EQ(CUDA_SUCCESS, cuMemcpyDtoHAsync_v2(&value, p, 4, stream));
      ASSERT_EQ(t * 100 + i, value);
      ASSERT_EQ(CUDA_SUCCESS, cuGraphExecDestroy(exec));
      ASSERT_EQ(CUDA_SUCCESS, cuGraphDestroy(graph));
    }
  });
}

TEST_F(Threads, AFaultInOneThreadIsSeenByAll) {
  CUmodule module = nullptr;
  CUfunction trap = nullptr;
  OK(cuModuleLoadData(&module, kKernels));
  OK(cuModuleGetFunction(&trap, module, "trap_kernel"));
  std::atomic<bool> launched = false;
  everywhere(6, [&](int t) {
    if (t == 0) {
      EXPECT_EQ(CUDA_SUCCESS, cuLaunchKernel(trap, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
      launched = true;
    }
    while (!launched) std::this_thread::yield();
    const CUresult result = cuCtxSynchronize();
    EXPECT_TRUE(result == CUDA_ERROR_LAUNCH_FAILED || result == CUDA_ERROR_ILLEGAL_INSTRUCTION) << result;
  });
}

}  // namespace
