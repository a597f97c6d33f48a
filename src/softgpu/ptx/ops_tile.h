// wmma: tiles of matrices that a warp holds. Which lane holds what is nobody's business but ours: a tile is its
// elements row by row, `per lane` of them in lane 0, the next in lane 1, and from the start again where lanes are left
// over (the instruction set gives f16 operands twice the registers that they need).
#pragma once

#include "softgpu/ptx/code.h"
#include "softgpu/ptx/types.h"

namespace nm::softgpu::ptx {

// wmma.load and wmma.store. Registers of the tile in `more`, `count` of them; address r[4] + imm; r[1]: elements from
// one row (column) to the next; r[2], r[3]: rows and columns, as numbers. mode: the Type in memory; flags 1: by
// columns.
void load_tile(Exec& x, const Inst& in);
void store_tile(Exec& x, const Inst& in);

// wmma.mma. Registers in `more`: D, A, B, C. r[0], r[1], r[2]: rows of A, columns of B, columns of A, as numbers.
// mode: the Type of A and B; r[3], r[4]: those of C and D; r[6], size, width, r[7]: registers of D, A, B, C; flags 1:
// integers saturate. A collective of all lanes.
void multiply_tiles(Exec& x, const Inst& in);

// Elements of a lane's part, and registers that hold them.
uint32_t tile_elements(Type type, uint32_t registers);

}  // namespace nm::softgpu::ptx
