// variants: sp dp
// MD: the Lennard-Jones force on every atom from its neighbours. Four warps share 32 atoms, each takes every fourth
// neighbour; the neighbour list has atoms side by side, so that a warp reads 32 numbers in a row of it. What takes time
// is fetching the neighbours' positions from all over: each thread has several on their way at once.
#include "dialect.h"

#define ATOMS 32  // a block's
#define PARTS 4   // of an atom's neighbours
#ifdef REAL_IS_DOUBLE
#define AHEAD 4
#else
#define AHEAD 8
#endif

// 1 / x. A quotient that is right to the last bit takes a GPU several times as long as one good to an ulp or two.
#ifdef __OPENCL_VERSION__
#define RECIPROCAL(x) (1 / (x))
#elif defined(REAL_IS_DOUBLE)
DEVICE double nm_reciprocal(double x) {
  // 20 bits, then twice as many with each step.
  double y = __nvvm_rcp_approx_ftz_d(x);
  y = FMA(FMA(-x, y, 1.0), y, y);
  return FMA(FMA(-x, y, 1.0), y, y);
}
#define RECIPROCAL(x) nm_reciprocal(x)
#else
DEVICE float nm_reciprocal(float x) {
  float y;
  asm("rcp.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#define RECIPROCAL(x) nm_reciprocal(x)
#endif

// `count` neighbours of each of n atoms, the j-th of atom i at neighbours[j * n + i]; n a multiple of 32, count of 32.
KERNEL void MAX_THREADS(ATOMS* PARTS) lennard_jones(GLOBAL const REAL4* RESTRICT position,
                                                    GLOBAL const int* RESTRICT neighbours, GLOBAL REAL4* RESTRICT force,
                                                    int n, int count, REAL cutoff2, REAL lj1, REAL lj2) {
  SHARED REAL4 part[(PARTS - 1) * ATOMS];
  const int lane = THREAD_X % ATOMS, warp = THREAD_X / ATOMS;
  const int atom = BLOCK_X * ATOMS + lane;
  const REAL4 here = position[atom];
  REAL x = 0, y = 0, z = 0;
  GLOBAL const int* list = neighbours + (ulong)warp * n + atom;
  for (int j = 0; j < count; j += PARTS * AHEAD) {
    REAL there_x[AHEAD], there_y[AHEAD], there_z[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; ++k) {
      const int other = list[(ulong)k * PARTS * n];
#ifdef REAL_IS_DOUBLE
      // All four numbers would take two loads of 16 bytes; x and y with one, and z alone, ask less of the cache.
      const REAL2 xy = ((GLOBAL const REAL2*)position)[2 * other];
      there_x[k] = xy.x, there_y[k] = xy.y, there_z[k] = ((GLOBAL const REAL*)position)[4 * other + 2];
#else
      const REAL4 there = position[other];
      there_x[k] = there.x, there_y[k] = there.y, there_z[k] = there.z;
#endif
    }
    list += (ulong)AHEAD * PARTS * n;
#pragma unroll
    for (int k = 0; k < AHEAD; ++k) {
      const REAL dx = here.x - there_x[k], dy = here.y - there_y[k], dz = here.z - there_z[k];
      const REAL r2 = FMA(dx, dx, FMA(dy, dy, dz * dz));
      if (r2 < cutoff2) {
        const REAL inverse2 = RECIPROCAL(r2);
        const REAL inverse6 = inverse2 * inverse2 * inverse2;
        const REAL strength = inverse2 * inverse6 * FMA(lj1, inverse6, -lj2);
        x = FMA(dx, strength, x);
        y = FMA(dy, strength, y);
        z = FMA(dz, strength, z);
      }
    }
  }
  if (warp > 0) part[(warp - 1) * ATOMS + lane] = MAKE_REAL4(x, y, z, 0);
  BARRIER();
  if (warp == 0) {
    REAL4 sum = MAKE_REAL4(x, y, z, 0);
#pragma unroll
    for (int p = 0; p < PARTS - 1; ++p) sum += part[p * ATOMS + lane];
    force[atom] = sum;
  }
}
