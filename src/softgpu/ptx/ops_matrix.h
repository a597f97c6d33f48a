// ldmatrix, stmatrix, movmatrix and mma: small matrix products of a warp. All are collectives of all 32 lanes.
#pragma once

#include "softgpu/ptx/code.h"

namespace nm::softgpu::ptx {

// ldmatrix: results r[0..count), address r[4] + imm; flags 1: transposed. The deposit checks and gathers the rows.
void deposit_rows(Exec& x, const Inst& in);
void finish_rows(Exec& x, const Inst& in);

// stmatrix: sources in `more`, address r[4] + imm; count, flags as above.
void deposit_target_rows(Exec& x, const Inst& in);
void finish_store_rows(Exec& x, const Inst& in);

// movmatrix: r[0] = the transpose of what all lanes' r[1] hold.
void finish_transpose(Exec& x, const Inst& in);

// mma.m16n8kK and m8n8kK: registers in `more`: D, A, B, C. mode: the Type of A; width: that of B; size: K.
enum ProductFlags : uint8_t { kHalfSum = 1, kEightRows = 2, kIntegerSum = 4, kSaturateSum = 8 };
void deposit_none_matrix(Exec& x, const Inst& in);
void finish_product(Exec& x, const Inst& in);

}  // namespace nm::softgpu::ptx
