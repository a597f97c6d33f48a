// Texture and surface objects. The object's number is the driver's own, because kernels are given it; what it was made
// of is kept, because it holds the client's handles.
#include <map>
#include <mutex>

#include "client/client.h"
#include "client/handles.h"
#include "remote.h"

namespace nm::client {
namespace {

std::mutex g_mutex;
using Made = std::map<unsigned long long, CUDA_RESOURCE_DESC>;
Made& made(bool surface) {
  static auto* textures = new Made;
  static auto* surfaces = new Made;
  return surface ? *surfaces : *textures;
}

CUresult create(bool surface, unsigned long long* object, const CUDA_RESOURCE_DESC* resource,
                const CUDA_TEXTURE_DESC* texture, const CUDA_RESOURCE_VIEW_DESC* view) {
  if (CUresult e = enter()) return e;
  if (!object || !resource || (!surface && !texture)) return CUDA_ERROR_INVALID_VALUE;
  CUarray array = nullptr;
  CUmipmappedArray mipmap = nullptr;
  switch (resource->resType) {
    case CU_RESOURCE_TYPE_ARRAY:
      array = resource->res.array.hArray;
      if (check_handle(Kind::array, as_handle(array), true) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_HANDLE;
      break;
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
      mipmap = resource->res.mipmap.hMipmappedArray;
      if (check_handle(Kind::mipmap, as_handle(mipmap), true) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_HANDLE;
      break;
    case CU_RESOURCE_TYPE_LINEAR:
    case CU_RESOURCE_TYPE_PITCH2D:
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  if (surface && resource->resType != CU_RESOURCE_TYPE_ARRAY) return CUDA_ERROR_INVALID_VALUE;
  unsigned long long made_object = 0;
  if (CUresult e = remote::nm_texture(surface, resource, array, mipmap, texture, view, &made_object)) return e;
  std::lock_guard lock(g_mutex);
  made(surface)[made_object] = *resource;
  *object = made_object;
  return CUDA_SUCCESS;
}

CUresult describe(bool surface, CUDA_RESOURCE_DESC* out, unsigned long long object) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard lock(g_mutex);
  auto it = made(surface).find(object);
  if (it == made(surface).end()) return CUDA_ERROR_INVALID_VALUE;
  *out = it->second;
  count_local();
  return CUDA_SUCCESS;
}

// A number that is not one of ours could be anything to the driver, so it does not get that far.
CUresult forget(bool surface, unsigned long long object) {
  if (CUresult e = enter()) return e;
  std::lock_guard lock(g_mutex);
  return made(surface).erase(object) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuTexObjectCreate(CUtexObject* object, const CUDA_RESOURCE_DESC* resource,
                                     const CUDA_TEXTURE_DESC* texture, const CUDA_RESOURCE_VIEW_DESC* view) {
  return create(false, object, resource, texture, view);
}
NM_EXPORT CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC* resource, CUtexObject object) {
  return describe(false, resource, object);
}
NM_EXPORT CUresult cuTexObjectDestroy(CUtexObject object) {
  if (CUresult e = forget(false, object)) return e;
  return remote::cuTexObjectDestroy(object);
}

NM_EXPORT CUresult cuSurfObjectCreate(CUsurfObject* object, const CUDA_RESOURCE_DESC* resource) {
  return create(true, object, resource, nullptr, nullptr);
}
NM_EXPORT CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC* resource, CUsurfObject object) {
  return describe(true, resource, object);
}
NM_EXPORT CUresult cuSurfObjectDestroy(CUsurfObject object) {
  if (CUresult e = forget(true, object)) return e;
  return remote::cuSurfObjectDestroy(object);
}

}  // extern "C"
