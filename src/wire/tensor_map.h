// What the client sends to have a tensor map encoded: the arguments of cuTensorMapEncode* in one fixed layout.
#pragma once

#include <cstdint>

namespace nm::wire {

inline constexpr uint32_t kTensorRank = 5;  // no tensor map has more dimensions
inline constexpr uint32_t kTensorMapSize = 128;

enum class TensorMapForm : uint32_t { tiled = 0, im2col = 1, im2col_wide = 2, replace_address = 3 };

struct TensorMapRequest {
  TensorMapForm form;
  uint32_t data_type, rank;
  uint32_t has_strides;  // the pointer was not null
  uint64_t address;
  uint64_t probe;  // a second map is encoded for this address; 0: none
  uint64_t dim[kTensorRank];
  uint64_t strides[kTensorRank];  // rank - 1 are used
  uint32_t box[kTensorRank];      // tiled
  uint32_t element_strides[kTensorRank];
  int32_t lower[kTensorRank], upper[kTensorRank];  // im2col: rank - 2; im2col_wide: one
  uint32_t channels, pixels;                       // im2col
  uint32_t interleave, mode, swizzle, l2_promotion, oob_fill;
  uint32_t reserved;
  uint8_t map[kTensorMapSize];  // replace_address: the map as it is
};
static_assert(sizeof(TensorMapRequest) == 352);

}  // namespace nm::wire
