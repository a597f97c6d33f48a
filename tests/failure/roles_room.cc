// Programs that run out of room for memory that is shared with the server.
#include <dirent.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "cuda_abi.h"
#include "roles.h"

namespace {

constexpr char kKernel[] = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry twice(.param .u64 at)
{
  .reg .u64 %a, %o; .reg .u32 %v, %i, %b, %n;
  ld.param.u64 %a, [at];
  mov.u32 %b, %ctaid.x;
  mov.u32 %n, %ntid.x;
  mov.u32 %i, %tid.x;
  mad.lo.u32 %i, %b, %n, %i;
  mul.wide.u32 %o, %i, 4;
  add.u64 %a, %a, %o;
  ld.global.u32 %v, [%a];
  add.u32 %v, %v, %v;
  st.global.u32 [%a], %v;
  ret;
}
)";

void say(const char* step, int value) {
  printf("%s %d\n", step, value);
  fflush(stdout);
}

// No file of this process gets longer than this any more. A write beyond it would end the process with a signal.
void limit_files(rlim_t bytes) {
  const rlimit limit{bytes, bytes};
  if (setrlimit(RLIMIT_FSIZE, &limit)) perror("setrlimit");
}

// fallocate answers "no space" from now on, as if the machine's memory were gone. False: that cannot be arranged here.
bool no_pages() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog all{sizeof program / sizeof *program, program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) == 0;
}

// Whether this process has rings with its worker.
int rings() {
  int count = 0;
  DIR* all = opendir("/proc/self/fd");
  while (dirent* entry = all ? readdir(all) : nullptr) {
    char target[256] = "";
    if (readlinkat(dirfd(all), entry->d_name, target, sizeof target - 1) > 0) {
      count += strstr(target, "/memfd:nearmetal-ring") != nullptr;
    }
  }
  if (all) closedir(all);
  return count;
}

// Doubles many numbers on the device, from and to memory that is not pinned. 0: each is what it must be.
int compute(CUmodule module) {
  constexpr unsigned kThreads = 256, kBlocks = 9 << 10, kCount = kThreads * kBlocks;
  std::vector<unsigned> numbers(kCount), back(kCount);
  for (unsigned i = 0; i < kCount; i++) numbers[i] = i * 3;
  CUfunction twice;
  CUdeviceptr p;
  if (CUresult e = cuModuleGetFunction(&twice, module, "twice")) return e;
  if (CUresult e = cuMemAlloc_v2(&p, kCount * 4)) return e;
  void* params[] = {&p};
  for (unsigned round = 1; round <= 2; round++) {
    if (CUresult e = cuMemcpyHtoD_v2(p, numbers.data(), kCount * 4)) return e;
    if (CUresult e = cuLaunchKernel(twice, kBlocks, 1, 1, kThreads, 1, 1, 0, nullptr, params, nullptr)) return e;
    if (CUresult e = cuMemcpyDtoH_v2(back.data(), p, kCount * 4)) return e;
    for (unsigned i = 0; i < kCount; i++) {
      if (back[i] != 2 * numbers[i]) return -1;
    }
    numbers = back;
  }
  return cuMemFree_v2(p);
}

int start(CUmodule* module) {
  CUcontext context;
  if (CUresult e = cuInit(0)) return e;
  if (CUresult e = cuDevicePrimaryCtxRetain(&context, 0)) return e;
  if (CUresult e = cuCtxSetCurrent(context)) return e;
  return cuModuleLoadData(module, kKernel);
}

int pinned(size_t size) {
  void* p;
  if (CUresult e = cuMemHostAlloc(&p, size, 0)) return e;
  memset(p, 1, size);
  return cuMemFreeHost(p);
}

// Pinned memory of 8 MiB does not fit, 1 MiB does, then copies through pinned slots still do.
int small_files() {
  CUmodule module;
  if (start(&module)) return 2;
  say("rings", rings());
  limit_files(4 << 20);
  CUdeviceptr managed;
  say("8 MiB", pinned(8 << 20));
  say("managed", cuMemAllocManaged(&managed, 8 << 20, CU_MEM_ATTACH_GLOBAL));
  say("1 MiB", pinned(1 << 20));
  say("computed", compute(module));
  say("again", pinned(8 << 20));
  return 0;
}

// There is one slot for copies when the room for others ends.
int one_slot() {
  CUmodule module;
  if (start(&module)) return 2;
  CUdeviceptr p;
  std::vector<char> bytes(64 << 10, 1);
  if (cuMemAlloc_v2(&p, bytes.size()) || cuMemcpyHtoD_v2(p, bytes.data(), bytes.size())) return 2;
  limit_files(64 << 10);
  say("1 MiB", pinned(1 << 20));
  say("computed", compute(module));
  return 0;
}

int no_slot() {
  CUmodule module;
  if (start(&module)) return 2;
  limit_files(64 << 10);
  say("1 MiB", pinned(1 << 20));
  say("computed", compute(module));
  return 0;
}

int no_rings() {
  limit_files(64 << 10);
  CUmodule module;
  if (start(&module)) return 2;
  say("rings", rings());
  say("computed", compute(module));
  return 0;
}

int memory_gone() {
  CUmodule module;
  if (start(&module)) return 2;
  if (!no_pages()) return 77;
  say("1 MiB", pinned(1 << 20));
  say("computed", compute(module));
  return 0;
}

int memory_gone_early() {
  if (!no_pages()) return 77;
  CUmodule module;
  if (start(&module)) return 2;
  say("rings", rings());
  say("1 MiB", pinned(1 << 20));
  say("computed", compute(module));
  return 0;
}

}  // namespace

const std::vector<Role>& room_roles() {
  static const auto* all = new std::vector<Role>{
      {"small_files", small_files}, {"one_slot", one_slot},       {"no_slot", no_slot},
      {"no_rings", no_rings},       {"memory_gone", memory_gone}, {"memory_gone_early", memory_gone_early},
  };
  return *all;
}
