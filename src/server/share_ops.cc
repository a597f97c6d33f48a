// Memory for other processes: the driver's own descriptors, handed to the client's program and taken from it.
#include <unistd.h>

#include "server/session.h"
#include "server_args.h"

namespace nm::server::hand {

namespace {

bool is_descriptor(uint32_t type) { return type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR; }

}  // namespace

CUresult nm_export_fd(Session& s, args::nm_export_fd& a, outs::nm_export_fd&) {
  const DriverTable& d = s.driver();
  if (!s.connection().passes_fds() || !is_descriptor(a.type)) return CUDA_ERROR_NOT_SUPPORTED;
  auto type = static_cast<CUmemAllocationHandleType>(a.type);
  int fd = -1;
  CUresult result;
  if (a.is_pool) {
    CUmemoryPool pool;
    if (!d.cuMemPoolExportToShareableHandle) return CUDA_ERROR_NOT_SUPPORTED;
    if (!a.handle || !s.tables().pool.find(a.handle, &pool)) return CUDA_ERROR_INVALID_VALUE;
    result = d.cuMemPoolExportToShareableHandle(&fd, pool, type, a.flags);
  } else {
    CUmemGenericAllocationHandle memory;
    if (!d.cuMemExportToShareableHandle) return CUDA_ERROR_NOT_SUPPORTED;
    if (!a.handle || !s.tables().alloc.find(a.handle, &memory)) return CUDA_ERROR_INVALID_VALUE;
    result = d.cuMemExportToShareableHandle(&fd, memory, type, a.flags);
  }
  if (result == CUDA_SUCCESS) s.attach_fd(fd);  // closed here once it has been sent
  return result;
}

CUresult nm_import_fd(Session& s, args::nm_import_fd& a, outs::nm_import_fd&) {
  const DriverTable& d = s.driver();
  Fd fd = s.connection().take_fd();
  if (!is_descriptor(a.type)) return CUDA_ERROR_NOT_SUPPORTED;
  if (!fd) return CUDA_ERROR_INVALID_VALUE;
  auto type = static_cast<CUmemAllocationHandleType>(a.type);
  void* descriptor = reinterpret_cast<void*>(static_cast<uintptr_t>(fd.get()));
  if (a.is_pool) {
    CUmemoryPool pool;
    if (!d.cuMemPoolImportFromShareableHandle) return CUDA_ERROR_NOT_SUPPORTED;
    if (!s.tables().pool.free_slot(a.handle)) return CUDA_ERROR_INVALID_VALUE;
    if (CUresult e = d.cuMemPoolImportFromShareableHandle(&pool, descriptor, type, a.flags)) return e;
    s.tables().pool.bind(a.handle, pool);
    return CUDA_SUCCESS;
  }
  CUmemGenericAllocationHandle memory;
  if (!d.cuMemImportFromShareableHandle) return CUDA_ERROR_NOT_SUPPORTED;
  if (!s.tables().alloc.free_slot(a.handle)) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = d.cuMemImportFromShareableHandle(&memory, descriptor, type)) return e;
  s.tables().alloc.bind(a.handle, memory);
  return CUDA_SUCCESS;
}

}  // namespace nm::server::hand
