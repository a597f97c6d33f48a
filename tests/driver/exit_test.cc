// A process may end whenever it likes: with work pending, from any thread, without a word to the driver.
#include "driver_test.h"
#include "kernels.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace {

// Runs the test `filter` of this program in a process of its own. Its wait status; -1 when it does not end.
int run_apart(const char* filter) {
  const pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    const std::string argument = std::string("--gtest_filter=") + filter;
    execl("/proc/self/exe", "exit", argument.c_str(), "--gtest_also_run_disabled_tests", nullptr);
    _exit(127);
  }
  for (int i = 0; i < 1000; ++i) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return -1;
}

class Exit : public DriverTest {
 protected:
  void launch_endless_kernel() {
    CUmodule module = nullptr;
    CUfunction spin = nullptr;
    OK(cuModuleLoadData(&module, kKernels));
    OK(cuModuleGetFunction(&spin, module, "spin"));
    CUdeviceptr flag = 0;
    OK(cuMemAlloc_v2(&flag, 4));
    OK(cuMemsetD32_v2(flag, 0, 1));
    void* params[] = {&flag};
    OK(cuLaunchKernel(spin, 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  }
};

TEST_F(Exit, WhileAKernelRuns) {
  const int status = run_apart("Exit.DISABLED_EndWithAKernelRunning");
  ASSERT_NE(-1, status) << "it hangs";
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(7, WEXITSTATUS(status));
}

TEST_F(Exit, DISABLED_EndWithAKernelRunning) {
  launch_endless_kernel();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  exit(7);
}

TEST_F(Exit, FromAnotherThreadWhileOneWaits) {
  const int status = run_apart("Exit.DISABLED_EndWhileAThreadWaits");
  ASSERT_NE(-1, status) << "it hangs";
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(8, WEXITSTATUS(status));
}

TEST_F(Exit, DISABLED_EndWhileAThreadWaits) {
  launch_endless_kernel();
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    exit(8);
  }).detach();
  cuCtxSynchronize();
}

// Frees its memory when the process ends, as an object at namespace scope does.
struct LateOwner {
  CUdeviceptr memory = 0;
  ~LateOwner() {
    if (!memory) return;
    // The driver may have ended already, and says so then.
    const CUresult result = cuMemFree_v2(memory);
    if (result != CUDA_SUCCESS && result != CUDA_ERROR_DEINITIALIZED) _exit(1);
  }
} late_owner;

TEST_F(Exit, WithCallsFromStaticDestructors) {
  const int status = run_apart("Exit.DISABLED_EndWithAStaticOwner");
  ASSERT_NE(-1, status) << "it hangs";
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(10, WEXITSTATUS(status));
}

TEST_F(Exit, DISABLED_EndWithAStaticOwner) {
  OK(cuMemAlloc_v2(&late_owner.memory, 4096));
  exit(10);
}

TEST_F(Exit, WithEverythingStillAllocated) {
  const int status = run_apart("Exit.DISABLED_EndWithoutCleaningUp");
  ASSERT_NE(-1, status) << "it hangs";
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(9, WEXITSTATUS(status));
}

TEST_F(Exit, DISABLED_EndWithoutCleaningUp) {
  CUdeviceptr p = 0;
  void* host = nullptr;
  OK(cuMemAlloc_v2(&p, 1 << 20));
  OK(cuMemHostAlloc(&host, 1 << 20, 0));
  for (int i = 0; i < 4; ++i) {
    CUstream stream = nullptr;
    OK(cuStreamCreate(&stream, 0));
    OK(cuMemsetD8Async(p, 1, 1 << 20, stream));
  }
  exit(9);
}

}  // namespace
