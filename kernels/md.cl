// variants: sp dp
// MD: the Lennard-Jones force on every atom from its neighbours. Four warps share 32 atoms, each takes every fourth
// neighbour; the neighbour list has atoms side by side, so that a warp reads 32 numbers in a row of it. What takes time
// is fetching the neighbours' positions from all over: each thread has several on their way at once.
#include "dialect.h"
#include "warp.h"

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

// there[k] = position[other[k]]. The cache answers one load of 16 bytes a thread at a time, so there should be few of
// them: in single precision one a position (left to itself, clang makes two, since w is not used); in double precision two
// neighbouring threads fetch the one's position together, then the other's, and exchange halves.
#ifdef __OPENCL_VERSION__
DEVICE void fetch(REAL4* there, GLOBAL const REAL4* position, const int* other, int lane) {
#pragma unroll
  for (int k = 0; k < AHEAD; ++k) there[k] = position[other[k]];
}
#elif defined(REAL_IS_DOUBLE)
DEVICE void fetch(double4* there, const double4* position, const int* other, int lane) {
  const bool odd = lane % 2 != 0;
  const double2* halves = (const double2*)position + odd;
  double2 of_even[AHEAD], of_odd[AHEAD];
#pragma unroll
  for (int k = 0; k < AHEAD; ++k) {
    const int theirs = (int)SHUFFLE_XOR((uint)other[k], 1);
    of_even[k] = halves[2 * (ulong)(odd ? theirs : other[k])];
    of_odd[k] = halves[2 * (ulong)(odd ? other[k] : theirs)];
  }
#pragma unroll
  for (int k = 0; k < AHEAD; ++k) {
    const double x = SHUFFLE_XOR(odd ? of_even[k].x : of_odd[k].x, 1);
    const double y = SHUFFLE_XOR(odd ? of_even[k].y : of_odd[k].y, 1);
    there[k] = odd ? MAKE_DOUBLE4(x, y, of_odd[k].x, 0) : MAKE_DOUBLE4(of_even[k].x, of_even[k].y, x, 0);
  }
}
#else
DEVICE void fetch(float4* there, const float4* position, const int* other, int) {
#pragma unroll
  for (int k = 0; k < AHEAD; ++k) {
    asm("ld.global.nc.v4.f32 {%0, %1, %2, %3}, [%4];"
        : "=f"(there[k].x), "=f"(there[k].y), "=f"(there[k].z), "=f"(there[k].w)
        : "l"(position + other[k]));
  }
}
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
    int other[AHEAD];
    REAL4 there[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; ++k) other[k] = list[(ulong)k * PARTS * n];
    fetch(there, position, other, lane);
    list += (ulong)AHEAD * PARTS * n;
#pragma unroll
    for (int k = 0; k < AHEAD; ++k) {
      const REAL dx = here.x - there[k].x, dy = here.y - there[k].y, dz = here.z - there[k].z;
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
