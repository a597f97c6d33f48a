// variants: sp dp
// FFT: many transforms of 512 points. 512 = 8 · 8 · 8: a block of 64 threads makes one, each thread three times a
// transform of 8 points in its registers, with an exchange through shared memory in between.
//
// With n = t + 64 k, t = u + 8 j, and the frequency f = a + 8 b + 64 c (all digits 0 to 7):
//   thread t over k gives a, times w512^(t a); thread (a, u) over j gives b, times w64^(u b); thread a + 8 b over u gives
//   c, and stores point f. Loads and stores of neighbouring threads are neighbours in memory.
// `factors` has w512^(t a) at [64 a + t] and w64^(u b) at [512 + 8 b + u].
#include "dialect.h"

#define POINTS 512
#define THREADS 64
// Rows in shared memory, so long that neither exchange has bank conflicts.
#define ROW_A 72
#ifdef REAL_IS_DOUBLE
#define ROW_U 65
#else
#define ROW_U 66
#endif

DEVICE REAL2 times(REAL2 a, REAL2 b) {
  return MAKE_REAL2(FMA(a.x, b.x, -a.y * b.y), FMA(a.x, b.y, a.y * b.x));
}
// Times a factor, or its conjugate on the way back.
DEVICE REAL2 turned(REAL2 a, REAL2 factor, const REAL way) { return times(a, MAKE_REAL2(factor.x, way * factor.y)); }
// Times -i, or i on the way back.
DEVICE REAL2 quarter(REAL2 a, const REAL way) { return MAKE_REAL2(way * a.y, -way * a.x); }

// Four points in place of a0 to a3.
#define TRANSFORM_4(a0, a1, a2, a3, way)                    \
  {                                                         \
    const REAL2 s0 = a0 + a2, d0 = a0 - a2, s1 = a1 + a3;   \
    const REAL2 d1 = quarter(a1 - a3, way);                 \
    a0 = s0 + s1, a1 = d0 + d1, a2 = s0 - s1, a3 = d0 - d1; \
  }

DEVICE void transform_8(REAL2* v, const REAL way) {
  const REAL half_root = (REAL)0.70710678118654752440;
  TRANSFORM_4(v[0], v[2], v[4], v[6], way);
  TRANSFORM_4(v[1], v[3], v[5], v[7], way);
  const REAL2 o1 = half_root * (v[3] + quarter(v[3], way));
  const REAL2 o2 = quarter(v[5], way);
  const REAL2 o3 = half_root * (quarter(v[7], way) - v[7]);
  const REAL2 e0 = v[0], e1 = v[2], e2 = v[4], e3 = v[6], o0 = v[1];
  v[0] = e0 + o0, v[1] = e1 + o1, v[2] = e2 + o2, v[3] = e3 + o3;
  v[4] = e0 - o0, v[5] = e1 - o1, v[6] = e2 - o2, v[7] = e3 - o3;
}

DEVICE void transform_512(GLOBAL const REAL2* in, GLOBAL REAL2* out, GLOBAL const REAL2* factors, const REAL way,
                          const REAL scale, SHARED_POINTER REAL2* s) {
  const int t = THREAD_X, high = t / 8, low = t % 8;
  in += (ulong)BLOCK_X * POINTS;
  out += (ulong)BLOCK_X * POINTS;
  REAL2 v[8];
#pragma unroll
  for (int k = 0; k < 8; ++k) v[k] = in[t + 64 * k];
  transform_8(v, way);
  s[t] = v[0];
#pragma unroll
  for (int a = 1; a < 8; ++a) s[a * ROW_A + t] = turned(v[a], factors[64 * a + t], way);
  BARRIER();
#pragma unroll
  for (int j = 0; j < 8; ++j) v[j] = s[high * ROW_A + low + 8 * j];
  BARRIER();
  transform_8(v, way);
  s[low * ROW_U + high] = v[0];
#pragma unroll
  for (int b = 1; b < 8; ++b) s[low * ROW_U + high + 8 * b] = turned(v[b], factors[POINTS + 8 * b + low], way);
  BARRIER();
#pragma unroll
  for (int u = 0; u < 8; ++u) v[u] = s[u * ROW_U + t];
  transform_8(v, way);
#pragma unroll
  for (int c = 0; c < 8; ++c) out[t + 64 * c] = scale * v[c];
}

KERNEL void MAX_THREADS(THREADS)
    fft_512(GLOBAL const REAL2* RESTRICT in, GLOBAL REAL2* RESTRICT out, GLOBAL const REAL2* RESTRICT factors) {
  SHARED REAL2 s[8 * ROW_A];
  transform_512(in, out, factors, (REAL)1, (REAL)1, s);
}

KERNEL void MAX_THREADS(THREADS)
    ifft_512(GLOBAL const REAL2* RESTRICT in, GLOBAL REAL2* RESTRICT out, GLOBAL const REAL2* RESTRICT factors) {
  SHARED REAL2 s[8 * ROW_A];
  transform_512(in, out, factors, (REAL)-1, (REAL)1 / POINTS, s);
}
