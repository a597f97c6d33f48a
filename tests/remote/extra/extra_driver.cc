// A driver with textures and green contexts, which the software GPU lacks: everything else is the software GPU's. It
// draws nothing and reserves nothing; it checks that what reaches it are a driver's handles, not a client's.
#include <cuda_abi.h>
#include <dlfcn.h>

#include <map>
#include <mutex>

namespace {

constexpr unsigned kMultiprocessors = 32;
constexpr auto kSm = static_cast<CUdevResourceType>(1);

struct GreenContext {
  CUdevice device;
  unsigned multiprocessors;
  CUcontext context;  // a context of the software GPU stands for it
};

struct State {
  std::mutex mutex;
  std::map<unsigned long long, CUDA_TEXTURE_DESC> textures;
  std::map<unsigned long long, CUDA_RESOURCE_DESC> surfaces;
  std::map<CUstream, GreenContext*> streams;
  unsigned long long next = 0x7000'0001;
};
State& state() {
  static auto* s = new State;
  return *s;
}

CUdevResource multiprocessors(unsigned count) {
  CUdevResource r{};
  r.type = kSm;
  r.sm.smCount = count;
  return r;
}

CUresult check(const CUDA_RESOURCE_DESC* r) {
  CUDA_ARRAY3D_DESCRIPTOR shape;
  CUarray level;
  switch (r->resType) {
    case CU_RESOURCE_TYPE_ARRAY:
      return cuArray3DGetDescriptor_v2(&shape, r->res.array.hArray);
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
      return cuMipmappedArrayGetLevel(&level, r->res.mipmap.hMipmappedArray, 0);
    default:
      return CUDA_SUCCESS;
  }
}

template <typename F>
F* next(F* function, const char* name) {
  (void)function;
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

GreenContext* of(CUstream stream) {
  std::lock_guard lock(state().mutex);
  auto it = state().streams.find(stream);
  return it == state().streams.end() ? nullptr : it->second;
}

}  // namespace

extern "C" {

CUresult cuTexObjectCreate(CUtexObject* out, const CUDA_RESOURCE_DESC* resource, const CUDA_TEXTURE_DESC* texture,
                           const CUDA_RESOURCE_VIEW_DESC*) {
  if (CUresult e = check(resource)) return e;
  std::lock_guard lock(state().mutex);
  *out = state().next++;
  state().textures[*out] = *texture;
  return CUDA_SUCCESS;
}
CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC* out, unsigned long long object) {
  std::lock_guard lock(state().mutex);
  auto it = state().textures.find(object);
  if (it == state().textures.end()) return CUDA_ERROR_INVALID_VALUE;
  *out = it->second;
  return CUDA_SUCCESS;
}
CUresult cuTexObjectDestroy(unsigned long long object) {
  std::lock_guard lock(state().mutex);
  return state().textures.erase(object) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuSurfObjectCreate(CUsurfObject* out, const CUDA_RESOURCE_DESC* resource) {
  if (CUresult e = check(resource)) return e;
  std::lock_guard lock(state().mutex);
  *out = state().next++;
  state().surfaces[*out] = *resource;
  return CUDA_SUCCESS;
}
CUresult cuSurfObjectDestroy(unsigned long long object) {
  std::lock_guard lock(state().mutex);
  return state().surfaces.erase(object) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetDevResource(CUdevice, CUdevResource* out, CUdevResourceType type) {
  if (type != kSm) return CUDA_ERROR_INVALID_RESOURCE_TYPE;
  *out = multiprocessors(kMultiprocessors);
  return CUDA_SUCCESS;
}
CUresult cuDevSmResourceSplitByCount(CUdevResource* result, unsigned* groups, const CUdevResource* input,
                                     CUdevResource* remaining, unsigned, unsigned min_count) {
  const unsigned most = input->sm.smCount / min_count;
  if (!result) return *groups = most, CUDA_SUCCESS;
  if (*groups > most) *groups = most;
  for (unsigned i = 0; i < *groups; i++) result[i] = multiprocessors(min_count);
  if (remaining) *remaining = multiprocessors(input->sm.smCount - *groups * min_count);
  return CUDA_SUCCESS;
}
CUresult cuDevResourceGenerateDesc(CUdevResourceDesc* desc, CUdevResource* resources, unsigned count) {
  unsigned all = 0;
  for (unsigned i = 0; i < count; i++) all += resources[i].sm.smCount;
  *desc = reinterpret_cast<CUdevResourceDesc>(new unsigned(all));
  return CUDA_SUCCESS;
}
CUresult cuGreenCtxCreate(CUgreenCtx* out, CUdevResourceDesc desc, CUdevice device, unsigned) {
  CUcontext context, popped;
  if (CUresult e = cuCtxCreate_v2(&context, 0, device)) return e;
  cuCtxPopCurrent_v2(&popped);
  *out = reinterpret_cast<CUgreenCtx>(new GreenContext{device, *reinterpret_cast<unsigned*>(desc), context});
  return CUDA_SUCCESS;
}
CUresult cuGreenCtxDestroy(CUgreenCtx green) {
  auto* g = reinterpret_cast<GreenContext*>(green);
  CUresult result = cuCtxDestroy_v2(g->context);
  delete g;
  return result;
}
CUresult cuCtxFromGreenCtx(CUcontext* context, CUgreenCtx green) {
  *context = reinterpret_cast<GreenContext*>(green)->context;
  return CUDA_SUCCESS;
}
CUresult cuGreenCtxGetDevResource(CUgreenCtx green, CUdevResource* out, CUdevResourceType) {
  *out = multiprocessors(reinterpret_cast<GreenContext*>(green)->multiprocessors);
  return CUDA_SUCCESS;
}
CUresult cuGreenCtxStreamCreate(CUstream* stream, CUgreenCtx green, unsigned flags, int priority) {
  auto* g = reinterpret_cast<GreenContext*>(green);
  CUcontext popped;
  cuCtxPushCurrent_v2(g->context);
  CUresult result = cuStreamCreateWithPriority(stream, flags, priority);
  cuCtxPopCurrent_v2(&popped);
  std::lock_guard lock(state().mutex);
  if (result == CUDA_SUCCESS) state().streams[*stream] = g;
  return result;
}
CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
  if (GreenContext* g = of(stream)) return *context = g->context, CUDA_SUCCESS;
  return next(cuStreamGetCtx, "cuStreamGetCtx")(stream, context);
}
CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext* context, CUgreenCtx* green) {
  GreenContext* g = of(stream);
  *green = reinterpret_cast<CUgreenCtx>(g);
  if (!g) return next(cuStreamGetCtx, "cuStreamGetCtx")(stream, context);
  if (CUresult e = cuDevicePrimaryCtxRetain(context, g->device)) return e;
  return cuDevicePrimaryCtxRelease_v2(g->device);
}

}  // extern "C"
