// cuMemset*: fills in a stream. They order the stream and do not hold up the host.
#include "softgpu/context.h"
#include "softgpu/copy.h"

using namespace nm::softgpu;

namespace {

CUresult fill(CUdeviceptr dst, size_t pitch, unsigned value, unsigned element, size_t width, size_t height,
              CUstream stream) {
  return in_context([&](ContextCall& c) {
    const auto s = c.stream(stream);
    if (width == 0 || height == 0) return;
    c.enqueue(*s,
              std::make_shared<FillWork>(c.driver, CUDA_MEMSET_NODE_PARAMS{dst, pitch, value, element, width, height}));
  });
}

}  // namespace

extern "C" {

CUresult cuMemsetD8_v2(CUdeviceptr dst, unsigned char v, size_t n) { return fill(dst, 0, v, 1, n, 1, nullptr); }
CUresult cuMemsetD16_v2(CUdeviceptr dst, unsigned short v, size_t n) { return fill(dst, 0, v, 2, n, 1, nullptr); }
CUresult cuMemsetD32_v2(CUdeviceptr dst, unsigned v, size_t n) { return fill(dst, 0, v, 4, n, 1, nullptr); }
CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char v, size_t n, CUstream stream) {
  return fill(dst, 0, v, 1, n, 1, stream);
}
CUresult cuMemsetD16Async(CUdeviceptr dst, unsigned short v, size_t n, CUstream stream) {
  return fill(dst, 0, v, 2, n, 1, stream);
}
CUresult cuMemsetD32Async(CUdeviceptr dst, unsigned v, size_t n, CUstream stream) {
  return fill(dst, 0, v, 4, n, 1, stream);
}

CUresult cuMemsetD2D8_v2(CUdeviceptr dst, size_t pitch, unsigned char v, size_t width, size_t height) {
  return fill(dst, pitch, v, 1, width, height, nullptr);
}
CUresult cuMemsetD2D16_v2(CUdeviceptr dst, size_t pitch, unsigned short v, size_t width, size_t height) {
  return fill(dst, pitch, v, 2, width, height, nullptr);
}
CUresult cuMemsetD2D32_v2(CUdeviceptr dst, size_t pitch, unsigned v, size_t width, size_t height) {
  return fill(dst, pitch, v, 4, width, height, nullptr);
}
CUresult cuMemsetD2D8Async(CUdeviceptr dst, size_t pitch, unsigned char v, size_t width, size_t height,
                           CUstream stream) {
  return fill(dst, pitch, v, 1, width, height, stream);
}
CUresult cuMemsetD2D16Async(CUdeviceptr dst, size_t pitch, unsigned short v, size_t width, size_t height,
                            CUstream stream) {
  return fill(dst, pitch, v, 2, width, height, stream);
}
CUresult cuMemsetD2D32Async(CUdeviceptr dst, size_t pitch, unsigned v, size_t width, size_t height, CUstream stream) {
  return fill(dst, pitch, v, 4, width, height, stream);
}

}  // extern "C"
