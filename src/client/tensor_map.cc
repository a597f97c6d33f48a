// Tensor maps: the driver encodes one of each shape, the rest is made here (tensor_map_cache.h).
#include <string.h>

#include "client/client.h"
#include "client/context.h"
#include "client/tensor_map_cache.h"
#include "remote.h"

namespace nm::client {
namespace {

using wire::TensorMapForm;
using wire::TensorMapRequest;

TensorMapCache& cache() {
  static auto* c = new TensorMapCache;
  return *c;
}

constexpr uint64_t kMapAlignment = 64;  // bytes: where the map itself may lie

// What every form checks first. A wrong rank must not make us read beyond the program's arrays.
CUresult check(const CUtensorMap* map, unsigned rank, const void* dim, const void* strides,
               const void* element_strides) {
  if (CUresult e = enter()) return e;
  if (!map || reinterpret_cast<uint64_t>(map) % kMapAlignment || rank == 0 || rank > wire::kTensorRank || !dim ||
      (rank > 1 && !strides) || !element_strides) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return current_context() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

struct Common {
  CUtensorMapDataType type;
  unsigned rank;
  void* address;
  const uint64_t *dim, *strides;
  const uint32_t* element_strides;
  CUtensorMapInterleave interleave;
  CUtensorMapSwizzle swizzle;
  CUtensorMapL2promotion l2;
  CUtensorMapFloatOOBfill fill;
};

TensorMapRequest request(TensorMapForm form, const Common& c) {
  TensorMapRequest r;
  memset(&r, 0, sizeof r);
  r.form = form;
  r.data_type = c.type;
  r.rank = c.rank;
  r.address = reinterpret_cast<uint64_t>(c.address);
  memcpy(r.dim, c.dim, c.rank * sizeof *c.dim);
  r.has_strides = c.strides != nullptr;
  if (c.strides) memcpy(r.strides, c.strides, (c.rank - 1) * sizeof *c.strides);
  memcpy(r.element_strides, c.element_strides, c.rank * sizeof *c.element_strides);
  r.interleave = c.interleave;
  r.swizzle = c.swizzle;
  r.l2_promotion = c.l2;
  r.oob_fill = c.fill;
  return r;
}

CUresult ask(const TensorMapRequest& r, TensorMapBytes* map, TensorMapBytes* probe, bool* probed) {
  std::vector<uint8_t> maps;
  if (CUresult e = remote::nm_tensor_map(&r, sizeof r, &maps)) return e;
  *probed = maps.size() == 2 * map->size();
  if (maps.size() != map->size() && !*probed) {
    Client::get()->channel().fail("it sent a tensor map of impossible size");
    return CUDA_ERROR_UNKNOWN;
  }
  memcpy(map->data(), maps.data(), map->size());
  if (*probed) memcpy(probe->data(), maps.data() + map->size(), probe->size());
  return CUDA_SUCCESS;
}

CUresult encode(TensorMapRequest r, CUtensorMap* out) {
  TensorMapBytes map, probe;
  if (cache().make(r, &map)) {
    count_local();
  } else {
    r.probe = probe_address(r.address);
    bool probed;
    if (CUresult e = ask(r, &map, &probe, &probed)) return e;
    if (probed) cache().learn(r, map, probe);
  }
  memcpy(out, map.data(), map.size());
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, unsigned rank, void* address,
                                          const uint64_t* dim, const uint64_t* strides, const uint32_t* box,
                                          const uint32_t* element_strides, CUtensorMapInterleave interleave,
                                          CUtensorMapSwizzle swizzle, CUtensorMapL2promotion l2,
                                          CUtensorMapFloatOOBfill fill) {
  if (!box) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check(map, rank, dim, strides, element_strides)) return e;
  auto r = request(TensorMapForm::tiled,
                   {type, rank, address, dim, strides, element_strides, interleave, swizzle, l2, fill});
  memcpy(r.box, box, rank * sizeof *box);
  return encode(r, map);
}

NM_EXPORT CUresult cuTensorMapEncodeIm2col(CUtensorMap* map, CUtensorMapDataType type, unsigned rank, void* address,
                                           const uint64_t* dim, const uint64_t* strides, const int* lower,
                                           const int* upper, unsigned channels, unsigned pixels,
                                           const uint32_t* element_strides, CUtensorMapInterleave interleave,
                                           CUtensorMapSwizzle swizzle, CUtensorMapL2promotion l2,
                                           CUtensorMapFloatOOBfill fill) {
  if (!lower || !upper || rank < 3) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check(map, rank, dim, strides, element_strides)) return e;
  auto r = request(TensorMapForm::im2col,
                   {type, rank, address, dim, strides, element_strides, interleave, swizzle, l2, fill});
  memcpy(r.lower, lower, (rank - 2) * sizeof *lower);
  memcpy(r.upper, upper, (rank - 2) * sizeof *upper);
  r.channels = channels;
  r.pixels = pixels;
  return encode(r, map);
}

NM_EXPORT CUresult cuTensorMapEncodeIm2colWide(CUtensorMap* map, CUtensorMapDataType type, unsigned rank, void* address,
                                               const uint64_t* dim, const uint64_t* strides, int lower, int upper,
                                               unsigned channels, unsigned pixels, const uint32_t* element_strides,
                                               CUtensorMapInterleave interleave, CUtensorMapIm2ColWideMode mode,
                                               CUtensorMapSwizzle swizzle, CUtensorMapL2promotion l2,
                                               CUtensorMapFloatOOBfill fill) {
  if (rank < 3) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = check(map, rank, dim, strides, element_strides)) return e;
  auto r = request(TensorMapForm::im2col_wide,
                   {type, rank, address, dim, strides, element_strides, interleave, swizzle, l2, fill});
  r.lower[0] = lower;
  r.upper[0] = upper;
  r.channels = channels;
  r.pixels = pixels;
  r.mode = mode;
  return encode(r, map);
}

NM_EXPORT CUresult cuTensorMapReplaceAddress(CUtensorMap* map, void* address) {
  if (CUresult e = enter()) return e;
  if (!map || reinterpret_cast<uint64_t>(map) % kMapAlignment) return CUDA_ERROR_INVALID_VALUE;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  TensorMapBytes bytes, unused;
  memcpy(bytes.data(), map, bytes.size());
  if (cache().replace_address(&bytes, reinterpret_cast<uint64_t>(address))) {
    count_local();
  } else {
    TensorMapRequest r;
    memset(&r, 0, sizeof r);
    r.form = TensorMapForm::replace_address;
    r.address = reinterpret_cast<uint64_t>(address);
    memcpy(r.map, map, sizeof r.map);
    bool probed;
    if (CUresult e = ask(r, &bytes, &unused, &probed)) return e;
  }
  memcpy(map, bytes.data(), bytes.size());
  return CUDA_SUCCESS;
}

}  // extern "C"
