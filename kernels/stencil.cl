// variants: sp dp
// Stencil2D: every number becomes a weighted sum of itself, its four neighbours and its four diagonal ones.
//
// A row has MARGIN numbers before its first, the last of them the halo, so that the first is aligned for vectors; so
// has it after its last. A thread has four columns and goes down ROWS rows with the sums it needs of three rows in
// registers: each row is loaded once a thread, its left and right neighbours come from the cache.
#include "dialect.h"

#define MARGIN 4
#define ROWS 8

// Of one row, for four columns: the numbers, and the sums of their left and right neighbours.
#define LOAD_ROW(p, own, sides)                                             \
  REAL4 own = *(GLOBAL const REAL4*)(p), sides;                             \
  {                                                                         \
    const REAL left = (p)[-1], right = (p)[4];                              \
    sides = MAKE_REAL4(left + own.y, own.x + own.z, own.y + own.w, own.z + right); \
  }

// n x n numbers, n a multiple of 128 and of 4 * ROWS.
KERNEL void MAX_THREADS_2D(32, 4)
    stencil(GLOBAL const REAL* RESTRICT in, GLOBAL REAL* RESTRICT out, int pitch, REAL center, REAL cardinal, REAL diagonal) {
  const int column = MARGIN + 4 * GLOBAL_X, row = 1 + ROWS * GLOBAL_Y;
  GLOBAL const REAL* from = in + (long)(row - 1) * pitch + column;
  GLOBAL REAL* to = out + (long)row * pitch + column;
  LOAD_ROW(from, above, above_sides)
  from += pitch;
  LOAD_ROW(from, own, own_sides)
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    from += pitch;
    LOAD_ROW(from, below, below_sides)
    const REAL4 straight = above + below + own_sides, slanted = above_sides + below_sides;
    REAL4 sum;
    sum.x = FMA(center, own.x, FMA(cardinal, straight.x, diagonal * slanted.x));
    sum.y = FMA(center, own.y, FMA(cardinal, straight.y, diagonal * slanted.y));
    sum.z = FMA(center, own.z, FMA(cardinal, straight.z, diagonal * slanted.z));
    sum.w = FMA(center, own.w, FMA(cardinal, straight.w, diagonal * slanted.w));
    *(GLOBAL REAL4*)to = sum;
    to += pitch;
    above = own, above_sides = own_sides;
    own = below, own_sides = below_sides;
  }
}
