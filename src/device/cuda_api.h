// The functions of libcuda.so.1 that the benchmarks call, found at run time: no driver is needed to build or to list.
#pragma once

#include "cuda_abi.h"

namespace nm::device {

#define NM_CUDA_FUNCTIONS(X)                                                                                           \
  X(cuInit)                                                                                                            \
  X(cuDriverGetVersion) X(cuGetErrorName) X(cuDeviceGet) X(cuDeviceGetCount) X(cuDeviceGetName)                        \
      X(cuDeviceGetAttribute) X(cuDeviceGetUuid_v2) X(cuDeviceGetPCIBusId) X(cuDeviceTotalMem_v2)                      \
          X(cuDevicePrimaryCtxRetain) X(cuDevicePrimaryCtxRelease_v2) X(cuCtxSetCurrent) X(cuCtxSynchronize)           \
              X(cuCtxCreate_v2) X(cuCtxDestroy_v2) X(cuMemAlloc_v2) X(cuMemFree_v2) X(cuMemHostAlloc) X(cuMemFreeHost) \
                  X(cuMemcpyHtoDAsync_v2) X(cuMemcpyDtoHAsync_v2) X(cuMemcpyDtoDAsync_v2) X(cuMemsetD32Async)          \
                      X(cuMemcpyHtoD_v2) X(cuMemcpyDtoH_v2) X(cuMemcpyPeerAsync) X(cuDeviceCanAccessPeer)              \
                          X(cuCtxEnablePeerAccess) X(cuModuleLoadDataEx) X(cuModuleUnload) X(cuModuleGetFunction)      \
                              X(cuLaunchKernel) X(cuFuncSetAttribute) X(cuStreamCreate) X(cuStreamDestroy_v2)          \
                                  X(cuStreamSynchronize) X(cuStreamWaitEvent) X(cuEventCreate) X(cuEventDestroy_v2)    \
                                      X(cuEventRecord) X(cuEventSynchronize) X(cuEventQuery) X(cuEventElapsedTime)     \
                                          X(cuStreamBeginCapture_v2) X(cuStreamEndCapture)                             \
                                              X(cuGraphInstantiateWithFlags) X(cuGraphLaunch) X(cuGraphExecDestroy)    \
                                                  X(cuGraphDestroy)

struct CudaApi {
#define NM_MEMBER(name) decltype(&::name) name = nullptr;
  NM_CUDA_FUNCTIONS(NM_MEMBER)
#undef NM_MEMBER
};

// Loads the library once, and calls cuInit. Throws Unsupported: no library, or no device behind it.
const CudaApi& cuda_api();
// Throws Failure: "cuMemAlloc (1024 bytes) answered CUDA_ERROR_OUT_OF_MEMORY."
[[noreturn]] void cuda_failed(const char* function, CUresult result);

// CU(cuMemAlloc_v2, &p, n): calls, and throws unless it succeeds.
#define CU(name, ...)                                                          \
  do {                                                                         \
    if (const CUresult nm_result = ::nm::device::cuda_api().name(__VA_ARGS__)) \
      ::nm::device::cuda_failed(#name, nm_result);                             \
  } while (0)

// The stream and the function behind a CUDA device, for programs that time the driver's own calls.
class Device;
CUstream cuda_stream(Device& device);

}  // namespace nm::device
