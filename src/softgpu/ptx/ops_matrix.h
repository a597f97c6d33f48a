// ldmatrix and mma: small matrix products of a warp. Both are collectives of all 32 lanes.
#pragma once

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

// ldmatrix: results r[0..count), address r[4] + imm; flags 1: transposed. The deposit checks and gathers the rows.
void deposit_rows(Exec& x, const Inst& in);
void finish_rows(Exec& x, const Inst& in);

// mma.m16n8kK: registers in `more`: D, A, B, C. mode: the Type of A and B; size: K; flags 1: D and C are f16.
void deposit_none_matrix(Exec& x, const Inst& in);
void finish_product(Exec& x, const Inst& in);

}  // namespace nm::softgpu::ptx
