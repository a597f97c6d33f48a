// Opening, closing, forking, and a server that is not there or goes away.
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>

#include "nvml_test.h"

namespace {

struct Ended {
  int status;
  std::string errors;
};

// In a process of its own, which ends with what `body` returns; its stderr is read.
Ended in_child(const std::function<int()>& body) {
  int ends[2];
  EXPECT_EQ(0, pipe(ends));
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDERR_FILENO);
    _exit(body());
  }
  close(ends[1]);
  Ended out;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) out.errors.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  waitpid(pid, &out.status, 0);
  out.status = WIFEXITED(out.status) ? WEXITSTATUS(out.status) : 128;
  return out;
}

int occurrences(const std::string& text, const std::string& part) {
  int n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at++) n++;
  return n;
}

TEST(NvmlSession, NothingIsAnsweredBeforeInitAndAfterTheLastShutdown) {
  unsigned count = 9;
  FAILS(NVML_ERROR_UNINITIALIZED, nvmlDeviceGetCount_v2(&count));
  FAILS(NVML_ERROR_UNINITIALIZED, nvmlDeviceGetCount_v2(nullptr));
  FAILS(NVML_ERROR_UNINITIALIZED, nvmlDeviceSetPersistenceMode(nullptr, 1));
  FAILS(NVML_ERROR_UNINITIALIZED, nvmlShutdown());
  OK(nvmlInit_v2());
  OK(nvmlInitWithFlags(1));
  OK(nvmlShutdown());
  OK(nvmlDeviceGetCount_v2(&count));
  EXPECT_EQ(2u, count);
  OK(nvmlShutdown());
  FAILS(NVML_ERROR_UNINITIALIZED, nvmlDeviceGetCount_v2(&count));
}

TEST(NvmlSession, TheServersRefusalToOpenIsPassedOn) {
  FAILS(NVML_ERROR_INVALID_ARGUMENT, nvmlInitWithFlags(99));
  FAILS(NVML_ERROR_UNINITIALIZED, nvmlShutdown());
}

TEST(NvmlSession, TextsNeedNoSession) {
  EXPECT_STREQ("Success", nvmlErrorString(NVML_SUCCESS));
  EXPECT_STREQ("Driver Not Loaded", nvmlErrorString(NVML_ERROR_DRIVER_NOT_LOADED));
  EXPECT_STREQ("Unknown Error", nvmlErrorString(static_cast<nvmlReturn_t>(12345)));
}

TEST(NvmlSession, AHandleMeansTheSameDeviceInTheNextSession) {
  nvmlDevice_t one = nullptr, again = nullptr;
  OK(nvmlInit_v2());
  OK(nvmlDeviceGetHandleByIndex_v2(1, &one));
  OK(nvmlShutdown());
  OK(nvmlInit_v2());
  OK(nvmlDeviceGetHandleByIndex_v2(0, &again));
  unsigned index = 9;
  OK(nvmlDeviceGetIndex(one, &index));
  EXPECT_EQ(1u, index);
  OK(nvmlShutdown());
}

TEST(NvmlSession, AForkedChildGoesOnWithASessionOfItsOwn) {
  nvmlDevice_t one = nullptr;
  unsigned index = 9;
  OK(nvmlInit_v2());
  OK(nvmlDeviceGetHandleByIndex_v2(1, &one));
  Ended child = in_child([&] {
    unsigned mine = 9;
    if (nvmlDeviceGetIndex(one, &mine) != NVML_SUCCESS || mine != 1) return 1;
    if (nvmlInit_v2() != NVML_SUCCESS || nvmlShutdown() != NVML_SUCCESS) return 2;
    return nvmlShutdown() == NVML_SUCCESS ? 0 : 3;
  });
  EXPECT_EQ(0, child.status) << child.errors;
  OK(nvmlDeviceGetIndex(one, &index));
  EXPECT_EQ(1u, index);
  OK(nvmlShutdown());
}

TEST(NvmlSession, AServerThatIsNotThereIsSaidOnceAndIsAnError) {
  Ended child = in_child([] {
    setenv("NEARMETAL_SERVER", "unix:/nonexistent/nearmetal.sock", 1);
    for (int i = 0; i < 3; i++) {
      if (nvmlInit_v2() != NVML_ERROR_DRIVER_NOT_LOADED) return 1;
    }
    unsigned count;
    return nvmlDeviceGetCount_v2(&count) == NVML_ERROR_UNINITIALIZED ? 0 : 2;
  });
  EXPECT_EQ(0, child.status) << child.errors;
  EXPECT_EQ(1, occurrences(child.errors, "Cannot reach the nearmetal server at unix:/nonexistent/nearmetal.sock"))
      << child.errors;
}

TEST(NvmlSession, AWorkerThatDiesIsAnErrorAtOnceAndTheNextInitGetsAnother) {
  Ended child = in_child([] {
    nvmlDevice_t zero, one;
    char serial[32];
    if (nvmlInit_v2() || nvmlDeviceGetHandleByIndex_v2(0, &zero) || nvmlDeviceGetHandleByIndex_v2(1, &one)) return 1;
    if (nvmlDeviceGetSerial(zero, serial, sizeof serial) != NVML_SUCCESS || strcmp(serial, "0123456789")) return 2;
    const auto start = std::chrono::steady_clock::now();
    if (nvmlDeviceGetSerial(one, serial, sizeof serial) != NVML_ERROR_UNKNOWN) return 3;
    if (nvmlDeviceGetSerial(zero, serial, sizeof serial) != NVML_ERROR_UNKNOWN) return 4;
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(5)) return 5;
    if (nvmlInit_v2() || nvmlDeviceGetSerial(zero, serial, sizeof serial)) return 6;
    return 0;
  });
  EXPECT_EQ(0, child.status) << child.errors;
  EXPECT_EQ(1, occurrences(child.errors, "lost the server")) << child.errors;
}

TEST(NvmlSession, ATraceNamesEveryCallAndItsResult) {
  Ended child = in_child([] {
    setenv("NEARMETAL_TRACE", "1", 1);
    execl("/proc/self/exe", "nm_nvml_session_test", "--gtest_filter=NvmlSession.NothingIs*", nullptr);
    return 1;
  });
  EXPECT_EQ(0, child.status);
  EXPECT_EQ(1, occurrences(child.errors, "nearmetal: nvmlInit_v2 -> 0\n")) << child.errors;
  EXPECT_EQ(3, occurrences(child.errors, "nearmetal: nvmlDeviceGetCount_v2 -> 1\n")) << child.errors;
  EXPECT_EQ(1, occurrences(child.errors, "nearmetal: nvmlDeviceSetPersistenceMode -> 1\n")) << child.errors;
}

}  // namespace
