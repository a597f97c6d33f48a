// Two processes and one device memory. The second process is this program again, told what to do by its arguments.
#include "driver_test.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

namespace {

std::string hex(const void* data, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<const unsigned char*>(data)[i]);
    text += two;
  }
  return text;
}

void unhex(const char* text, void* data, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    static_cast<unsigned char*>(data)[i] =
        static_cast<unsigned char>(std::stoul(std::string(text + 2 * i, 2), nullptr, 16));
  }
}

// Runs this program's test `filter` with a handle in the environment; its exit status.
int in_child(const char* filter, const std::string& memory, const std::string& event = "") {
  const pid_t child = fork();
  if (child == 0) {
    setenv("NM_IPC_MEMORY", memory.c_str(), 1);
    setenv("NM_IPC_EVENT", event.c_str(), 1);
    const std::string argument = std::string("--gtest_filter=") + filter;
    execl("/proc/self/exe", "ipc", argument.c_str(), "--gtest_also_run_disabled_tests", nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class Ipc : public DriverTest {};

TEST_F(Ipc, MemoryIsSharedWithAnotherProcess) {
  const CUdeviceptr p = counted(4096);
  CUipcMemHandle handle;
  OK(cuIpcGetMemHandle(&handle, p));
  CUdeviceptr own = 0;
  EXPECT_NE(CUDA_SUCCESS, cuIpcOpenMemHandle_v2(&own, handle, 1)) << "not in the process it comes from";
  EXPECT_EQ(0, in_child("Ipc.DISABLED_OpenMemory", hex(&handle, sizeof handle)));
  EXPECT_EQ(99, read<uint8_t>(p, 1)[0]) << "written by the other process";
}

TEST_F(Ipc, DISABLED_OpenMemory) {
  CUipcMemHandle handle;
  unhex(std::getenv("NM_IPC_MEMORY"), &handle, sizeof handle);
  CUdeviceptr p = 0, again = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle_v2(&p, handle, 0));
  OK(cuIpcOpenMemHandle_v2(&p, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
  EXPECT_EQ(255, read<uint8_t>(p, 256)[255]);
  OK(cuMemsetD8_v2(p, 99, 1));
  OK(cuCtxSynchronize());
  OK(cuIpcOpenMemHandle_v2(&again, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
  EXPECT_EQ(p, again);
  OK(cuIpcCloseMemHandle(again));
  EXPECT_EQ(99, read<uint8_t>(p, 1)[0]);
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(p));
  OK(cuIpcCloseMemHandle(p));
  uint8_t byte = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(&byte, p, 1));
  FAILS(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(p));
}

TEST_F(Ipc, EventsAreWaitedForAcrossProcesses) {
  CUevent event = nullptr, plain = nullptr;
  OK(cuEventCreate(&plain, 0));
  CUipcEventHandle handle;
  FAILS(CUDA_ERROR_INVALID_HANDLE, cuIpcGetEventHandle(&handle, plain));
  OK(cuEventCreate(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
  OK(cuIpcGetEventHandle(&handle, event));
  void* host = nullptr;
  OK(cuMemHostAlloc(&host, 4096, 2));
  auto* flag = static_cast<std::atomic<uint32_t>*>(host);
  *flag = 0;
  CUdeviceptr flag_address = 0;
  OK(cuMemHostGetDevicePointer_v2(&flag_address, host, 0));
  CUstream stream = nullptr;
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  OK(cuStreamWaitValue32_v2(stream, flag_address, 1, CU_STREAM_WAIT_VALUE_GEQ));
  OK(cuEventRecord(event, stream));
  EXPECT_EQ(0, in_child("Ipc.DISABLED_EventIsPending", "", hex(&handle, sizeof handle)));
  *flag = 1;
  OK(cuStreamSynchronize(stream));
  EXPECT_EQ(0, in_child("Ipc.DISABLED_EventIsDone", "", hex(&handle, sizeof handle)));
}

TEST_F(Ipc, DISABLED_EventIsPending) {
  CUipcEventHandle handle;
  unhex(std::getenv("NM_IPC_EVENT"), &handle, sizeof handle);
  CUevent event = nullptr;
  OK(cuIpcOpenEventHandle(&event, handle));
  FAILS(CUDA_ERROR_NOT_READY, cuEventQuery(event));
  OK(cuEventDestroy_v2(event));
}

TEST_F(Ipc, DISABLED_EventIsDone) {
  CUipcEventHandle handle;
  unhex(std::getenv("NM_IPC_EVENT"), &handle, sizeof handle);
  CUevent event = nullptr;
  OK(cuIpcOpenEventHandle(&event, handle));
  OK(cuStreamWaitEvent(nullptr, event, 0));
  OK(cuStreamSynchronize(nullptr));
  OK(cuEventSynchronize(event));
  OK(cuEventQuery(event));
}

TEST_F(Ipc, PoolsAndTheirPointersTravel) {
  CUmemPoolProps props = {};
  props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  props.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  props.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  CUmemoryPool pool = nullptr, imported = nullptr;
  OK(cuMemPoolCreate(&pool, &props));
  CUdeviceptr p = 0, q = 0;
  OK(cuMemAllocFromPoolAsync(&p, 4096, pool, nullptr));
  OK(cuMemsetD32_v2(p, 17, 1024));
  int fd = -1;
  OK(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  CUmemPoolPtrExportData data = {};
  OK(cuMemPoolExportPointer(&data, p));
  // The import could be in any process; here it is in this one.
  OK(cuMemPoolImportFromShareableHandle(&imported, reinterpret_cast<void*>(static_cast<intptr_t>(fd)),
                                        CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  close(fd);
  OK(cuMemPoolImportPointer(&q, imported, &data));
  EXPECT_NE(p, q);
  EXPECT_EQ(17u, read<uint32_t>(q + 4092, 1)[0]);
  CUdeviceptr none = 0;
  FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAllocFromPoolAsync(&none, 16, imported, nullptr));
  OK(cuMemFree_v2(q));
  EXPECT_EQ(17u, read<uint32_t>(p, 1)[0]);
  OK(cuMemFree_v2(p));
  OK(cuMemPoolDestroy(imported));
  OK(cuMemPoolDestroy(pool));
}

TEST_F(Ipc, HandlesOfNothingAreRefused) {
  CUipcMemHandle memory = {};
  CUdeviceptr p = 0;
  EXPECT_NE(CUDA_SUCCESS, cuIpcOpenMemHandle_v2(&p, memory, 1));
  CUipcEventHandle event = {};
  CUevent opened = nullptr;
  EXPECT_NE(CUDA_SUCCESS, cuIpcOpenEventHandle(&opened, event));
  EXPECT_NE(CUDA_SUCCESS, cuIpcGetMemHandle(&memory, 4096));
}

}  // namespace
