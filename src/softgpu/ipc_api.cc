// cuIpc*: memory and events of another process. A handle names the process, its descriptor and the place; it is opened
// through /proc, so the kernel decides who may.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "softgpu/capture.h"
#include "softgpu/event.h"
#include "softgpu/ipc.h"
#include "softgpu/memory.h"
#include "softgpu/shared_event.h"

namespace nm::softgpu {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMemoryMagic = 0x316d6d65676d6d6e;

struct PackedMemory {
  uint64_t magic;
  int32_t pid, fd;
  uint64_t inode;  // a reused descriptor number must not pass for the memory
  uint64_t offset, bytes;
  uint64_t id;  // of the allocation: a second opening finds the first
};
static_assert(sizeof(PackedMemory) <= sizeof(CUipcMemHandle));

}  // namespace

Window::~Window() { munmap(mapping, mapping_bytes); }

std::shared_ptr<Window> map_range(int fd, uint64_t offset, uint64_t bytes) {
  struct stat file;
  if (fstat(fd, &file) != 0 || offset + bytes < bytes || offset + bytes > static_cast<uint64_t>(file.st_size)) {
    return nullptr;
  }
  const uint64_t from = offset & ~(kPage - 1);
  const size_t length = offset + bytes - from;
  void* at = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, static_cast<off_t>(from));
  if (at == MAP_FAILED) return nullptr;
  madvise(at, length, MADV_DONTFORK);
  return std::shared_ptr<Window>(new Window{reinterpret_cast<uint64_t>(at) + (offset - from), at, length});
}

bool is_device_memory(int fd) {
  char link[96] = {};
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (readlink(path.c_str(), link, sizeof link - 1) <= 0) return false;
  const std::string prefix = "/memfd:nearmetal-softgpu-";
  return std::string(link).rfind(prefix, 0) == 0 && std::isdigit(static_cast<unsigned char>(link[prefix.size()]));
}

}  // namespace nm::softgpu

using namespace nm::softgpu;

extern "C" {

CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr dptr) {
  return in_context([&](ContextCall& c) {
    require(handle != nullptr);
    const auto allocation = c.driver.ranges.find(dptr);
    require(allocation && allocation->kind == MemoryKind::device);
    const auto space = std::static_pointer_cast<Device::Space>(allocation->backing);
    struct stat file = {};
    const int fd = space->device->memory_fd();
    require(fstat(fd, &file) == 0, CUDA_ERROR_OPERATING_SYSTEM);
    const PackedMemory packed{kMemoryMagic, getpid(), fd, file.st_ino, space->offset, allocation->size, allocation->id};
    std::memset(handle, 0, sizeof *handle);
    std::memcpy(handle, &packed, sizeof packed);
  });
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* dptr, CUipcMemHandle handle, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(dptr != nullptr && flags == CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
    fail_if_capturing(c.driver);
    PackedMemory packed;
    std::memcpy(&packed, &handle, sizeof packed);
    require(packed.magic == kMemoryMagic);
    require(packed.pid != getpid(), CUDA_ERROR_INVALID_CONTEXT);  // as in CUDA, not in the process it comes from
    // Opened before in this context: the same address, once more to be closed.
    for (const auto& allocation : c.driver.ranges.owned_by(c.context.get())) {
      if (allocation->kind != MemoryKind::ipc || allocation->peer_pid != packed.pid) continue;
      if (allocation->peer_id != packed.id) continue;
      ++allocation->uses;
      *dptr = allocation->begin;
      return;
    }
    char path[48];
    std::snprintf(path, sizeof path, "/proc/%d/fd/%d", packed.pid, packed.fd);
    const nm::Fd fd(open(path, O_RDWR | O_CLOEXEC));
    struct stat file;
    require(fd && is_device_memory(fd.get()) && fstat(fd.get(), &file) == 0 && file.st_ino == packed.inode,
            CUDA_ERROR_INVALID_HANDLE);
    auto window = map_range(fd.get(), packed.offset, packed.bytes);
    require(window != nullptr, CUDA_ERROR_MAP_FAILED);
    auto allocation = new_allocation(c, window->address, packed.bytes, MemoryKind::ipc);
    allocation->peer_pid = packed.pid;
    allocation->peer_id = packed.id;
    allocation->uses = 1;
    allocation->backing = std::move(window);
    *dptr = allocation->begin;
    c.driver.ranges.add(std::move(allocation));
  });
}
CUresult cuIpcOpenMemHandle(CUdeviceptr* pdptr, CUipcMemHandle handle, unsigned flags) {
  return cuIpcOpenMemHandle_v2(pdptr, handle, flags);
}

CUresult cuIpcCloseMemHandle(CUdeviceptr dptr) {
  return in_context([&](ContextCall& c) {
    const auto allocation = c.driver.ranges.at(dptr);
    require(allocation && allocation->kind == MemoryKind::ipc);
    if (--allocation->uses > 0) return;
    quiesce(c);
    c.driver.ranges.remove(*allocation);
  });
}

CUresult cuIpcGetEventHandle(CUipcEventHandle* handle, CUevent event) {
  return in_context([&](ContextCall& c) {
    require(handle != nullptr);
    const auto e = c.driver.handles.get<Event>(event);
    require(e->shared != nullptr, CUDA_ERROR_INVALID_HANDLE);
    e->shared->handle(*handle);
  });
}

CUresult cuIpcOpenEventHandle(CUevent* event, CUipcEventHandle handle) {
  return in_context([&](ContextCall& c) {
    require(event != nullptr);
    auto shared = SharedEvent::open(handle);
    require(shared != nullptr, CUDA_ERROR_INVALID_HANDLE);
    auto object = std::make_shared<Event>(c.context, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING);
    object->shared = std::move(shared);
    *event = handle_of<CUevent>(object.get());
    c.context->own(std::move(object));
  });
}

}  // extern "C"
