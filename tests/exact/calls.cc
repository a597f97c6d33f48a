// The same call N times, for counting what one costs: nm_exact SCENARIO N. Plain driver API, knows nothing of nearmetal.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <functional>
#include <map>
#include <string>

#include "cuda_abi.h"

namespace {

const char kPtx[] = R"(
.version 7.0
.target sm_50
.address_size 64
.visible .entry nothing(.param .u64 p, .param .u32 a, .param .u32 b, .param .u64 q) { ret; }
)";

void ok(CUresult result) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "exact: a call answered %d\n", static_cast<int>(result));
  exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  CUdevice device;
  CUcontext context;
  CUmodule module;
  CUfunction function;
  CUdeviceptr p;
  CUstream stream;
  CUevent event;
  ok(cuInit(0));
  ok(cuDeviceGet(&device, 0));
  ok(cuDevicePrimaryCtxRetain(&context, device));
  ok(cuCtxSetCurrent(context));
  ok(cuModuleLoadData(&module, kPtx));
  ok(cuModuleGetFunction(&function, module, "nothing"));
  ok(cuMemAlloc_v2(&p, 1 << 20));
  ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));

  unsigned a = 1, b = 2;
  void* params[] = {&p, &a, &b, &p};
  static unsigned char host[4096];
  CUdevice current;
  CUcontext same;
  CUpointer_attribute type = CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
  unsigned value;
  const std::map<std::string, std::function<CUresult()>> scenarios = {
      {"cuLaunchKernel", [&] { return cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, params, nullptr); }},
      {"cuEventRecord", [&] { return cuEventRecord(event, stream); }},
      {"cuStreamWaitEvent", [&] { return cuStreamWaitEvent(stream, event, 0); }},
      {"cuMemsetD32Async", [&] { return cuMemsetD32Async(p, 0, 16, stream); }},
      {"cuMemcpyDtoDAsync_v2", [&] { return cuMemcpyDtoDAsync_v2(p, p + 4096, 4096, stream); }},
      {"cuMemcpyHtoDAsync_v2", [&] { return cuMemcpyHtoDAsync_v2(p, host, 256, stream); }},
      {"cuMemcpyDtoHAsync_v2", [&] { return cuMemcpyDtoHAsync_v2(host, p, 4, stream); }},
      {"cuStreamSynchronize", [&] { return cuStreamSynchronize(stream); }},
      {"read_a_number",
       [&] {
         if (CUresult e = cuMemcpyDtoHAsync_v2(host, p, 4, stream)) return e;
         return cuStreamSynchronize(stream);
       }},
      {"cuCtxGetDevice", [&] { return cuCtxGetDevice(&current); }},
      {"cuCtxGetCurrent", [&] { return cuCtxGetCurrent(&same); }},
      {"cuCtxSetCurrent", [&] { return cuCtxSetCurrent(context); }},
      {"cuPointerGetAttribute", [&] { return cuPointerGetAttribute(&value, type, p); }},
      {"cuMemAlloc_v2",
       [&] {
         CUdeviceptr q;
         if (CUresult e = cuMemAlloc_v2(&q, 4096)) return e;
         return cuMemFree_v2(q);
       }},
  };
  auto found = scenarios.find(argv[1]);
  if (found == scenarios.end()) {
    for (auto& [name, call] : scenarios) puts(name.c_str());
    return 2;
  }
  const int times = atoi(argv[2]);
  for (int i = 0; i < times; i++) ok(found->second());
  ok(cuCtxSynchronize());
}
