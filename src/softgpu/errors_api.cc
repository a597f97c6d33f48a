// Names and descriptions of results; they work before cuInit.
#include <cuda_abi.h>

namespace {

struct ErrorText {
  const char* name;
  const char* text;
};

// Null members: there is no such result.
ErrorText text_of(CUresult error) {
  // clang-format off
  switch (error) {
#define NM_ERROR(code, text) case code: return {#code, text};
    NM_ERROR(CUDA_SUCCESS, "no error")
    NM_ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument")
    NM_ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")
    NM_ERROR(CUDA_ERROR_NOT_INITIALIZED, "cuInit has not been called in this process")
    NM_ERROR(CUDA_ERROR_DEINITIALIZED, "the driver is shutting down")
    NM_ERROR(CUDA_ERROR_PROFILER_DISABLED, "the profiler is disabled")
    NM_ERROR(CUDA_ERROR_PROFILER_NOT_INITIALIZED, "the profiler is not initialised")
    NM_ERROR(CUDA_ERROR_PROFILER_ALREADY_STARTED, "the profiler is started already")
    NM_ERROR(CUDA_ERROR_PROFILER_ALREADY_STOPPED, "the profiler is stopped already")
    NM_ERROR(CUDA_ERROR_STUB_LIBRARY, "the library is a stub for linking")
    NM_ERROR(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, "the call needs a newer driver")
    NM_ERROR(CUDA_ERROR_DEVICE_UNAVAILABLE, "the device is not available")
    NM_ERROR(CUDA_ERROR_NO_DEVICE, "no device is visible")
    NM_ERROR(CUDA_ERROR_INVALID_DEVICE, "no such device")
    NM_ERROR(CUDA_ERROR_DEVICE_NOT_LICENSED, "the device has no licence")
    NM_ERROR(CUDA_ERROR_INVALID_IMAGE, "the image is not device code")
    NM_ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid context, or none is current")
    NM_ERROR(CUDA_ERROR_CONTEXT_ALREADY_CURRENT, "the context is current already")
    NM_ERROR(CUDA_ERROR_MAP_FAILED, "mapping failed")
    NM_ERROR(CUDA_ERROR_UNMAP_FAILED, "unmapping failed")
    NM_ERROR(CUDA_ERROR_ARRAY_IS_MAPPED, "the array is mapped")
    NM_ERROR(CUDA_ERROR_ALREADY_MAPPED, "mapped already")
    NM_ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, "the image has no code that this device can run")
    NM_ERROR(CUDA_ERROR_ALREADY_ACQUIRED, "acquired already")
    NM_ERROR(CUDA_ERROR_NOT_MAPPED, "not mapped")
    NM_ERROR(CUDA_ERROR_NOT_MAPPED_AS_ARRAY, "not mapped as an array")
    NM_ERROR(CUDA_ERROR_NOT_MAPPED_AS_POINTER, "not mapped as a pointer")
    NM_ERROR(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable memory error")
    NM_ERROR(CUDA_ERROR_UNSUPPORTED_LIMIT, "the device has no such limit")
    NM_ERROR(CUDA_ERROR_CONTEXT_ALREADY_IN_USE, "the context is in use by another thread")
    NM_ERROR(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "no peer access between these devices")
    NM_ERROR(CUDA_ERROR_INVALID_PTX, "the PTX could not be compiled")
    NM_ERROR(CUDA_ERROR_INVALID_GRAPHICS_CONTEXT, "invalid graphics context")
    NM_ERROR(CUDA_ERROR_NVLINK_UNCORRECTABLE, "uncorrectable NVLink error")
    NM_ERROR(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, "the PTX compiler is missing")
    NM_ERROR(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "the PTX is newer than the compiler")
    NM_ERROR(CUDA_ERROR_JIT_COMPILATION_DISABLED, "PTX compilation is disabled")
    NM_ERROR(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY, "the device has no such execution affinity")
    NM_ERROR(CUDA_ERROR_UNSUPPORTED_DEVSIDE_SYNC, "synchronising from device code is not supported")
    NM_ERROR(CUDA_ERROR_CONTAINED, "a contained device error")
    NM_ERROR(CUDA_ERROR_INVALID_SOURCE, "invalid device code source")
    NM_ERROR(CUDA_ERROR_FILE_NOT_FOUND, "file not found")
    NM_ERROR(CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND, "symbol of a shared object not found")
    NM_ERROR(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, "a shared object could not be initialised")
    NM_ERROR(CUDA_ERROR_OPERATING_SYSTEM, "a system call failed")
    NM_ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid handle")
    NM_ERROR(CUDA_ERROR_ILLEGAL_STATE, "not possible in the current state")
    NM_ERROR(CUDA_ERROR_LOSSY_QUERY, "the answer would lose information")
    NM_ERROR(CUDA_ERROR_NOT_FOUND, "name not found")
    NM_ERROR(CUDA_ERROR_NOT_READY, "not finished yet")
    NM_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "a kernel accessed an illegal address")
    NM_ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "the launch needs more resources than there are")
    NM_ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "the kernel ran too long")
    NM_ERROR(CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING, "incompatible texturing mode")
    NM_ERROR(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is enabled already")
    NM_ERROR(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access is not enabled")
    NM_ERROR(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "the primary context is active already")
    NM_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the context is destroyed")
    NM_ERROR(CUDA_ERROR_ASSERT, "an assertion failed in a kernel")
    NM_ERROR(CUDA_ERROR_TOO_MANY_PEERS, "no resources for more peers")
    NM_ERROR(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "the host memory is registered already")
    NM_ERROR(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "the host memory is not registered")
    NM_ERROR(CUDA_ERROR_HARDWARE_STACK_ERROR, "a kernel broke its call stack")
    NM_ERROR(CUDA_ERROR_ILLEGAL_INSTRUCTION, "a kernel met an illegal instruction")
    NM_ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "a kernel accessed a misaligned address")
    NM_ERROR(CUDA_ERROR_INVALID_ADDRESS_SPACE, "a kernel used an address of the wrong space")
    NM_ERROR(CUDA_ERROR_INVALID_PC, "a kernel jumped to an invalid place")
    NM_ERROR(CUDA_ERROR_LAUNCH_FAILED, "a kernel failed")
    NM_ERROR(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "the cooperative launch has more blocks than fit at once")
    NM_ERROR(CUDA_ERROR_TENSOR_MEMORY_LEAK, "a kernel left tensor memory allocated")
    NM_ERROR(CUDA_ERROR_NOT_PERMITTED, "not permitted here")
    NM_ERROR(CUDA_ERROR_NOT_SUPPORTED, "not supported")
    NM_ERROR(CUDA_ERROR_SYSTEM_NOT_READY, "the system is not ready")
    NM_ERROR(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "driver versions do not match")
    NM_ERROR(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, "forward compatibility is not supported on this device")
    NM_ERROR(CUDA_ERROR_MPS_CONNECTION_FAILED, "no connection to the MPS server")
    NM_ERROR(CUDA_ERROR_MPS_RPC_FAILURE, "a call to the MPS server failed")
    NM_ERROR(CUDA_ERROR_MPS_SERVER_NOT_READY, "the MPS server is not ready")
    NM_ERROR(CUDA_ERROR_MPS_MAX_CLIENTS_REACHED, "the MPS server has no room for another client")
    NM_ERROR(CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED, "the MPS server has no room for another connection")
    NM_ERROR(CUDA_ERROR_MPS_CLIENT_TERMINATED, "the MPS server ended this client")
    NM_ERROR(CUDA_ERROR_CDP_NOT_SUPPORTED, "dynamic parallelism is not supported")
    NM_ERROR(CUDA_ERROR_CDP_VERSION_MISMATCH, "dynamic parallelism of another version")
    NM_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "not permitted while a stream captures")
    NM_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the capture became invalid by an earlier error")
    NM_ERROR(CUDA_ERROR_STREAM_CAPTURE_MERGE, "two captures would merge")
    NM_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture did not begin in this stream")
    NM_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "the capture has work that is not joined to its first stream")
    NM_ERROR(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "a dependency would cross the boundary of the capture")
    NM_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the legacy stream would depend on a capturing stream")
    NM_ERROR(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a capture")
    NM_ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture began in another thread")
    NM_ERROR(CUDA_ERROR_TIMEOUT, "the time for the wait is over")
    NM_ERROR(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "the executable graph cannot take this update")
    NM_ERROR(CUDA_ERROR_EXTERNAL_DEVICE, "an error in a device outside")
    NM_ERROR(CUDA_ERROR_INVALID_CLUSTER_SIZE, "invalid cluster size")
    NM_ERROR(CUDA_ERROR_FUNCTION_NOT_LOADED, "the function is not loaded")
    NM_ERROR(CUDA_ERROR_INVALID_RESOURCE_TYPE, "invalid resource type")
    NM_ERROR(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION, "invalid resource configuration")
    NM_ERROR(CUDA_ERROR_KEY_ROTATION, "a key is being rotated")
    NM_ERROR(CUDA_ERROR_UNKNOWN, "unknown error")
#undef NM_ERROR
  }
  // clang-format on
  return {nullptr, nullptr};
}

}  // namespace

extern "C" {

CUresult cuGetErrorName(CUresult error, const char** str) {
  if (!str) return CUDA_ERROR_INVALID_VALUE;
  *str = text_of(error).name;
  return *str ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char** str) {
  if (!str) return CUDA_ERROR_INVALID_VALUE;
  *str = text_of(error).text;
  return *str ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // extern "C"
