#include "softgpu/ptx/ops_element.h"

#include <algorithm>

#include "softgpu/ptx/half.h"

namespace nm::softgpu::ptx {

using NM_PTX_ISA::from_bfloat;
using NM_PTX_ISA::from_half;
using NM_PTX_ISA::HalfFormat;

uint32_t parts_of(Type type) {
  switch (type) {
    case Type::s8:
    case Type::u8:
      return 4;
    case Type::f16:
    case Type::bf16:
      return 2;
    default:
      return 1;
  }
}

double element(const Exec& x, const Ref* registers, uint32_t lane, uint32_t i, Type type) {
  if (type == Type::f64) return x.reg<double>(registers[i])[lane];
  if (type == Type::f32) return x.reg<float>(registers[i])[lane];
  if (type == Type::s32) return x.reg<int32_t>(registers[i])[lane];
  if (type == Type::tf32) return __builtin_bit_cast(float, x.reg<uint32_t>(registers[i])[lane] & ~0x1fffu);
  const uint32_t parts = parts_of(type), word = x.reg<uint32_t>(registers[i / parts])[lane];
  if (type == Type::s8) return static_cast<int8_t>(word >> i % 4 * 8);
  if (type == Type::u8) return static_cast<uint8_t>(word >> i % 4 * 8);
  const uint16_t half = static_cast<uint16_t>(i & 1 ? word >> 16 : word);
  return type == Type::f16 ? from_half(half) : from_bfloat(half);
}

void set_elements(Exec& x, const Ref* registers, uint32_t lane, const double* values, uint32_t count, Type type,
                  bool saturate) {
  for (uint32_t i = 0; i < count; ++i) {
    const double v = values[i];
    if (type == Type::f64) {
      x.reg<double>(registers[i])[lane] = v;
    } else if (type == Type::f32) {
      x.reg<float>(registers[i])[lane] = static_cast<float>(v);
    } else if (type == Type::s32) {
      int64_t whole = static_cast<int64_t>(v);
      if (saturate) whole = std::clamp<int64_t>(whole, INT32_MIN, INT32_MAX);
      x.reg<uint32_t>(registers[i])[lane] = static_cast<uint32_t>(whole);
    } else {
      const uint32_t half = NM_PTX_ISA::narrow_float<HalfFormat>(static_cast<float>(v));
      uint32_t& word = x.reg<uint32_t>(registers[i / 2])[lane];
      word = i & 1 ? (word & 0xffff) | half << 16 : (word & 0xffff0000) | half;
    }
  }
}

}  // namespace nm::softgpu::ptx
