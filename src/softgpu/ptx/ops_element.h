// Elements of matrices in the registers of a lane, as numbers.
#pragma once

#include "softgpu/ptx/exec.h"
#include "softgpu/ptx/types.h"

namespace nm::softgpu::ptx {

// Elements in one register.
uint32_t parts_of(Type type);

// What a lane's registers hold at position `i` of its part of a matrix. A double holds all of them exactly.
double element(const Exec& x, const Ref* registers, uint32_t lane, uint32_t i, Type type);

// The other way round, for sums (f16, f32, f64, s32): rounds to nearest; integers wrap, or saturate.
void set_elements(Exec& x, const Ref* registers, uint32_t lane, const double* values, uint32_t count, Type type,
                  bool saturate);

}  // namespace nm::softgpu::ptx
