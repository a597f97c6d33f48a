// Fills. They are posted, so what the driver would refuse at the call is refused here: misaligned and beyond the end.
#include "client/client.h"
#include "client/context.h"
#include "client/host_memory.h"
#include "client/memory.h"
#include "remote.h"

using namespace nm::client;

namespace {

CUresult check(CUdeviceptr dst, size_t pitch, size_t width, size_t height, size_t element) {
  if (CUresult e = enter()) return e;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (dst % element || (height > 1 && (pitch % element || pitch < width * element))) return CUDA_ERROR_INVALID_VALUE;
  if (!width || !height) return CUDA_SUCCESS;
  if (width > SIZE_MAX / element || (height > 1 && pitch > SIZE_MAX / height)) return CUDA_ERROR_INVALID_VALUE;
  size_t size = (height - 1) * pitch + width * element;
  if (CUresult e = check_device_range(dst, size)) return e;
  before_device_access(dst, size);
  return CUDA_SUCCESS;
}

}  // namespace

#define NM_FILL(bits, type)                                                                                           \
  NM_EXPORT CUresult cuMemsetD##bits##_v2(CUdeviceptr dst, type value, size_t n) {                                    \
    if (CUresult e = check(dst, 0, n, 1, sizeof value)) return e;                                                     \
    return n ? remote::cuMemsetD##bits##_v2(dst, value, n) : CUDA_SUCCESS;                                            \
  }                                                                                                                   \
  NM_EXPORT CUresult cuMemsetD##bits##Async(CUdeviceptr dst, type value, size_t n, CUstream stream) {                 \
    if (CUresult e = check(dst, 0, n, 1, sizeof value)) return e;                                                     \
    return n ? remote::cuMemsetD##bits##Async(dst, value, n, stream) : CUDA_SUCCESS;                                  \
  }                                                                                                                   \
  NM_EXPORT CUresult cuMemsetD2D##bits##_v2(CUdeviceptr dst, size_t pitch, type value, size_t width, size_t height) { \
    if (CUresult e = check(dst, pitch, width, height, sizeof value)) return e;                                        \
    return width && height ? remote::cuMemsetD2D##bits##_v2(dst, pitch, value, width, height) : CUDA_SUCCESS;         \
  }                                                                                                                   \
  NM_EXPORT CUresult cuMemsetD2D##bits##Async(CUdeviceptr dst, size_t pitch, type value, size_t width, size_t height, \
                                              CUstream stream) {                                                      \
    if (CUresult e = check(dst, pitch, width, height, sizeof value)) return e;                                        \
    return width && height ? remote::cuMemsetD2D##bits##Async(dst, pitch, value, width, height, stream)               \
                           : CUDA_SUCCESS;                                                                            \
  }

extern "C" {
NM_FILL(8, unsigned char)
NM_FILL(16, unsigned short)
NM_FILL(32, unsigned)
}
