#include "client/host_memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "base/memory_file.h"
#include "client/call.h"
#include "client/client.h"
#include "client/context.h"
#include "client/memory.h"
#include "client/moved_pages.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;
// Where both sides look for a common free address first: far from heaps, stacks, libraries and the driver's ranges.
constexpr uint64_t kArena = 0x1000'0000'0000, kArenaEnd = 0x2000'0000'0000;
constexpr uint64_t kSpacing = 2 << 20;
constexpr int kPlacesToTry = 64;
constexpr unsigned kHostFlags = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;

std::atomic<uint64_t> g_next{kArena};
uint64_t round_up(uint64_t size, uint64_t to) { return (size + to - 1) / to * to; }

// Said once: a program that tries again would say it again and again.
CUresult say_no_room(uint64_t size) {
  const int error = errno;
  static std::atomic<bool> said{false};
  if (said.exchange(true)) return CUDA_ERROR_OUT_OF_MEMORY;
  const char* hint =
      error == EFBIG ? " It is shared with the server as a file: raise the limit on files (ulimit -f)." : "";
  fprintf(stderr, "nearmetal: there is no room for %llu bytes of pinned or managed host memory: %s.%s\n",
          static_cast<unsigned long long>(size), strerror(error), hint);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

// Allocates at an address that is free on both sides.
CUresult allocate(void** out, size_t size, unsigned flags, bool managed) {
  if (CUresult e = enter()) return e;
  if (!out || !size) return CUDA_ERROR_INVALID_VALUE;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  bool share = Client::get()->channel().shares_memory();
  if (size > kArenaEnd - kArena) return CUDA_ERROR_OUT_OF_MEMORY;
  uint64_t length = round_up(size, kPage);
  Fd memory;
  if (share) {
    memory = make_memory_file("nearmetal-host", length);
    if (!memory) return say_no_room(length);
  }
  for (int i = 0; i < kPlacesToTry; i++) {
    uint64_t at = g_next.load(), step = round_up(length, kSpacing) + kSpacing;
    do {
      if (at + step > kArenaEnd) return CUDA_ERROR_OUT_OF_MEMORY;
    } while (!g_next.compare_exchange_weak(at, at + step));
    // SAFETY: NOREPLACE: an address that is in use here is skipped.
    void* p = mmap(reinterpret_cast<void*>(at), length, PROT_READ | PROT_WRITE,
                   (share ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) | MAP_FIXED_NOREPLACE, memory.get(), 0);
    if (p != reinterpret_cast<void*>(at)) {
      if (p != MAP_FAILED) munmap(p, length);
      else if (errno == ENOMEM) return CUDA_ERROR_OUT_OF_MEMORY;
      continue;
    }
    CUdeviceptr device_pointer = 0;
    CUresult result = share ? share_host_memory(at, length, 0, flags, managed, memory.get(), &device_pointer)
                            : remote::nm_host_mirror(at, length, flags, managed, &device_pointer);
    if (result != CUDA_SUCCESS || device_pointer != at) {
      if (result == CUDA_SUCCESS) remote::nm_host_release(at);
      munmap(p, length);
      if (result == CUDA_ERROR_ALREADY_MAPPED || result == CUDA_SUCCESS) continue;
      return result;
    }
    MemoryRange range;
    range.base = at;
    range.size = size;
    range.kind = share ? MemoryKind::shared : MemoryKind::mirrored;
    range.context = current_context();
    range.device_pointer = device_pointer;
    range.flags = flags;
    range.managed = managed;
    add_memory(range);
    // Mapped and managed memory is made to be used by kernels; other pinned memory only if a launch names it.
    if (!share) add_mirror(range, managed || (flags & CU_MEMHOSTALLOC_DEVICEMAP) != 0);
    *out = p;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

}  // namespace

CUresult share_host_memory(uint64_t address, uint64_t size, uint64_t offset, unsigned flags, bool managed, int fd,
                           CUdeviceptr* device_pointer) {
  Call call(op::nm_host_share);
  call.args().u64(address);
  call.args().u64(size);
  call.args().u64(flags);
  call.args().u64(managed);
  call.args().u64(offset);
  call.pass_fd(fd);
  if (CUresult e = call.wait()) return e;
  *device_pointer = call.reply().u64();
  return call.reply().bad() ? call.malformed() : CUDA_SUCCESS;
}

CUresult allocate_host_memory(void** out, size_t size) { return allocate(out, size, CU_MEMHOSTALLOC_PORTABLE, false); }

CUresult free_host_memory(uint64_t base) {
  auto range = find_memory(base);
  if (!range || range->base != base || (range->kind != MemoryKind::shared && range->kind != MemoryKind::mirrored)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // Pages that are shared were named to the worker by where they begin. It waits for the device, as in CUDA: nothing may
  // write to these pages once they are somebody else's.
  const uint64_t first = range->kind == MemoryKind::shared ? base & ~(kPage - 1) : base;
  CUresult result = remote::nm_host_release(first);
  drop_mirror(base);
  remove_memory(base);
  if (!range->registered) munmap(reinterpret_cast<void*>(base), round_up(range->size, kPage));
  else if (range->kind == MemoryKind::shared) give_back_pages(first);
  return result;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuMemHostAlloc(void** out, size_t size, unsigned flags) {
  if (flags & ~kHostFlags) return CUDA_ERROR_INVALID_VALUE;
  return allocate(out, size, flags, false);
}

NM_EXPORT CUresult cuMemAllocHost_v2(void** out, size_t size) { return allocate(out, size, 0, false); }

NM_EXPORT CUresult cuMemAllocManaged(CUdeviceptr* out, size_t size, unsigned flags) {
  if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST) return CUDA_ERROR_INVALID_VALUE;
  void* p;
  if (CUresult e = allocate(&p, size, flags, true)) return e;
  *out = reinterpret_cast<CUdeviceptr>(p);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemFreeHost(void* p) {
  if (CUresult e = enter()) return e;
  auto range = find_memory(reinterpret_cast<uint64_t>(p));
  if (!range || range->managed || range->registered) return CUDA_ERROR_INVALID_VALUE;
  return free_host_memory(reinterpret_cast<uint64_t>(p));
}

NM_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* out, void* p, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (!out || flags) return CUDA_ERROR_INVALID_VALUE;
  auto address = reinterpret_cast<uint64_t>(p);
  auto range = find_memory(address);
  if (!range || !range->device_pointer) return CUDA_ERROR_INVALID_VALUE;
  if (range->kind == MemoryKind::mirrored) expose_mirror(range->base);
  *out = range->device_pointer + (address - range->base);
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemHostGetFlags(unsigned* flags, void* p) {
  if (CUresult e = enter()) return e;
  if (!flags) return CUDA_ERROR_INVALID_VALUE;
  auto range = find_memory(reinterpret_cast<uint64_t>(p));
  if (!range || (range->kind != MemoryKind::shared && range->kind != MemoryKind::mirrored)) return CUDA_ERROR_INVALID_VALUE;
  *flags = range->flags | CU_MEMHOSTALLOC_DEVICEMAP;  // with unified addressing all pinned memory is mapped
  count_local();
  return CUDA_SUCCESS;
}

}  // extern "C"
