// The launch of CUDA 2 and 3: a function is told its block, its shared memory and its parameters one by one, then run.
// It still works on every driver, and it is the same launch.
#include <string.h>

#include <array>
#include <map>
#include <mutex>
#include <vector>

#include "client/client.h"
#include "client/handles.h"

namespace nm::client {
namespace {

constexpr unsigned kMostParameters = 4096;  // bytes

struct Told {
  std::array<unsigned, 3> block{0, 0, 0};
  unsigned shared = 0;
  unsigned size = 0;  // bytes of parameters
  std::vector<uint8_t> parameters;
};

std::mutex g_mutex;
std::map<uint64_t, Told>& told() {
  static auto* all = new std::map<uint64_t, Told>;
  return *all;
}

template <typename F>
CUresult tell(CUfunction function, F&& what) {
  if (CUresult e = enter()) return e;
  if (CUresult e = check_handle(Kind::function, as_handle(function), true)) return e;
  std::lock_guard lock(g_mutex);
  count_local();
  return what(told()[as_handle(function)]);
}

CUresult put(CUfunction function, int offset, const void* value, unsigned size) {
  if (offset < 0 || !value || size > kMostParameters || static_cast<unsigned>(offset) > kMostParameters - size) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return tell(function, [&](Told& t) {
    if (t.parameters.size() < offset + size) t.parameters.resize(offset + size);
    memcpy(t.parameters.data() + offset, value, size);
    return CUDA_SUCCESS;
  });
}

CUresult launch(CUfunction function, int width, int height, CUstream stream) {
  if (width <= 0 || height <= 0) return CUDA_ERROR_INVALID_VALUE;
  Told t;
  if (CUresult e = tell(function, [&](Told& all) { return t = all, CUDA_SUCCESS; })) return e;
  if (!t.block[0]) return CUDA_ERROR_INVALID_VALUE;
  t.parameters.resize(t.size);
  size_t size = t.size;
  void* extra[] = {reinterpret_cast<void*>(1), t.parameters.data(), reinterpret_cast<void*>(2), &size, nullptr};
  return cuLaunchKernel(function, static_cast<unsigned>(width), static_cast<unsigned>(height), 1, t.block[0],
                        t.block[1], t.block[2], t.shared, stream, nullptr, size ? extra : nullptr);
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuFuncSetBlockShape(CUfunction function, int x, int y, int z) {
  if (x <= 0 || y <= 0 || z <= 0) return CUDA_ERROR_INVALID_VALUE;
  return tell(function, [&](Told& t) {
    t.block = {static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z)};
    return CUDA_SUCCESS;
  });
}

NM_EXPORT CUresult cuFuncSetSharedSize(CUfunction function, unsigned bytes) {
  return tell(function, [&](Told& t) { return t.shared = bytes, CUDA_SUCCESS; });
}

NM_EXPORT CUresult cuParamSetSize(CUfunction function, unsigned bytes) {
  if (bytes > kMostParameters) return CUDA_ERROR_INVALID_VALUE;
  return tell(function, [&](Told& t) { return t.size = bytes, CUDA_SUCCESS; });
}

NM_EXPORT CUresult cuParamSeti(CUfunction function, int offset, unsigned value) {
  return put(function, offset, &value, sizeof value);
}
NM_EXPORT CUresult cuParamSetf(CUfunction function, int offset, float value) {
  return put(function, offset, &value, sizeof value);
}
NM_EXPORT CUresult cuParamSetv(CUfunction function, int offset, void* value, unsigned bytes) {
  return put(function, offset, value, bytes);
}

NM_EXPORT CUresult cuLaunch(CUfunction function) { return launch(function, 1, 1, nullptr); }
NM_EXPORT CUresult cuLaunchGrid(CUfunction function, int width, int height) {
  return launch(function, width, height, nullptr);
}
NM_EXPORT CUresult cuLaunchGridAsync(CUfunction function, int width, int height, CUstream stream) {
  return launch(function, width, height, stream);
}

}  // extern "C"
