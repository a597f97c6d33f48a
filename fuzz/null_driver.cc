#include "null_driver.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <type_traits>

namespace nm::server {
namespace {

constexpr size_t kMostAtOnce = 1 << 20, kMostInAll = 16 << 20;

uint64_t g_invented = 0x10000;
std::map<void*, size_t> g_memory;
size_t g_total = 0;

template <typename T>
T invent() {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<T>(g_invented += 64);
  } else if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<T>(1);
  } else {
    T value;
    std::memset(static_cast<void*>(&value), 0, sizeof value);
    return value;
  }
}

#include "null_driver.inc"

CUresult host_alloc(void** out, size_t size, unsigned) {
  if (size > kMostAtOnce * 4 || g_total + size > kMostInAll) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = calloc(1, size ? size : 1);
  g_memory[*out] = size;
  g_total += size;
  return CUDA_SUCCESS;
}
CUresult host_free(void* p) {
  auto it = g_memory.find(p);
  if (it == g_memory.end()) return CUDA_ERROR_INVALID_VALUE;
  g_total -= it->second;
  g_memory.erase(it);
  free(p);
  return CUDA_SUCCESS;
}
CUresult device_pointer(CUdeviceptr* out, void* p, unsigned) {
  *out = reinterpret_cast<CUdeviceptr>(p);
  return CUDA_SUCCESS;
}
CUresult fail_parameter(CUfunction, size_t, size_t*, size_t*) { return CUDA_ERROR_INVALID_VALUE; }
CUresult fail_kernel_parameter(CUkernel, size_t, size_t*, size_t*) { return CUDA_ERROR_INVALID_VALUE; }
CUresult no_name(CUresult, const char** text) {
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}
CUresult link_complete(CUlinkState, void** cubin, size_t* size) {
  static char image[16] = "cubin";
  *cubin = image;
  *size = sizeof image;
  return CUDA_SUCCESS;
}
CUresult device_name(char* name, int size, CUdevice) {
  if (size > 0) name[0] = 0;
  return CUDA_SUCCESS;
}
CUresult no_nodes(CUgraph, CUgraphNode*, size_t* count) {
  *count = 0;
  return CUDA_SUCCESS;
}
CUresult no_table(const void**, const CUuuid*) { return CUDA_ERROR_INVALID_VALUE; }
CUresult function_name(const char** name, CUfunction) {
  *name = "f";
  return CUDA_SUCCESS;
}
CUresult kernel_name(const char** name, CUkernel) {
  *name = "k";
  return CUDA_SUCCESS;
}

}  // namespace

const DriverTable& null_driver() {
  static DriverTable table = [] {
    DriverTable t;
    fill_null_driver(&t);
    t.cuMemHostAlloc = host_alloc;
    t.cuMemFreeHost = host_free;
    t.cuMemHostGetDevicePointer_v2 = device_pointer;
    t.cuFuncGetParamInfo = fail_parameter;
    t.cuKernelGetParamInfo = fail_kernel_parameter;
    t.cuGetErrorName = no_name;
    t.cuLinkComplete = link_complete;
    t.cuDeviceGetName = device_name;
    t.cuDeviceGetPCIBusId = device_name;
    t.cuGraphGetNodes = no_nodes;
    t.cuGetExportTable = no_table;
    t.cuFuncGetName = function_name;
    t.cuKernelGetName = kernel_name;
    t.cuLibraryGetManaged = nullptr;  // an invented address is not memory
    return t;
  }();
  return table;
}

void reset_null_driver() {
  for (auto& [p, size] : g_memory) free(p);
  g_memory.clear();
  g_total = 0;
}

}  // namespace nm::server
