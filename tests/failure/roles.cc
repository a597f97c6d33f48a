#include "roles.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "cuda_abi.h"

namespace {

constexpr char kKernels[] = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry poke(.param .u64 at, .param .u32 value)
{
  .reg .u64 %a; .reg .u32 %v;
  ld.param.u64 %a, [at];
  ld.param.u32 %v, [value];
  st.global.u32 [%a], %v;
  ret;
}
.visible .entry die()
{
  trap;
}
.visible .entry spin(.param .u64 at)
{
  .reg .u64 %a; .reg .u32 %v; .reg .pred %p;
  ld.param.u64 %a, [at];
again:
  ld.volatile.global.u32 %v, [%a];
  setp.eq.u32 %p, %v, 0;
  @%p bra again;
  ret;
}
)";

void say(const char* step, int value = 0) {
  printf("%s %d\n", step, value);
  fflush(stdout);
}

struct Gpu {
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUresult start() {
    if (CUresult e = cuInit(0)) return e;
    if (CUresult e = cuDevicePrimaryCtxRetain(&context, 0)) return e;
    if (CUresult e = cuCtxSetCurrent(context)) return e;
    return cuModuleLoadData(&module, kKernels);
  }
  CUresult poke(CUdeviceptr at, unsigned value) {
    CUfunction f;
    if (CUresult e = cuModuleGetFunction(&f, module, "poke")) return e;
    void* params[] = {&at, &value};
    return cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr);
  }
};

// Computes for ever, one synchronised step after the other, until a call fails.
int worker() {
  Gpu gpu;
  CUdeviceptr p = 0;
  CUresult e = gpu.start();
  if (e == CUDA_SUCCESS) e = cuMemAlloc_v2(&p, 4096);
  for (unsigned i = 0; e == CUDA_SUCCESS; i++) {
    e = gpu.poke(p, i);
    unsigned back = ~i;
    if (e == CUDA_SUCCESS) e = cuMemcpyDtoH_v2(&back, p, sizeof back);
    if (e == CUDA_SUCCESS && back != i) {
      say("wrong", static_cast<int>(back));
      return 3;
    }
    if (i == 20) say("computing");
    if (i % 1000 == 999) say("step", static_cast<int>(i));
  }
  say("error", e);
  return 0;
}

int init_only() {
  CUresult e = cuInit(0);
  say("init", e);
  return e == CUDA_SUCCESS;
}

int bad_address() {
  Gpu gpu;
  CUresult e = gpu.start();
  if (e) return 2;
  gpu.poke(0x1234567000, 1);
  say("first", cuCtxSynchronize());
  CUdeviceptr p;
  say("then", cuMemAlloc_v2(&p, 16));
  say("still", gpu.poke(0x1234567000, 1));
  return 0;
}

int trap() {
  Gpu gpu;
  if (gpu.start()) return 2;
  CUfunction f;
  if (cuModuleGetFunction(&f, gpu.module, "die")) return 2;
  say("launch", cuLaunchKernel(f, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr));
  say("first", cuCtxSynchronize());
  say("then", cuCtxSynchronize());
  return 0;
}

// Fills most of the device and copies for ever: somebody kills it in the middle.
int hog() {
  Gpu gpu;
  if (gpu.start()) return 2;
  size_t free_bytes, total;
  if (cuMemGetInfo_v2(&free_bytes, &total)) return 2;
  CUdeviceptr p;
  size_t size = free_bytes / 10 * 8;
  if (CUresult e = cuMemAlloc_v2(&p, size)) {
    say("cannot allocate", e);
    return 2;
  }
  std::vector<char> host(32 << 20, 5);
  say("copying");
  for (;;) {
    if (cuMemcpyHtoD_v2(p, host.data(), host.size())) return 2;
    if (cuMemcpyDtoH_v2(host.data(), p, host.size())) return 2;
  }
}

// Allocates as much as the hog had.
int heir() {
  Gpu gpu;
  if (gpu.start()) return 2;
  size_t free_bytes, total;
  if (cuMemGetInfo_v2(&free_bytes, &total)) return 2;
  CUdeviceptr p;
  CUresult e = cuMemAlloc_v2(&p, total / 10 * 8);
  say("allocated", e);
  return e != CUDA_SUCCESS;
}

int out_of_memory() {
  Gpu gpu;
  if (gpu.start()) return 2;
  size_t free_bytes, total;
  if (cuMemGetInfo_v2(&free_bytes, &total)) return 2;
  CUdeviceptr big, small;
  say("too big", cuMemAlloc_v2(&big, total * 2));
  say("half", cuMemAlloc_v2(&big, free_bytes / 2));
  say("more than is left", cuMemAlloc_v2(&small, free_bytes / 4 * 3));
  say("free", cuMemFree_v2(big));
  // As PyTorch does: give back, try again.
  say("again", cuMemAlloc_v2(&small, free_bytes / 4 * 3));
  say("usable", cuMemsetD8_v2(small, 1, 4096));
  say("fine", cuCtxSynchronize());
  return 0;
}

int forked() {
  Gpu gpu;
  if (gpu.start()) return 2;
  CUdeviceptr p;
  if (cuMemAlloc_v2(&p, 64)) return 2;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    CUdeviceptr q;
    say("child alloc", cuMemAlloc_v2(&q, 64));
    say("child init", cuInit(0));
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  unsigned value = 7, back = 0;
  say("parent poke", gpu.poke(p, value));
  say("parent read", cuMemcpyDtoH_v2(&back, p, 4));
  say("value", static_cast<int>(back));
  return 0;
}

// Handles that another client has, that never existed, and that are gone.
int foreign_handles() {
  Gpu gpu;
  if (gpu.start()) return 2;
  CUstream mine;
  if (cuStreamCreate(&mine, 0)) return 2;
  auto stranger = reinterpret_cast<CUstream>(reinterpret_cast<unsigned long long>(mine) + 1000);
  say("unknown stream", cuStreamSynchronize(stranger));
  say("module as stream", cuStreamSynchronize(reinterpret_cast<CUstream>(gpu.module)));
  say("destroy", cuStreamDestroy_v2(mine));
  say("destroyed stream", cuStreamSynchronize(mine));
  say("random event", cuEventSynchronize(reinterpret_cast<CUevent>(0x4e05000112345678ull)));
  say("random function",
      cuLaunchKernel(reinterpret_cast<CUfunction>(0xdeadbeef), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  say("still fine", cuCtxSynchronize());
  return 0;
}

// More pinned memory than the limit on file sizes lets a memfd have: refused, not fatal.
int no_room() {
  Gpu gpu;
  if (gpu.start()) return 2;
  void* p;
  say("enormous", cuMemHostAlloc(&p, 1ull << 50, 0));
  say("small", cuMemHostAlloc(&p, 1 << 20, 0));
  memset(p, 1, 1 << 20);
  say("fine", cuCtxSynchronize());
  return 0;
}

// Waits in the driver for something that never comes.
int stuck() {
  Gpu gpu;
  if (gpu.start()) return 2;
  CUdeviceptr p;
  if (cuMemAlloc_v2(&p, 64) || cuMemsetD8_v2(p, 0, 64)) return 2;
  CUfunction f;
  if (cuModuleGetFunction(&f, gpu.module, "spin")) return 2;
  void* params[] = {&p};
  if (cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr)) return 2;
  say("waiting");
  say("error", cuCtxSynchronize());
  return 0;
}

// Frees host memory while a kernel runs for ever: the worker waits for that kernel.
int freeing() {
  Gpu gpu;
  if (gpu.start()) return 2;
  CUdeviceptr p;
  void* host;
  if (cuMemAlloc_v2(&p, 64) || cuMemsetD8_v2(p, 0, 64) || cuMemHostAlloc(&host, 4096, 0)) return 2;
  CUfunction f;
  if (cuModuleGetFunction(&f, gpu.module, "spin")) return 2;
  void* params[] = {&p};
  if (cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr)) return 2;
  say("freeing");
  say("error", cuMemFreeHost(host));
  return 0;
}

}  // namespace

bool run_role(const std::string& name, int* status) {
  std::vector<Role> roles = {
      {"worker", worker},
      {"init", init_only},
      {"bad_address", bad_address},
      {"trap", trap},
      {"hog", hog},
      {"heir", heir},
      {"out_of_memory", out_of_memory},
      {"forked", forked},
      {"foreign_handles", foreign_handles},
      {"no_room", no_room},
      {"stuck", stuck},
      {"freeing", freeing},
  };
  roles.insert(roles.end(), room_roles().begin(), room_roles().end());
  roles.insert(roles.end(), capture_roles().begin(), capture_roles().end());
  for (auto& r : roles) {
    if (name == r.name) {
      *status = r.run();
      return true;
    }
  }
  return false;
}
