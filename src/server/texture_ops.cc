// Texture and surface objects, and tensor maps: what the driver makes of a description.
#include <cstring>

#include "server/session.h"
#include "server_args.h"
#include "wire/tensor_map.h"

namespace nm::server {
namespace {

// The description holds the client's handle: the driver's goes in its place.
CUresult resolve(args::nm_texture& a) {
  switch (a.resource.resType) {
    case CU_RESOURCE_TYPE_ARRAY:
      a.resource.res.array.hArray = a.array;
      return a.array ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
      a.resource.res.mipmap.hMipmappedArray = a.mipmap;
      return a.mipmap ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
    case CU_RESOURCE_TYPE_LINEAR:
    case CU_RESOURCE_TYPE_PITCH2D:
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult encode(const DriverTable& d, const wire::TensorMapRequest& r, uint64_t at, CUtensorMap* map) {
  void* address = reinterpret_cast<void*>(at);
  auto type = static_cast<CUtensorMapDataType>(r.data_type);
  auto interleave = static_cast<CUtensorMapInterleave>(r.interleave);
  auto swizzle = static_cast<CUtensorMapSwizzle>(r.swizzle);
  auto l2 = static_cast<CUtensorMapL2promotion>(r.l2_promotion);
  auto fill = static_cast<CUtensorMapFloatOOBfill>(r.oob_fill);
  // SAFETY: the driver reads `rank` elements at most, and the arrays have as many as any rank may use.
  auto* dim = r.dim;
  auto* strides = r.has_strides ? r.strides : nullptr;
  switch (r.form) {
    case wire::TensorMapForm::tiled:
      return d.cuTensorMapEncodeTiled ? d.cuTensorMapEncodeTiled(map, type, r.rank, address, dim, strides, r.box,
                                                                 r.element_strides, interleave, swizzle, l2, fill)
                                      : CUDA_ERROR_NOT_SUPPORTED;
    case wire::TensorMapForm::im2col:
      return d.cuTensorMapEncodeIm2col
                 ? d.cuTensorMapEncodeIm2col(map, type, r.rank, address, dim, strides, r.lower, r.upper, r.channels,
                                             r.pixels, r.element_strides, interleave, swizzle, l2, fill)
                 : CUDA_ERROR_NOT_SUPPORTED;
    case wire::TensorMapForm::im2col_wide:
      return d.cuTensorMapEncodeIm2colWide
                 ? d.cuTensorMapEncodeIm2colWide(map, type, r.rank, address, dim, strides, r.lower[0], r.upper[0],
                                                 r.channels, r.pixels, r.element_strides, interleave,
                                                 static_cast<CUtensorMapIm2ColWideMode>(r.mode), swizzle, l2, fill)
                 : CUDA_ERROR_NOT_SUPPORTED;
    case wire::TensorMapForm::replace_address:
      std::memcpy(map, r.map, sizeof *map);
      return d.cuTensorMapReplaceAddress ? d.cuTensorMapReplaceAddress(map, address) : CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

namespace hand {

CUresult nm_texture(Session& s, args::nm_texture& a, outs::nm_texture& o) {
  const DriverTable& d = s.driver();
  if (CUresult e = resolve(a)) return e;
  CUresult result;
  CUtexObject object = 0;
  if (a.surface) {
    result = d.cuSurfObjectCreate ? d.cuSurfObjectCreate(&object, &a.resource) : CUDA_ERROR_NOT_SUPPORTED;
  } else {
    result = d.cuTexObjectCreate ? d.cuTexObjectCreate(&object, &a.resource, a.texture_null ? nullptr : &a.texture,
                                                       a.view_null ? nullptr : &a.view)
                                 : CUDA_ERROR_NOT_SUPPORTED;
  }
  o.object = object;
  return result;
}

CUresult nm_tensor_map(Session& s, args::nm_tensor_map& a, outs::nm_tensor_map& o) {
  wire::TensorMapRequest request;
  if (a.request.size() != sizeof request) return CUDA_ERROR_INVALID_VALUE;
  std::memcpy(&request, a.request.data(), sizeof request);
  if (request.rank > wire::kTensorRank) return CUDA_ERROR_INVALID_VALUE;
  CUtensorMap maps[2] = {};
  static_assert(sizeof maps[0] == wire::kTensorMapSize);
  if (CUresult e = encode(s.driver(), request, request.address, &maps[0])) return e;
  size_t count = 1;
  if (request.probe && encode(s.driver(), request, request.probe, &maps[1]) == CUDA_SUCCESS) count = 2;
  auto* bytes = reinterpret_cast<const uint8_t*>(maps);
  o.maps.assign(bytes, bytes + count * sizeof maps[0]);
  return CUDA_SUCCESS;
}

}  // namespace hand
}  // namespace nm::server
