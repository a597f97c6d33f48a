// Memory of the program's own that the device is to reach. On the server's host its pages become memory that both
// processes share, where that is safe; else, and over a network, it is mirrored.
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/context.h"
#include "client/graph_slots.h"
#include "client/host_memory.h"
#include "client/memory.h"
#include "client/program_pages.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;

bool overlaps_registered(uint64_t address, uint64_t size) {
  bool found = false;
  for_each_memory(
      [&](const MemoryRange& r) { found = found || (r.base < address + size && address < r.base + r.size); });
  return found;
}

// The worker maps what lies in the file at the pages' own address.
bool share(const Pages& pages, int fd, uint64_t offset, unsigned flags) {
  CUdeviceptr there = 0;
  if (share_host_memory(pages.first, pages.size, offset, flags, false, fd, &there) != CUDA_SUCCESS) return false;
  if (there == pages.first) return true;
  remote::nm_host_release(pages.first);
  return false;
}

// The worker is asked first: once pages are moved nothing can go wrong any more.
bool share_by_moving(const Pages& pages, unsigned flags) {
  auto part = reserve_part(pages.size);
  if (!part) return false;
  if (!share(pages, part->fd, part->offset, flags)) {
    release_part(*part);
    return false;
  }
  if (move_pages(pages, *part, current_context())) return true;
  remote::nm_host_release(pages.first);
  return false;
}

bool share_registered(uint64_t address, uint64_t size, unsigned flags) {
  const char* how = getenv("NEARMETAL_REGISTER");
  if (!Client::get()->channel().shares_memory() || (how && strcmp(how, "mirror") == 0)) return false;
  // Graphs that were made before write there what the server pushes, out of turn with what the device would write.
  if (have_graph_slots(reinterpret_cast<void*>(address), size)) return false;
  const uint64_t first = address & ~(kPage - 1);
  const Pages pages{first, ((address + size + kPage - 1) & ~(kPage - 1)) - first};
  if (auto file = shared_file(pages)) return share(pages, file->fd.get(), file->offset, flags);
  return movable_pages(address, size) && may_move(pages) && share_by_moving(pages, flags);
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuMemHostRegister_v2(void* p, size_t size, unsigned flags) {
  if (CUresult e = enter()) return e;
  constexpr unsigned kKnown = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY;
  auto address = reinterpret_cast<uint64_t>(p);
  if (!p || !size || flags & ~(kKnown | CU_MEMHOSTREGISTER_IOMEMORY)) return CUDA_ERROR_INVALID_VALUE;
  if (address + size < address) return CUDA_ERROR_INVALID_VALUE;
  if (flags & CU_MEMHOSTREGISTER_IOMEMORY) return not_supported("cuMemHostRegister of I/O memory");
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (overlaps_registered(address, size)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  MemoryRange range;
  range.base = address;
  range.size = size;
  range.context = current_context();
  range.flags = flags;
  range.registered = true;
  if (share_registered(address, size, flags)) {
    range.kind = MemoryKind::shared;
    range.device_pointer = address;
    add_memory(range);
    return CUDA_SUCCESS;
  }
  CUdeviceptr device_pointer;
  if (CUresult e = remote::nm_host_mirror(address, size, flags, 0, &device_pointer)) return e;
  range.kind = MemoryKind::mirrored;
  range.device_pointer = device_pointer;
  add_memory(range);
  add_mirror(range, false);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemHostRegister(void* p, size_t size, unsigned flags) {
  return cuMemHostRegister_v2(p, size, flags);
}

NM_EXPORT CUresult cuMemHostUnregister(void* p) {
  if (CUresult e = enter()) return e;
  auto range = find_memory(reinterpret_cast<uint64_t>(p));
  if (!range || !range->registered) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  if (CUresult e = after_synchronise()) return e;
  return free_host_memory(range->base);
}

}  // extern "C"
