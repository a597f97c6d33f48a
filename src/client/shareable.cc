// Memory for other processes by way of descriptors. The program gets the driver's own descriptor, passed on by the
// worker over the Unix socket, and gives such descriptors to other programs as it always did.
#include <fcntl.h>

#include "client/call.h"
#include "client/client.h"
#include "client/handles.h"
#include "remote.h"

namespace nm::client {
namespace {

CUresult refuse(const char* function, CUmemAllocationHandleType type) {
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
  return Client::get()->channel().shares_memory() ? CUDA_SUCCESS : not_supported(function);
}

CUresult export_fd(void* out, uint64_t handle, bool is_pool, CUmemAllocationHandleType type, unsigned long long flags) {
  Call call(op::nm_export_fd);
  call.args().u64(handle);
  call.args().u64(is_pool);
  call.args().u64(type);
  call.args().u64(flags);
  if (CUresult e = call.wait()) return e;
  if (call.fds().size() != 1) return call.malformed();
  *static_cast<int*>(out) = call.fds().front().release();
  return CUDA_SUCCESS;
}

CUresult import_fd(Kind kind, void* os_handle, CUmemAllocationHandleType type, unsigned long long flags,
                   uint64_t* out) {
  uint64_t handle = draw_handle(kind);
  Call call(op::nm_import_fd);
  call.args().u64(handle);
  call.args().u64(kind == Kind::pool);
  call.args().u64(type);
  call.args().u64(flags);
  call.pass_fd(static_cast<int>(reinterpret_cast<intptr_t>(os_handle)));
  if (CUresult e = call.wait()) {
    release_handle(kind, handle);
    return e;
  }
  *out = handle;
  return CUDA_SUCCESS;
}

// Passing what is no descriptor would end the connection.
bool is_open(void* os_handle) {
  auto fd = reinterpret_cast<intptr_t>(os_handle);
  return fd >= 0 && fd <= INT32_MAX && fcntl(static_cast<int>(fd), F_GETFD) >= 0;
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;
using nm::Kind;

extern "C" {

NM_EXPORT CUresult cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                                CUmemAllocationHandleType type, unsigned long long flags) {
  if (CUresult e = enter()) return e;
  if (!out || flags) return CUDA_ERROR_INVALID_VALUE;
  if (check_handle(Kind::alloc, handle, true) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e =
          refuse("cuMemExportToShareableHandle to another host (a descriptor needs a server at a Unix socket)", type)) {
    return e;
  }
  return export_fd(out, handle, false, type, flags);
}

NM_EXPORT CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* out, void* os_handle,
                                                  CUmemAllocationHandleType type) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = refuse(
          "cuMemImportFromShareableHandle from another host (a descriptor needs a server at a Unix socket)", type)) {
    return e;
  }
  if (!is_open(os_handle)) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle;
  if (CUresult e = import_fd(Kind::alloc, os_handle, type, 0, &handle)) return e;
  *out = handle;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuMemPoolExportToShareableHandle(void* out, CUmemoryPool pool, CUmemAllocationHandleType type,
                                                    unsigned long long flags) {
  if (CUresult e = enter()) return e;
  if (!out || flags) return CUDA_ERROR_INVALID_VALUE;
  if (check_handle(Kind::pool, as_handle(pool), true) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = refuse(
          "cuMemPoolExportToShareableHandle to another host (a descriptor needs a server at a Unix socket)", type)) {
    return e;
  }
  return export_fd(out, as_handle(pool), true, type, flags);
}

NM_EXPORT CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool* out, void* os_handle,
                                                      CUmemAllocationHandleType type, unsigned long long flags) {
  if (CUresult e = enter()) return e;
  if (!out || flags) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e =
          refuse("cuMemPoolImportFromShareableHandle from another host (a descriptor needs a server at a Unix socket)",
                 type)) {
    return e;
  }
  if (!is_open(os_handle)) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle;
  if (CUresult e = import_fd(Kind::pool, os_handle, type, flags, &handle)) return e;
  *out = from_handle<CUmemoryPool>(handle);
  return CUDA_SUCCESS;
}

}  // extern "C"
