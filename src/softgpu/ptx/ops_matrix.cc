#include "softgpu/ptx/ops_matrix.h"

#include "softgpu/ptx/address.h"
#include "softgpu/ptx/ops_element.h"

namespace nm::softgpu::ptx {
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

void deposit_target_rows(Exec& x, const Inst& in) {
  const uint32_t everyone = x.mask;
  x.mask &= in.count == 4 ? kAllLanes : (1u << in.count * 8) - 1;
  if (x.mask != 0 && NM_PTX_ISA::addresses(x, in, in.r[4], 16, true)) {
    for (uint32_t m = x.mask; m; m &= m - 1) {
      const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
      x.source[0][lane] = x.address[lane];
    }
  }
  x.mask = everyone;
}

void finish_store_rows(Exec& x, const Inst& in) {
  if (x.fault != Fault::none) return;
  for (uint32_t matrix = 0; matrix < in.count; ++matrix) {
    const uint32_t* from = x.reg<uint32_t>(in.more[matrix]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      for (uint32_t j = 0; j < 2; ++j) {
        const uint32_t row = in.flags & 1 ? lane % 4 * 2 + j : lane / 4,
                       column = in.flags & 1 ? lane / 4 : lane % 4 * 2 + j;
        const uint16_t half = static_cast<uint16_t>(from[lane] >> j * 16);
        std::memcpy(reinterpret_cast<char*>(x.source[0][matrix * 8 + row]) + column * 2, &half, 2);
      }
    }
  }
}

void finish_transpose(Exec& x, const Inst& in) {
  const uint32_t* from = x.reg<uint32_t>(in.r[1]);
  uint32_t result[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    result[lane] = 0;
    for (uint32_t j = 0; j < 2; ++j) {
      const uint32_t row = lane % 4 * 2 + j, column = lane / 4;  // of the source
      const uint32_t half = from[row * 4 + column / 2] >> column % 2 * 16 & 0xffff;
      result[lane] |= half << j * 16;
    }
  }
  uint32_t* d = x.reg<uint32_t>(in.r[0]);
  for (uint32_t m = x.mask; m; m &= m - 1) d[std::countr_zero(m)] = result[std::countr_zero(m)];
}

void deposit_none_matrix(Exec&, const Inst&) {}

void finish_product(Exec& x, const Inst& in) {
  const Type a_type = static_cast<Type>(in.mode), b_type = static_cast<Type>(in.width);
  const Type c_type = in.flags & kHalfSum      ? Type::f16
                      : in.flags & kIntegerSum ? Type::s32
                      : a_type == Type::f64    ? Type::f64
                                               : Type::f32;
  const uint32_t k = in.size, parts = parts_of(a_type), halves = in.flags & kEightRows ? 1 : 2;
  const uint32_t sums_a_lane = 2 * halves, c_registers = sums_a_lane / parts_of(c_type),
                 a_registers = 8 * halves * k / kLanes / parts, b_registers = 8 * k / kLanes / parts;
  const Ref* d = in.more;
  const Ref* a = d + c_registers;
  const Ref* b = a + a_registers;
  const Ref* c = b + b_registers;
  double left[16][32], right[32][8];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t group = lane / 4, at = lane % 4;
    // Positions go through the rows of a quadrant of the matrix first, then through its quadrants: down, then right.
    for (uint32_t i = 0; i < a_registers * parts; ++i) {
      const uint32_t quadrant = i / parts;
      left[group + quadrant % halves * 8][at * parts + i % parts + quadrant / halves * 4 * parts] =
          element(x, a, lane, i, a_type);
    }
    for (uint32_t i = 0; i < b_registers * parts; ++i) {
      right[at * parts + i % parts + i / parts * 4 * parts][group] = element(x, b, lane, i, b_type);
    }
  }
  double sums[4][kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t i = 0; i < sums_a_lane; ++i) {
      const uint32_t row = lane / 4 + (i >> 1) * 8, column = lane % 4 * 2 + (i & 1);
      double sum = element(x, c, lane, i, c_type);
      for (uint32_t j = 0; j < k; ++j) sum += left[row][j] * right[j][column];
      sums[i][lane] = sum;
    }
  }
  for (uint32_t m = x.mask; m; m &= m - 1) {
    const uint32_t lane = static_cast<uint32_t>(std::countr_zero(m));
    double mine[4];
    for (uint32_t i = 0; i < sums_a_lane; ++i) mine[i] = sums[i][lane];
    set_elements(x, d, lane, mine, sums_a_lane, c_type, (in.flags & kSaturateSum) != 0);
  }
}

}  // namespace nm::softgpu::ptx
