// variants: sp dp
// Stencil2D: every number becomes a weighted sum of itself, its four neighbours and its four diagonal ones.
//
// A row has MARGIN numbers before its first and after its last, the nearest of them the halo, so that the first stands
// at the start of a cache line. A thread has four columns and goes down ROWS rows with three of them in registers.
#include "dialect.h"
#include "warp.h"

#define MARGIN 32

// A row's four numbers, and for each the sum of its left and right neighbours.
#define SIDES(own, left, right) MAKE_REAL4(left + own.y, own.x + own.z, own.y + own.w, own.z + right)
#define WEIGHTED(sum, own, own_sides, above, above_sides, below, below_sides)              \
  {                                                                                        \
    const REAL4 straight = above + below + own_sides, slanted = above_sides + below_sides; \
    sum.x = FMA(center, own.x, FMA(cardinal, straight.x, diagonal * slanted.x));           \
    sum.y = FMA(center, own.y, FMA(cardinal, straight.y, diagonal * slanted.y));           \
    sum.z = FMA(center, own.z, FMA(cardinal, straight.z, diagonal * slanted.z));           \
    sum.w = FMA(center, own.w, FMA(cardinal, straight.w, diagonal * slanted.w));           \
  }

// One step. n x n numbers, n a multiple of 128 and of 4 * ROWS. Neighbours to the left and right come from the cache.
#define ROWS 8
KERNEL void MAX_THREADS_2D(32, 4) stencil(GLOBAL const REAL* RESTRICT in, GLOBAL REAL* RESTRICT out, int pitch,
                                          REAL center, REAL cardinal, REAL diagonal) {
  const int column = MARGIN + 4 * GLOBAL_X, row = 1 + ROWS * GLOBAL_Y;
  GLOBAL const REAL* from = in + (long)(row - 1) * pitch + column;
  GLOBAL REAL* to = out + (long)row * pitch + column;
  REAL4 above = *(GLOBAL const REAL4*)from, above_sides = SIDES(above, from[-1], from[4]);
  from += pitch;
  REAL4 own = *(GLOBAL const REAL4*)from, own_sides = SIDES(own, from[-1], from[4]);
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    from += pitch;
    const REAL4 below = *(GLOBAL const REAL4*)from, below_sides = SIDES(below, from[-1], from[4]);
    REAL4 sum;
    WEIGHTED(sum, own, own_sides, above, above_sides, below, below_sides)
    *(GLOBAL REAL4*)to = sum;
    to += pitch;
    above = own, above_sides = own_sides;
    own = below, own_sides = below_sides;
  }
}

#ifndef __OPENCL_VERSION__

// Two steps, with half of the traffic. A warp has 128 columns of which the outer four on both sides are there for the
// inner 120, and goes down STRIP rows, for which it needs two more above and below. Neighbours come from the next lane.
// Beyond the square numbers stay zero. n a multiple of 4 * STRIP.
#define STRIP 32
KERNEL void MAX_THREADS_2D(32, 4) stencil_two(const REAL* RESTRICT in, REAL* RESTRICT out, int n, int pitch,
                                              REAL center, REAL cardinal, REAL diagonal) {
  const int lane = THREAD_X, column = 120 * BLOCK_X - 4 + 4 * lane, top = STRIP * GLOBAL_Y;
  const bool inside = column >= 0 && column < n, writes = inside && lane >= 1 && lane <= 30;
  const REAL* from =
      in + (long)(top - 1) * pitch + MARGIN + column;  // row `top` - 2; row 0 of the square is the second
  REAL* to = out + (long)(top + 1) * pitch + MARGIN + column;
  const REAL4 zero = MAKE_REAL4(0, 0, 0, 0);
  // Before a step: of two rows above the current one. After it: of the two above the one that it gives.
  REAL4 above = zero, above_sides = zero, own = zero, own_sides = zero;
  REAL4 above_after = zero, above_after_sides = zero, own_after = zero, own_after_sides = zero;
#pragma unroll 6
  for (int k = 0; k < STRIP + 4; ++k, from += pitch) {
    const int row = top - 2 + k;
    REAL4 below = zero;
    if (inside && row >= 0 && row < n) below = *(const REAL4*)from;
    REAL left = SHUFFLE_UP(below.w, 1), right = SHUFFLE(below.x, (lane + 1) & 31);
    const REAL4 below_sides = SIDES(below, left, right);
    REAL4 after = zero;
    if (inside && row - 1 >= 0 && row - 1 < n) {
      WEIGHTED(after, own, own_sides, above, above_sides, below, below_sides)
    }
    left = SHUFFLE_UP(after.w, 1), right = SHUFFLE(after.x, (lane + 1) & 31);
    const REAL4 after_sides = SIDES(after, left, right);
    if (k >= 4) {
      REAL4 sum;
      WEIGHTED(sum, own_after, own_after_sides, above_after, above_after_sides, after, after_sides)
      if (writes) *(REAL4*)to = sum;
      to += pitch;
    }
    above = own, above_sides = own_sides, own = below, own_sides = below_sides;
    above_after = own_after, above_after_sides = own_after_sides, own_after = after, own_after_sides = after_sides;
  }
}

#endif
