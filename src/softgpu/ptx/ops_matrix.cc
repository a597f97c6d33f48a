#include "softgpu/ptx/ops_matrix.h"

#include "softgpu/ptx/address.h"
#include "softgpu/ptx/half.h"

namespace nm::softgpu::ptx {
namespace {

using NM_PTX_ISA::from_bfloat;
using NM_PTX_ISA::from_half;
using NM_PTX_ISA::HalfFormat;

// What a lane's 32-bit register holds at position `i` of its part of a matrix, as a number.
float element(const Exec& x, const Ref* registers, uint32_t lane, uint32_t i, Type type) {
  if (type == Type::tf32) return __builtin_bit_cast(float, x.reg<uint32_t>(registers[i])[lane] & ~0x1fffu);
  const uint32_t word = x.reg<uint32_t>(registers[i / 2])[lane];
  const uint16_t half = static_cast<uint16_t>(i & 1 ? word >> 16 : word);
  return type == Type::f16 ? from_half(half) : from_bfloat(half);
}

}  // namespace

void deposit_rows(Exec& x, const Inst& in) {
  const uint32_t everyone = x.mask;
  const uint32_t lanes = in.count == 4 ? kAllLanes : (1u << in.count * 8) - 1;
  x.mask &= lanes;
  if (x.mask != 0 && NM_PTX_ISA::addresses(x, in, in.r[4], 16, false)) {
    for (uint32_t m = x.mask; m; m &= m - 1) {
      const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
      x.source[0][lane] = x.address[lane];
    }
  }
  x.mask = everyone;
}

void finish_rows(Exec& x, const Inst& in) {
  if (x.fault != Fault::none) return;
  uint32_t result[4][kLanes];
  for (uint32_t matrix = 0; matrix < in.count; ++matrix) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      uint16_t pair[2];
      for (uint32_t j = 0; j < 2; ++j) {
        const uint32_t row = in.flags & 1 ? lane % 4 * 2 + j : lane / 4,
                       column = in.flags & 1 ? lane / 4 : lane % 4 * 2 + j;
        std::memcpy(&pair[j], reinterpret_cast<const char*>(x.source[0][matrix * 8 + row]) + column * 2, 2);
      }
      result[matrix][lane] = pair[0] | static_cast<uint32_t>(pair[1]) << 16;
    }
  }
  for (uint32_t matrix = 0; matrix < in.count; ++matrix) {
    uint32_t* d = x.reg<uint32_t>(in.r[matrix]);
    for (uint32_t m = x.mask; m; m &= m - 1) d[std::countr_zero(m)] = result[matrix][std::countr_zero(m)];
  }
}

void deposit_none_matrix(Exec&, const Inst&) {}

void finish_product(Exec& x, const Inst& in) {
  const Type type = static_cast<Type>(in.mode);
  const uint32_t k = in.size, parts = type == Type::tf32 ? 1 : 2;  // elements a register
  const bool half = in.flags & 1;
  const uint32_t c_registers = half ? 2 : 4, a_registers = 16 * k / kLanes / parts,
                 b_registers = 8 * k / kLanes / parts;
  const Ref* d = in.more;
  const Ref* a = d + c_registers;
  const Ref* b = a + a_registers;
  const Ref* c = b + b_registers;
  float left[16][16], right[16][8];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t group = lane / 4, at = lane % 4;
    // Positions go through the rows of a quadrant of the matrix first, then through its quadrants: down, then right.
    for (uint32_t i = 0; i < a_registers * parts; ++i) {
      const uint32_t quadrant = i / parts;
      left[group + (quadrant & 1) * 8][at * parts + i % parts + (quadrant >> 1) * 4 * parts] =
          element(x, a, lane, i, type);
    }
    for (uint32_t i = 0; i < b_registers * parts; ++i) {
      right[at * parts + i % parts + i / parts * 4 * parts][group] = element(x, b, lane, i, type);
    }
  }
  float sums[4][kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t row = lane / 4 + (i >> 1) * 8, column = lane % 4 * 2 + (i & 1);
      double sum = half ? element(x, c, lane, i, Type::f16) : x.reg<float>(c[i])[lane];
      for (uint32_t j = 0; j < k; ++j) sum += static_cast<double>(left[row][j]) * right[j][column];
      sums[i][lane] = static_cast<float>(sum);
    }
  }
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
    for (uint32_t i = 0; i < c_registers; ++i) {
      if (!half) {
        x.reg<float>(d[i])[lane] = sums[i][lane];
        continue;
      }
      const uint32_t low = NM_PTX_ISA::narrow_float<HalfFormat>(sums[i * 2][lane]);
      x.reg<uint32_t>(d[i])[lane] =
          low | static_cast<uint32_t>(NM_PTX_ISA::narrow_float<HalfFormat>(sums[i * 2 + 1][lane])) << 16;
    }
  }
}

}  // namespace nm::softgpu::ptx
