// variants: dp
// DeviceTriad: copy, mul, add, triad and dot over arrays of doubles in device memory, two of them a load.
#include "dialect.h"
#include "pattern.h"

#define THREADS 256
// Vectors a thread: as many loads are in flight.
#define PER_THREAD 4

// Value i is between 1/2 and 3/2.
KERNEL void fill(GLOBAL double* out, uint n, uint salt) {
  const uint stride = BLOCKS_X * THREADS_X;
  for (uint i = GLOBAL_X; i < n; i += stride) out[i] = 0.5 + (double)pattern_word(i, salt) / 4294967296.0;
}

#define FOR_MINE                                                      \
  const ulong first = (ulong)BLOCK_X * (THREADS * PER_THREAD) + THREAD_X; \
  _Pragma("unroll") for (int k = 0; k < PER_THREAD; ++k)
#define AT (first + (ulong)(k * THREADS))

KERNEL void MAX_THREADS(THREADS) copy(GLOBAL const double2* RESTRICT a, GLOBAL double2* RESTRICT c) {
  double2 v[PER_THREAD];
  FOR_MINE v[k] = a[AT];
  _Pragma("unroll") for (int k = 0; k < PER_THREAD; ++k) c[AT] = v[k];
}

KERNEL void MAX_THREADS(THREADS) mul(GLOBAL double2* RESTRICT b, GLOBAL const double2* RESTRICT c, double s) {
  double2 v[PER_THREAD];
  FOR_MINE v[k] = c[AT];
  _Pragma("unroll") for (int k = 0; k < PER_THREAD; ++k) b[AT] = v[k] * s;
}

KERNEL void MAX_THREADS(THREADS)
    add(GLOBAL const double2* RESTRICT a, GLOBAL const double2* RESTRICT b, GLOBAL double2* RESTRICT c) {
  double2 v[PER_THREAD], w[PER_THREAD];
  FOR_MINE v[k] = a[AT], w[k] = b[AT];
  _Pragma("unroll") for (int k = 0; k < PER_THREAD; ++k) c[AT] = v[k] + w[k];
}

KERNEL void MAX_THREADS(THREADS) triad(GLOBAL double2* RESTRICT a, GLOBAL const double2* RESTRICT b,
                                       GLOBAL const double2* RESTRICT c, double s) {
  double2 v[PER_THREAD], w[PER_THREAD];
  FOR_MINE v[k] = b[AT], w[k] = c[AT];
  _Pragma("unroll") for (int k = 0; k < PER_THREAD; ++k) {
    double2 r;
    r.x = FMA(s, w[k].x, v[k].x), r.y = FMA(s, w[k].y, v[k].y);
    a[AT] = r;
  }
}

// One sum a block.
KERNEL void MAX_THREADS(THREADS) dot(GLOBAL const double2* RESTRICT a, GLOBAL const double2* RESTRICT b,
                                     GLOBAL double* RESTRICT sums, uint vectors) {
  SHARED double part[THREADS];
  const int t = THREAD_X;
  const uint stride = BLOCKS_X * THREADS;
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  uint i = GLOBAL_X;
  for (; i + stride < vectors; i += 2 * stride) {
    const double2 v = a[i], w = b[i], x = a[i + stride], y = b[i + stride];
    s0 = FMA(v.x, w.x, s0), s1 = FMA(v.y, w.y, s1), s2 = FMA(x.x, y.x, s2), s3 = FMA(x.y, y.y, s3);
  }
  for (; i < vectors; i += stride) s0 = FMA(a[i].x, b[i].x, s0), s1 = FMA(a[i].y, b[i].y, s1);
  part[t] = (s0 + s1) + (s2 + s3);
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step) part[t] += part[t + step];
    BARRIER();
  }
  if (t == 0) sums[BLOCK_X] = part[0];
}
