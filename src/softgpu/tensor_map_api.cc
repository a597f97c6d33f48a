// Tensor maps: checked as the hardware would have them, and encoded in a format of this library's own.
#include <cstring>

#include "softgpu/context.h"

using namespace nm::softgpu;

namespace {

constexpr uint32_t kMagic = 0x6d74676e;
constexpr unsigned kMaxRank = 5;

struct Encoded {
  uint32_t magic;
  uint8_t kind, type, rank, interleave, swizzle, promotion, fill, reserved1;
  uint8_t element_strides[kMaxRank];
  uint64_t address;
  uint32_t last[kMaxRank];  // extent - 1
  uint32_t reserved;
  uint64_t strides[kMaxRank - 1];  // bytes
  uint16_t box[kMaxRank];          // of a tiled map
  int16_t lower[3], upper[3];      // corners of an im2col map
  uint16_t channels, pixels;
};
static_assert(sizeof(Encoded) <= sizeof(CUtensorMap));
enum MapKind : uint8_t { kTiled = 1, kIm2col };

unsigned element_size(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
    case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B:
    case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B:
    case CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B:
      return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ:
      return 4;
    case CU_TENSOR_MAP_DATA_TYPE_UINT64:
    case CU_TENSOR_MAP_DATA_TYPE_INT64:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64:
      return 8;
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
}

bool is_integer(CUtensorMapDataType type) {
  return type <= CU_TENSOR_MAP_DATA_TYPE_INT64 || type >= CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B;
}

unsigned swizzle_bytes(CUtensorMapSwizzle swizzle) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE:
      return 0;
    case CU_TENSOR_MAP_SWIZZLE_32B:
      return 32;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      return 64;
    case CU_TENSOR_MAP_SWIZZLE_128B:
    case CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B:
    case CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B_FLIP_8B:
    case CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B:
      return 128;
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
}

// What all kinds of maps share.
Encoded common(MapKind kind, CUtensorMapDataType type, unsigned rank, unsigned least_rank, void* address,
               const uint64_t* dims, const uint64_t* strides, const uint32_t* element_strides,
               CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
               CUtensorMapFloatOOBfill fill) {
  element_size(type);
  require(dims != nullptr && element_strides != nullptr && (rank == 1 || strides != nullptr));
  require(interleave <= CU_TENSOR_MAP_INTERLEAVE_32B && promotion <= CU_TENSOR_MAP_L2_PROMOTION_L2_256B &&
          fill <= CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA);
  require(rank >= (interleave == CU_TENSOR_MAP_INTERLEAVE_NONE ? least_rank : 3) && rank <= kMaxRank);
  require(interleave != CU_TENSOR_MAP_INTERLEAVE_32B || swizzle == CU_TENSOR_MAP_SWIZZLE_32B);
  require(fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE || !is_integer(type));
  const uint64_t align = interleave == CU_TENSOR_MAP_INTERLEAVE_32B ? 32 : 16;
  Encoded map = {};
  map.magic = kMagic;
  map.kind = kind;
  map.type = static_cast<uint8_t>(type);
  map.rank = static_cast<uint8_t>(rank);
  map.interleave = static_cast<uint8_t>(interleave);
  map.swizzle = static_cast<uint8_t>(swizzle);
  map.promotion = static_cast<uint8_t>(promotion);
  map.fill = static_cast<uint8_t>(fill);
  map.address = reinterpret_cast<uint64_t>(address);
  require(map.address != 0 && map.address % align == 0);
  for (unsigned i = 0; i < rank; ++i) {
    require(dims[i] >= 1 && dims[i] <= 1ull << 32);
    require(element_strides[i] >= 1 && element_strides[i] <= 8);
    map.last[i] = static_cast<uint32_t>(dims[i] - 1);
    map.element_strides[i] = static_cast<uint8_t>(element_strides[i]);
  }
  for (unsigned i = 0; i + 1 < rank; ++i) {
    require(strides[i] % align == 0 && strides[i] < 1ull << 40);
    map.strides[i] = strides[i];
  }
  return map;
}

void store(CUtensorMap* out, const Encoded& map) {
  require(out != nullptr && reinterpret_cast<uintptr_t>(out) % 64 == 0);
  std::memset(out, 0, sizeof *out);
  std::memcpy(out, &map, sizeof map);
}

}  // namespace

extern "C" {

CUresult cuTensorMapEncodeTiled(CUtensorMap* tensor_map, CUtensorMapDataType tensor_data_type, unsigned tensor_rank,
                                void* global_address, const uint64_t* global_dim, const uint64_t* global_strides,
                                const uint32_t* box_dim, const uint32_t* element_strides,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion l2_promotion, CUtensorMapFloatOOBfill oob_fill) {
  return in_context([&](ContextCall&) {
    auto map = common(kTiled, tensor_data_type, tensor_rank, 1, global_address, global_dim, global_strides,
                      element_strides, interleave, swizzle, l2_promotion, oob_fill);
    require(box_dim != nullptr);
    for (unsigned i = 0; i < tensor_rank; ++i) {
      require(box_dim[i] >= 1 && box_dim[i] <= 256);
      map.box[i] = static_cast<uint16_t>(box_dim[i]);
    }
    const unsigned inner = box_dim[0] * element_size(tensor_data_type);
    if (interleave == CU_TENSOR_MAP_INTERLEAVE_NONE) {
      require(inner % 16 == 0 && (swizzle_bytes(swizzle) == 0 || inner <= swizzle_bytes(swizzle)));
    }
    store(tensor_map, map);
  });
}

CUresult cuTensorMapEncodeIm2col(CUtensorMap* tensor_map, CUtensorMapDataType tensor_data_type, unsigned tensor_rank,
                                 void* global_address, const uint64_t* global_dim, const uint64_t* global_strides,
                                 const int* pixel_box_lower_corner, const int* pixel_box_upper_corner,
                                 unsigned channels_per_pixel, unsigned pixels_per_column,
                                 const uint32_t* element_strides, CUtensorMapInterleave interleave,
                                 CUtensorMapSwizzle swizzle, CUtensorMapL2promotion l2_promotion,
                                 CUtensorMapFloatOOBfill oob_fill) {
  return in_context([&](ContextCall&) {
    auto map = common(kIm2col, tensor_data_type, tensor_rank, 3, global_address, global_dim, global_strides,
                      element_strides, interleave, swizzle, l2_promotion, oob_fill);
    require(pixel_box_lower_corner != nullptr && pixel_box_upper_corner != nullptr);
    require(channels_per_pixel >= 1 && channels_per_pixel <= 256 && pixels_per_column >= 1 &&
            pixels_per_column <= 1024);
    for (unsigned i = 0; i + 2 < tensor_rank; ++i) {
      const int limit = tensor_rank == 3 ? 1 << 15 : tensor_rank == 4 ? 1 << 7 : 1 << 4;
      for (const int corner : {pixel_box_lower_corner[i], pixel_box_upper_corner[i]}) {
        require(corner >= -limit && corner < limit);
      }
      map.lower[i] = static_cast<int16_t>(pixel_box_lower_corner[i]);
      map.upper[i] = static_cast<int16_t>(pixel_box_upper_corner[i]);
    }
    map.channels = static_cast<uint16_t>(channels_per_pixel);
    map.pixels = static_cast<uint16_t>(pixels_per_column);
    store(tensor_map, map);
  });
}

CUresult cuTensorMapEncodeIm2colWide(CUtensorMap*, CUtensorMapDataType, unsigned, void*, const uint64_t*,
                                     const uint64_t*, int, int, unsigned, unsigned, const uint32_t*,
                                     CUtensorMapInterleave, CUtensorMapIm2ColWideMode, CUtensorMapSwizzle,
                                     CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  return in_context([&](ContextCall&) { fail(CUDA_ERROR_NOT_SUPPORTED); });  // needs compute capability 10
}

CUresult cuTensorMapReplaceAddress(CUtensorMap* tensor_map, void* global_address) {
  return in_context([&](ContextCall&) {
    require(tensor_map != nullptr && reinterpret_cast<uintptr_t>(tensor_map) % 64 == 0);
    Encoded map;
    std::memcpy(&map, tensor_map, sizeof map);
    map.address = reinterpret_cast<uint64_t>(global_address);
    require(map.magic == kMagic && map.address != 0 &&
            map.address % (map.interleave == CU_TENSOR_MAP_INTERLEAVE_32B ? 32 : 16) == 0);
    store(tensor_map, map);
  });
}

}  // extern "C"
