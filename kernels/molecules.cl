// variants: sp
// MolecularDynamics: forces between molecules of three atoms. Atom 3 m of molecule m is its centre and has a
// Lennard-Jones shell, all atoms have charges. Charges act over any distance: near ones by erfc(alpha r) / r from a
// list of neighbours, the smooth rest on a grid (particle-mesh Ewald, cubic splines), by Fourier transforms.
//
// An atom is (x, y, z, charge) with 0 <= x, y, z < box; a force (fx, fy, fz, its share of the energy).
#include "dialect.h"

// Forces in single precision need no function to its last place.
#ifdef __OPENCL_VERSION__
#define QUICK_RSQRT(x) rsqrt(x)
#define QUICK_EXP(x) exp(x)
#define QUICK_INVERSE(x) (1.0f / (x))
#else
#pragma clang fp contract(fast)
DEVICE float quick_rsqrt(float x) {
  float y;
  __asm__("rsqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
DEVICE float quick_exp(float x) {
  float y;
  __asm__("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x * 1.44269504f));
  return y;
}
DEVICE float quick_inverse(float x) {
  float y;
  __asm__("rcp.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#define QUICK_RSQRT(x) quick_rsqrt(x)
#define QUICK_EXP(x) quick_exp(x)
#define QUICK_INVERSE(x) quick_inverse(x)
#endif

// The nearest image's difference.
DEVICE float nearest(float d, float box) {
  const float half_box = 0.5f * box;
  d = d > half_box ? d - box : d;
  return d < -half_box ? d + box : d;
}

DEVICE int cell_along(float x, float scale, int side) {
  const int c = (int)(x * scale);
  return c < side ? c : side - 1;
}

#define THREADS 128

// Every atom goes to its cell. `counts` is zero before; it counts also what has no room.
KERNEL void MAX_THREADS(THREADS)
    bin(GLOBAL const float4* RESTRICT atoms, GLOBAL int* RESTRICT counts, GLOBAL int* RESTRICT cells,
        GLOBAL int* RESTRICT overflow, int n, int side, int capacity, float scale) {
  const int i = GLOBAL_X;
  if (i >= n) return;
  const float4 a = atoms[i];
  const int cell =
      cell_along(a.x, scale, side) + side * (cell_along(a.y, scale, side) + side * cell_along(a.z, scale, side));
  const int slot = ATOMIC_ADD_INT(&counts[cell], 1);
  if (slot < capacity) {
    cells[cell * capacity + slot] = i;
  } else {
    overflow[0] = 1;
  }
}

#define LANES 8
#define PER_BLOCK (THREADS / LANES)

// The list of one share's atoms, first to first + own: all other molecules' atoms that are nearer than `reach`. The
// lanes of an atom look at neighbouring entries of a cell and count together.
KERNEL void MAX_THREADS(THREADS)
    neighbours(GLOBAL const float4* RESTRICT atoms, GLOBAL const int* RESTRICT counts, GLOBAL const int* RESTRICT cells,
               GLOBAL int* RESTRICT list, GLOBAL int* RESTRICT lengths, GLOBAL int* RESTRICT overflow, int first,
               int own, int side, int cell_capacity, int capacity, float scale, float box, float reach_squared) {
  SHARED int found[PER_BLOCK];
  const int lane = THREAD_X % LANES, row = THREAD_X / LANES;
  const int local_atom = BLOCK_X * PER_BLOCK + row;
  if (lane == 0) found[row] = 0;
  BARRIER();
  if (local_atom < own) {
    const int i = first + local_atom;
    const float4 a = atoms[i];
    const int cx = cell_along(a.x, scale, side), cy = cell_along(a.y, scale, side), cz = cell_along(a.z, scale, side);
    for (int neighbour = 0; neighbour < 27; ++neighbour) {
      const int x = (cx + neighbour % 3 + side - 1) % side;
      const int y = (cy + neighbour / 3 % 3 + side - 1) % side;
      const int z = (cz + neighbour / 9 + side - 1) % side;
      const int cell = x + side * (y + side * z);
      const int filled = counts[cell] < cell_capacity ? counts[cell] : cell_capacity;
      for (int s = lane; s < filled; s += LANES) {
        const int j = cells[cell * cell_capacity + s];
        const float4 b = atoms[j];
        const float dx = nearest(a.x - b.x, box), dy = nearest(a.y - b.y, box), dz = nearest(a.z - b.z, box);
        if (dx * dx + dy * dy + dz * dz < reach_squared && j / 3 != i / 3) {
          const int slot = ATOMIC_ADD_INT(&found[row], 1);
          if (slot < capacity) list[(ulong)local_atom * capacity + slot] = j;
        }
      }
    }
  }
  BARRIER();
  if (local_atom < own && lane == 0) {
    lengths[local_atom] = found[row] < capacity ? found[row] : capacity;
    if (found[row] > capacity) overflow[0] = 1;
  }
}

// Forces of the near atoms. The shell's force is shifted so that it ends at the cutoff without a step.
KERNEL void MAX_THREADS(THREADS)
    pairs(GLOBAL const float4* RESTRICT atoms, GLOBAL const int* RESTRICT list, GLOBAL const int* RESTRICT lengths,
          GLOBAL float4* RESTRICT forces, int first, int own, int capacity, float box, float cutoff_squared,
          float coulomb, float alpha, float four_epsilon, float sigma_squared, float shift_energy, float shift_force) {
  SHARED float4 parts[THREADS];
  const int lane = THREAD_X % LANES, local_atom = BLOCK_X * PER_BLOCK + THREAD_X / LANES;
  float fx = 0.0f, fy = 0.0f, fz = 0.0f, energy = 0.0f;
  if (local_atom < own) {
    const int i = first + local_atom;
    const float4 a = atoms[i];
    const float charge = coulomb * a.w;
    const int centre = i % 3 == 0;
    const int length = lengths[local_atom];
    GLOBAL const int* row = list + (ulong)local_atom * capacity;
    for (int s = lane; s < length; s += LANES) {
      const int j = row[s];
      const float4 b = atoms[j];
      const float dx = nearest(a.x - b.x, box), dy = nearest(a.y - b.y, box), dz = nearest(a.z - b.z, box);
      const float square = dx * dx + dy * dy + dz * dz;
      if (square < cutoff_squared) {
        const float inverse = QUICK_RSQRT(square), r = square * inverse, x = alpha * r;
        // erfc to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
        const float bell = QUICK_EXP(-x * x), t = QUICK_INVERSE(1.0f + 0.3275911f * x);
        const float tail =
            t * bell *
            (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
        const float product = charge * b.w;
        energy += product * tail * inverse;
        float pull = product * (tail * inverse + 1.128379167f * alpha * bell) * inverse;
        if (centre && j % 3 == 0) {
          const float ratio = sigma_squared * inverse * inverse;
          const float sixth = ratio * ratio * ratio;
          energy += four_epsilon * (sixth * sixth - sixth) - shift_energy + shift_force * r;
          pull += four_epsilon * (12.0f * sixth * sixth - 6.0f * sixth) * inverse - shift_force;
        }
        pull *= inverse;
        fx += pull * dx;
        fy += pull * dy;
        fz += pull * dz;
      }
    }
  }
  parts[THREAD_X] = MAKE_FLOAT4(fx, fy, fz, 0.5f * energy);
  BARRIER();
  for (int step = LANES / 2; step > 0; step /= 2) {
    if (lane < step) parts[THREAD_X] += parts[THREAD_X + step];
    BARRIER();
  }
  if (lane == 0 && local_atom < own) forces[local_atom] = parts[THREAD_X];
}

// Charges on the grid are whole numbers of 2^-24: sums do not depend on their order.
#define CHARGE_UNITS 16777216.0f

// Cubic splines about a point f of the way between two grid points, of the points from three below on.
#define SPLINE(w, f)                                                   \
  w[0] = (1.0f - f) * (1.0f - f) * (1.0f - f) * (1.0f / 6.0f);         \
  w[1] = (4.0f + f * f * (3.0f * f - 6.0f)) * (1.0f / 6.0f);           \
  w[2] = (1.0f + f * (3.0f + f * (3.0f - 3.0f * f))) * (1.0f / 6.0f);  \
  w[3] = f * f * f * (1.0f / 6.0f)
#define SPLINE_SLOPE(w, f)                \
  w[0] = -0.5f * (1.0f - f) * (1.0f - f); \
  w[1] = f * (1.5f * f - 2.0f);           \
  w[2] = 0.5f + f * (1.0f - 1.5f * f);    \
  w[3] = 0.5f * f * f

// Four threads an atom, one for each plane of its points. `points` is a power of two.
KERNEL void MAX_THREADS(THREADS)
    spread(GLOBAL const float4* RESTRICT atoms, GLOBAL int* RESTRICT grid, int n, int points, float scale) {
  const int i = GLOBAL_X / 4, plane = GLOBAL_X % 4;
  if (i >= n) return;
  const float4 a = atoms[i];
  const float ux = a.x * scale, uy = a.y * scale, uz = a.z * scale;
  const int kx = (int)ux, ky = (int)uy, kz = (int)uz;
  const float gx = ux - (float)kx, gy = uy - (float)ky, gz = uz - (float)kz;
  float wx[4], wy[4], wz[4];
  SPLINE(wx, gx);
  SPLINE(wy, gy);
  SPLINE(wz, gz);
  const float mine = CHARGE_UNITS * a.w * (plane == 0 ? wz[0] : plane == 1 ? wz[1] : plane == 2 ? wz[2] : wz[3]);
  const int mask = points - 1;
  const int z = (kz + plane - 3) & mask;
#pragma unroll
  for (int y = 0; y < 4; ++y) {
    const int row = (z * points + ((ky + y - 3) & mask)) * points;
#pragma unroll
    for (int x = 0; x < 4; ++x) {
      const float units = mine * wy[y] * wx[x];
      ATOMIC_ADD_INT(&grid[row + ((kx + x - 3) & mask)], (int)(units + (units < 0.0f ? -0.5f : 0.5f)));
    }
  }
}

KERNEL void MAX_THREADS(THREADS)
    interpolate(GLOBAL const float4* RESTRICT atoms, GLOBAL const float* RESTRICT potential,
                GLOBAL float4* RESTRICT forces, int n, int points, float scale) {
  const int i = GLOBAL_X;
  if (i >= n) return;
  const float4 a = atoms[i];
  const float ux = a.x * scale, uy = a.y * scale, uz = a.z * scale;
  const int kx = (int)ux, ky = (int)uy, kz = (int)uz;
  const float gx = ux - (float)kx, gy = uy - (float)ky, gz = uz - (float)kz;
  float wx[4], wy[4], wz[4], sx[4], sy[4], sz[4];
  SPLINE(wx, gx);
  SPLINE(wy, gy);
  SPLINE(wz, gz);
  SPLINE_SLOPE(sx, gx);
  SPLINE_SLOPE(sy, gy);
  SPLINE_SLOPE(sz, gz);
  const int mask = points - 1;
  float here = 0.0f, ex = 0.0f, ey = 0.0f, ez = 0.0f;
#pragma unroll
  for (int z = 0; z < 4; ++z) {
#pragma unroll
    for (int y = 0; y < 4; ++y) {
      const int row = (((kz + z - 3) & mask) * points + ((ky + y - 3) & mask)) * points;
      float along = 0.0f, slope = 0.0f;
#pragma unroll
      for (int x = 0; x < 4; ++x) {
        const float p = potential[row + ((kx + x - 3) & mask)];
        along += wx[x] * p;
        slope += sx[x] * p;
      }
      here += wz[z] * wy[y] * along;
      ex += wz[z] * wy[y] * slope;
      ey += wz[z] * sy[y] * along;
      ez += sz[z] * wy[y] * along;
    }
  }
  const float push = -a.w * scale;
  forces[i] = MAKE_FLOAT4(push * ex, push * ey, push * ez, 0.5f * a.w * here);
}

// Fourier transforms of whole lines of the grid in shared memory, several neighbouring lines a block. A grid has
// 1 << bits points a side.
#define LINES 8
#define LONGEST 128

// A line has one more place than points, so that lines begin in different banks.
#define SHARED_LINES SHARED float2 a[2][LINES][LONGEST + 1]

// The work of a thread, one of `points` places of one of LINES lines after the other: along a line first, or across.
#define FOR_ALONG(line, at) \
  for (int w = THREAD_X, line = w >> bits, at = w & (points - 1); w < LINES << bits; \
       w += THREADS, line = w >> bits, at = w & (points - 1))
#define FOR_ACROSS(line, at)                                                     \
  for (int w = THREAD_X, line = w % LINES, at = w / LINES; w < LINES << bits; \
       w += THREADS, line = w % LINES, at = w / LINES)

// Radix 2, in natural order at both ends (Stockham), from a[turned] to a[1 - turned] and back, `bits` times; turned says
// at the end where the result is. `turn` has the half circle exp(-2 pi i k / points).
#define TRANSFORM(sign)                                                         \
  for (int stage = 0; stage < bits; ++stage) {                                  \
    for (int w = THREAD_X; w < LINES << (bits - 1); w += THREADS) {             \
      const int line = w >> (bits - 1), j = w & ((points >> 1) - 1);            \
      const int k = j & ((1 << stage) - 1);                                     \
      const float2 factor = turn[k << (bits - 1 - stage)];                      \
      const float2 p = a[turned][line][j], q = a[turned][line][j + (points >> 1)];  \
      const float re = q.x * factor.x - (sign) * q.y * factor.y;                \
      const float im = q.y * factor.x + (sign) * q.x * factor.y;                \
      const int to = 2 * j - k;                                                 \
      a[1 - turned][line][to] = MAKE_FLOAT2(p.x + re, p.y + im);                  \
      a[1 - turned][line][to + (1 << stage)] = MAKE_FLOAT2(p.x - re, p.y - im);   \
    }                                                                           \
    turned = 1 - turned;                                                            \
    BARRIER();                                                                  \
  }

// Lines along x, from charges: BLOCK_X * LINES is the first line.
KERNEL void MAX_THREADS(THREADS)
    from_charges(GLOBAL const int* RESTRICT grid, GLOBAL float2* RESTRICT field, GLOBAL const float2* RESTRICT turn,
                 int bits) {
  SHARED_LINES;
  const int points = 1 << bits, base = BLOCK_X * LINES << bits;
  int turned = 0;
  FOR_ALONG(line, at) a[0][line][at] = MAKE_FLOAT2((float)grid[base + w] * (1.0f / CHARGE_UNITS), 0.0f);
  BARRIER();
  TRANSFORM(1.0f);
  FOR_ALONG(line, at) field[base + w] = a[turned][line][at];
}

// Back along x, to real numbers.
KERNEL void MAX_THREADS(THREADS)
    to_potential(GLOBAL const float2* RESTRICT field, GLOBAL float* RESTRICT potential,
                 GLOBAL const float2* RESTRICT turn, int bits) {
  SHARED_LINES;
  const int points = 1 << bits, base = BLOCK_X * LINES << bits;
  int turned = 0;
  FOR_ALONG(line, at) a[0][line][at] = field[base + w];
  BARRIER();
  TRANSFORM(-1.0f);
  FOR_ALONG(line, at) potential[base + w] = a[turned][line][at].x;
}

// Lines along y, in place. A block has neighbours in x: BLOCK_X counts them within a plane, BLOCK_Y planes.
KERNEL void MAX_THREADS(THREADS)
    along_y(GLOBAL float2* RESTRICT field, GLOBAL const float2* RESTRICT turn, int bits, float sign) {
  SHARED_LINES;
  const int points = 1 << bits;
  int turned = 0;
  GLOBAL float2* from = field + (BLOCK_Y << 2 * bits) + BLOCK_X * LINES;
  FOR_ACROSS(line, at) a[0][line][at] = from[(at << bits) + line];
  BARRIER();
  TRANSFORM(sign);
  FOR_ACROSS(line, at) from[(at << bits) + line] = a[turned][line][at];
}

// Lines along z: there, times the influence of every wave, and back.
KERNEL void MAX_THREADS(THREADS)
    solve(GLOBAL float2* RESTRICT field, GLOBAL const float* RESTRICT influence, GLOBAL const float2* RESTRICT turn,
          int bits) {
  SHARED_LINES;
  const int points = 1 << bits, base = (BLOCK_Y << bits) + BLOCK_X * LINES;
  int turned = 0;
  FOR_ACROSS(line, at) a[0][line][at] = field[base + (at << 2 * bits) + line];
  BARRIER();
  TRANSFORM(1.0f);
  FOR_ACROSS(line, at) {
    const float g = influence[base + (at << 2 * bits) + line];
    const float2 v = a[turned][line][at];
    a[turned][line][at] = MAKE_FLOAT2(v.x * g, v.y * g);
  }
  BARRIER();
  TRANSFORM(-1.0f);
  FOR_ACROSS(line, at) field[base + (at << 2 * bits) + line] = a[turned][line][at];
}
