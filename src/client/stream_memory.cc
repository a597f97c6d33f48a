// Writes to and waits for values in memory, in stream order.
#include "client/client.h"
#include "client/context.h"
#include "client/host_memory.h"
#include "client/memory.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr unsigned kMostOperations = 256;
constexpr unsigned kWaitFlags = 0x3 | 1u << 30;  // which comparison, and whether to flush remote writes
constexpr unsigned kWriteFlags = 0x1;            // without a memory barrier

CUresult check_address(CUdeviceptr address, size_t bytes) {
  if (!address || address % bytes) return CUDA_ERROR_INVALID_VALUE;
  return check_device_range(address, bytes);
}

CUresult check_write(CUdeviceptr address, size_t bytes, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (flags & ~kWriteFlags) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check_address(address, bytes)) return e;
  before_device_access(address, bytes);
  return CUDA_SUCCESS;
}

CUresult check_wait(CUdeviceptr address, size_t bytes, unsigned flags) {
  if (CUresult e = enter()) return e;
  if (flags & ~kWaitFlags) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check_address(address, bytes)) return e;
  // What the program writes there later must reach the device while the stream waits: small mirrors are watched.
  auto range = find_memory(address);
  if (range && range->kind == MemoryKind::mirrored) {
    if (!is_watched(range->base)) return not_supported("A stream's wait for a large host range over a network");
    before_device_access(address, bytes);
  }
  return CUDA_SUCCESS;
}

CUresult check(const CUstreamBatchMemOpParams& p) {
  switch (p.operation) {
    case CU_STREAM_MEM_OP_WAIT_VALUE_32:
      return check_wait(p.waitValue.address, 4, p.waitValue.flags);
    case CU_STREAM_MEM_OP_WAIT_VALUE_64:
      return check_wait(p.waitValue.address, 8, p.waitValue.flags);
    case CU_STREAM_MEM_OP_WRITE_VALUE_32:
      return check_write(p.writeValue.address, 4, p.writeValue.flags);
    case CU_STREAM_MEM_OP_WRITE_VALUE_64:
      return check_write(p.writeValue.address, 8, p.writeValue.flags);
    case CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES:
    case CU_STREAM_MEM_OP_BARRIER:
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, unsigned value, unsigned flags) {
  if (CUresult e = check_write(address, 4, flags)) return e;
  return remote::cuStreamWriteValue32_v2(stream, address, value, flags);
}
NM_EXPORT CUresult cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr address, unsigned long long value,
                                           unsigned flags) {
  if (CUresult e = check_write(address, 8, flags)) return e;
  return remote::cuStreamWriteValue64_v2(stream, address, value, flags);
}
NM_EXPORT CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address, unsigned value, unsigned flags) {
  if (CUresult e = check_wait(address, 4, flags)) return e;
  return remote::cuStreamWaitValue32_v2(stream, address, value, flags);
}
NM_EXPORT CUresult cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr address, unsigned long long value,
                                          unsigned flags) {
  if (CUresult e = check_wait(address, 8, flags)) return e;
  return remote::cuStreamWaitValue64_v2(stream, address, value, flags);
}

NM_EXPORT CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr address, unsigned value, unsigned flags) {
  return cuStreamWriteValue32_v2(stream, address, value, flags);
}
NM_EXPORT CUresult cuStreamWriteValue64(CUstream stream, CUdeviceptr address, unsigned long long value,
                                        unsigned flags) {
  return cuStreamWriteValue64_v2(stream, address, value, flags);
}
NM_EXPORT CUresult cuStreamWaitValue32(CUstream stream, CUdeviceptr address, unsigned value, unsigned flags) {
  return cuStreamWaitValue32_v2(stream, address, value, flags);
}
NM_EXPORT CUresult cuStreamWaitValue64(CUstream stream, CUdeviceptr address, unsigned long long value, unsigned flags) {
  return cuStreamWaitValue64_v2(stream, address, value, flags);
}

NM_EXPORT CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned count, CUstreamBatchMemOpParams* operations,
                                         unsigned flags) {
  if (CUresult e = enter()) return e;
  if (!count || count > kMostOperations || !operations || flags) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < count; i++) {
    if (CUresult e = check(operations[i])) return e;
  }
  return remote::cuStreamBatchMemOp_v2(stream, count, operations, flags);
}
NM_EXPORT CUresult cuStreamBatchMemOp(CUstream stream, unsigned count, CUstreamBatchMemOpParams* operations,
                                      unsigned flags) {
  return cuStreamBatchMemOp_v2(stream, count, operations, flags);
}

}  // extern "C"
