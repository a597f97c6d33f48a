// variants: sp dp
// S3D: how fast each of 22 species forms, from temperature, pressure and mass fractions, at each point of a grid. The
// mechanism is data (src/workload/shoc/mechanism.h). A thread has a point; what it indexes by species, which differs
// from reaction to reaction, lies in shared memory, a column a thread: all threads read the same species at a time.
//
// Everything that is a power or an exponential is kept as its logarithm to base 2, so that a rate constant, whatever it
// is made of, takes one exponential forwards and one backwards. Temperatures are relative to 1,500 K, where the
// logarithms are small.
#include "dialect.h"

// BATCH: reactions that are worked on at a time, for each to hide the others' latencies. OpenCL's compilers, which run
// with the program, would take seconds for what that and UNROLL make of the source.
#ifdef __OPENCL_VERSION__
#define BATCH 1
#define UNROLL
#else
#define BATCH 4
#define UNROLL _Pragma("unroll")
#endif
#define SPECIES 22
#define STEADY 9                 // species in quasi-steady state, behind the others
#define NONE (SPECIES + STEADY)  // in the place of a second product that is none
#define OTHERS SPECIES           // the column of those two: 1, and what is not kept
#define BODIES (OTHERS + 1)      // four sums of concentrations, weighted: third bodies

#define THREADS 64
#ifdef __OPENCL_VERSION__
#define EXP2(x) exp2(x)
#define LOG2(x) log2(x)
#define QUOTIENT(a, b) ((a) / (b))
#elif defined(REAL_IS_DOUBLE)
// Without branches, so that several go on at a time; for results within double's normal range, as rates are.
NM_INLINE double exp2_of(double x) {
  const double k = __nvvm_floor_d(x + 0.5), r = (x - k) * 0.69314718055994530942;
  double p = 1.0 / 6227020800.0;
  p = FMA(p, r, 1.0 / 479001600.0), p = FMA(p, r, 1.0 / 39916800.0), p = FMA(p, r, 1.0 / 3628800.0);
  p = FMA(p, r, 1.0 / 362880.0), p = FMA(p, r, 1.0 / 40320.0), p = FMA(p, r, 1.0 / 5040.0);
  p = FMA(p, r, 1.0 / 720.0), p = FMA(p, r, 1.0 / 120.0), p = FMA(p, r, 1.0 / 24.0);
  p = FMA(p, r, 1.0 / 6.0), p = FMA(p, r, 0.5), p = FMA(p, r, 1.0), p = FMA(p, r, 1.0);
  return p * __builtin_bit_cast(double, (long)((int)k + 1023) << 52);
}
#define EXP2(x) exp2_of(x)
#define LOG2(x) (LOG(x) * 1.44269504088896340736)
#define QUOTIENT(a, b) ((a) / (b))
#else
NM_INLINE float reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#define EXP2(x) __nvvm_ex2_approx_ftz_f(x)
#define LOG2(x) __nvvm_lg2_approx_ftz_f(x)
#define QUOTIENT(a, b) ((a)*reciprocal(b))
#endif

#define FIRST(how) ((how).x & 255)
#define SECOND(how) ((how).x >> 8 & 255)
#define THIRD(how) ((how).x >> 16 & 255)
#define FOURTH(how) ((how).x >> 24 & 255)

// Reactions first + second = third + fourth. `how`: x the four species, a byte each; y where its rates go in `rates`,
// for one with a species in quasi-steady state, or -1; z 0, or 1 with a third body, or 2 with fall-off, by the body w.
// `constants`: log2 of the rate at 1,500 K, power, activation (in units of 1,500 K / ln 2). `falloff`, three a reaction
// from reaction `first_falloff` on: those of low pressure; Troe's a, 1/T3, 1/T1, T2, the inverses times 1 / ln 2.
KERNEL void MAX_THREADS(THREADS)
    s3d_rates(GLOBAL const REAL* RESTRICT temperature, GLOBAL const REAL* RESTRICT pressure,
              GLOBAL const REAL* RESTRICT fractions, GLOBAL const REAL* RESTRICT weights,
              GLOBAL const REAL* RESTRICT gibbs, GLOBAL const int4* RESTRICT reactions,
              GLOBAL const REAL4* RESTRICT constants, GLOBAL const REAL4* RESTRICT falloff, GLOBAL REAL* RESTRICT rates,
              GLOBAL REAL* RESTRICT formed, int n, int plain, int count, int first_falloff) {
  SHARED REAL amount_[(BODIES + 4) * THREADS];  // concentrations
  SHARED REAL energy_[(NONE + 1) * THREADS];
  SHARED REAL net_[(OTHERS + 1) * THREADS];
  const int i = GLOBAL_X;
  if (i >= n) return;
#define AMOUNT(s) amount_[(s)*THREADS + THREAD_X]
#define ENERGY(s) energy_[(s)*THREADS + THREAD_X]
#define NET(s) net_[(s)*THREADS + THREAD_X]
  const REAL T = temperature[i] * (REAL)(1.0 / 1500), inverse = 1 / T, L = LOG2(T), p = pressure[i];
  const REAL total = p / ((REAL)(8.314462618 * 1500) * T);

  REAL moles = 0;
  UNROLL
  for (int s = 0; s < SPECIES; ++s) {
    const REAL y = fractions[(long)s * n + i] * weights[s];  // of one over the molar mass
    moles += y;
    AMOUNT(s) = y;
    NET(s) = 0;
  }
  const REAL scale = total / moles;
  REAL b0 = 0, b1 = 0, b2 = 0, b3 = 0;
  for (int s = 0; s < SPECIES; ++s) {
    const REAL c = AMOUNT(s) * scale;
    AMOUNT(s) = c;
    GLOBAL const REAL* efficiency = weights + SPECIES + 4 * s;
    b0 = FMA(efficiency[0], c, b0), b1 = FMA(efficiency[1], c, b1);
    b2 = FMA(efficiency[2], c, b2), b3 = FMA(efficiency[3], c, b3);
  }
  AMOUNT(BODIES) = LOG2(b0), AMOUNT(BODIES + 1) = LOG2(b1), AMOUNT(BODIES + 2) = LOG2(b2),
  AMOUNT(BODIES + 3) = LOG2(b3);
  // Those of quasi-steady state are not known yet: 1, and they come in later.
  AMOUNT(OTHERS) = 1;
  for (int s = 0; s < NONE; ++s) {
    GLOBAL const REAL* a = gibbs + 8 * s;
    const REAL powers = FMA(FMA(FMA(a[5], T, a[4]), T, a[3]), T, a[2]);
    ENERGY(s) = FMA(powers, T, FMA(a[1], L, FMA(a[6], inverse, a[0])));
  }
  // Of standard pressure over RT: what an equilibrium constant has for each mole that a reaction loses.
  ENERGY(NONE) = LOG2((REAL)(101325 / (8.314462618 * 1500)) * inverse);

  // Both ways of a reaction, whose rate constant forwards is 2 to the power of `forward`.
#define BOTH_WAYS(how, forward, ahead, back)                                                              \
  {                                                                                                       \
    const int s0 = FIRST(how), s1 = SECOND(how), s2 = THIRD(how), s3 = FOURTH(how);                       \
    const int c1 = s1 < SPECIES ? s1 : OTHERS, c3 = s3 < SPECIES ? s3 : OTHERS;                           \
    const REAL backward = (forward) + (ENERGY(s2) + ENERGY(s3)) - (ENERGY(s0) + ENERGY(s1));              \
    ahead = EXP2(forward) * (AMOUNT(s0) * AMOUNT(c1)), back = EXP2(backward) * (AMOUNT(s2) * AMOUNT(c3)); \
  }
  // Kept for later, or added up: all four at once, since the two sides have no species in common; but the two of a side
  // may be the same.
#define TAKE(how, ahead, back)                                                           \
  if ((how).y >= 0) {                                                                    \
    rates[(long)(how).y * 2 * n + i] = ahead;                                            \
    rates[((long)(how).y * 2 + 1) * n + i] = back;                                       \
  } else {                                                                               \
    const int s0 = FIRST(how), s1 = SECOND(how), s2 = THIRD(how), s3 = FOURTH(how);      \
    const int c3 = s3 < SPECIES ? s3 : OTHERS;                                           \
    const REAL q = ahead - back, n0 = NET(s0), n1 = NET(s1), n2 = NET(s2), n3 = NET(c3); \
    NET(s0) = n0 - q;                                                                    \
    NET(s1) = s1 == s0 ? n0 - 2 * q : n1 - q;                                            \
    NET(s2) = n2 + q;                                                                    \
    NET(c3) = s3 == s2 ? n2 + 2 * q : n3 + q;                                            \
  }

  // The plain ones, BATCH at a time. What the last batch computes beyond them is not used.
  for (int first = 0; first < plain; first += BATCH) {
    int4 how[BATCH];
    REAL ahead[BATCH], back[BATCH];
    UNROLL
    for (int j = 0; j < BATCH; ++j) how[j] = reactions[first + j];
    UNROLL
    for (int j = 0; j < BATCH; ++j) {
      const REAL4 k = constants[first + j];
      const REAL forward = FMA(k.y, L, FMA(k.z, 1 - inverse, k.x));
      BOTH_WAYS(how[j], forward, ahead[j], back[j])
    }
    UNROLL
    for (int j = 0; j < BATCH; ++j) {
      if (first + j < plain) {
        TAKE(how[j], ahead[j], back[j])
      }
    }
  }
  for (int r = plain; r < count; ++r) {
    const int4 how = reactions[r];
    const REAL4 k = constants[r];
    REAL forward = FMA(k.y, L, FMA(k.z, 1 - inverse, k.x));
    const REAL body = AMOUNT(BODIES + how.w);
    if (how.z == 1) {
      forward += body;
    } else {
      const REAL4 low = falloff[3 * (r - first_falloff)], a = falloff[3 * (r - first_falloff) + 1];
      const REAL reduced = FMA(low.y, L, FMA(low.z, 1 - inverse, low.x)) + body - forward;
      const REAL mean = (1 - a.x) * EXP2(-T * a.y) + a.x * EXP2(-T * a.z) + EXP2(-a.w * inverse);
      // Troe's formula has logarithms to base 10.
      const REAL f = LOG2(mean) * (REAL)0.30102999566398119521;
      const REAL x = reduced * (REAL)0.30102999566398119521 - (REAL)0.4 - (REAL)0.67 * f;
      const REAL y = QUOTIENT(x, (REAL)0.75 - (REAL)1.27 * f - (REAL)0.14 * x);
      forward += reduced - LOG2(1 + EXP2(reduced)) + QUOTIENT(LOG2(mean), 1 + y * y);
    }
    REAL ahead, back;
    BOTH_WAYS(how, forward, ahead, back)
    TAKE(how, ahead, back)
  }
  for (int s = 0; s < SPECIES; ++s) formed[(long)s * n + i] = NET(s);
#undef NET
}

#undef THREADS
#define THREADS 32
#define AHEAD(r) rates[(long)(r)*2 * n + i]
#define BACK(r) rates[((long)(r)*2 + 1) * n + i]

// Species in quasi-steady state form as fast as they go. A reaction has at most one of them on a side, as its second or
// fourth: their amounts x solve the linear system lost_j x_j = formed_j + sum over k of made_jk x_k. No pivoting: a
// column's diagonal is at least the sum of its others. Then the reactions that they take part in are added.
KERNEL void MAX_THREADS(THREADS) s3d_steady(GLOBAL const REAL* RESTRICT rates, GLOBAL const int4* RESTRICT reactions,
                                            GLOBAL REAL* RESTRICT formed, int n, int count) {
  SHARED REAL matrix_[STEADY * (STEADY + 1) * THREADS];
  SHARED REAL net_[(OTHERS + 1) * THREADS];
  SHARED REAL x_[(STEADY + 1) * THREADS];
#define MATRIX(j, k) matrix_[((j) * (STEADY + 1) + (k)) * THREADS + THREAD_X]
#define NET(s) net_[(s)*THREADS + THREAD_X]
#define X(j) x_[(j)*THREADS + THREAD_X]
  const int i = GLOBAL_X;
  if (i >= n) return;
  for (int j = 0; j < STEADY * (STEADY + 1); ++j) matrix_[j * THREADS + THREAD_X] = 0;
  UNROLL
  for (int s = 0; s < SPECIES; ++s) NET(s) = formed[(long)s * n + i];
  // The last batch may reach behind the last reaction: rates and reactions have room for that, and those are none.
  for (int first = 0; first < count; first += BATCH) {
    REAL aheads[BATCH], backs[BATCH];
    UNROLL
    for (int j = 0; j < BATCH; ++j) aheads[j] = AHEAD(first + j), backs[j] = BACK(first + j);
    UNROLL
    for (int j = 0; j < BATCH; ++j) {
      if (first + j >= count) continue;
      const int4 how = reactions[first + j];
      const REAL ahead = aheads[j], back = backs[j];
      const int a = SECOND(how) - SPECIES, b = FOURTH(how) - SPECIES;
      const int from = a >= 0 && a < STEADY, to = b >= 0 && b < STEADY;
      if (from) {
        MATRIX(a, a) += ahead;
        if (to) {
          MATRIX(b, a) -= ahead;
        } else {
          MATRIX(a, STEADY) += back;
        }
      }
      if (to) {
        MATRIX(b, b) += back;
        if (from) {
          MATRIX(a, b) -= back;
        } else {
          MATRIX(b, STEADY) += ahead;
        }
      }
    }
  }
  // In registers: every index is known, once loops of fixed length are unrolled.
  REAL m[STEADY][STEADY + 1];
  UNROLL
  for (int j = 0; j < STEADY; ++j) {
    UNROLL
    for (int k = 0; k <= STEADY; ++k) m[j][k] = MATRIX(j, k);
  }
  UNROLL
  for (int j = 0; j < STEADY; ++j) {
    const REAL one = QUOTIENT((REAL)1, m[j][j]);
    UNROLL
    for (int k = 0; k <= STEADY; ++k) {
      if (k > j) m[j][k] *= one;
    }
    UNROLL
    for (int l = 0; l < STEADY; ++l) {
      UNROLL
      for (int k = 0; k <= STEADY; ++k) {
        if (l > j && k > j) m[l][k] = FMA(-m[l][j], m[j][k], m[l][k]);
      }
    }
  }
  UNROLL
  for (int j = STEADY - 2; j >= 0; --j) {
    UNROLL
    for (int k = 0; k < STEADY; ++k) {
      if (k > j) m[j][STEADY] = FMA(-m[j][k], m[k][STEADY], m[j][STEADY]);
    }
  }
  UNROLL
  for (int j = 0; j < STEADY; ++j) X(j) = m[j][STEADY];
  X(STEADY) = 1;

  for (int first = 0; first < count; first += BATCH) {
    REAL aheads[BATCH], backs[BATCH];
    UNROLL
    for (int j = 0; j < BATCH; ++j) aheads[j] = AHEAD(first + j), backs[j] = BACK(first + j);
    UNROLL
    for (int j = 0; j < BATCH; ++j) {
      if (first + j >= count) continue;
      const int4 how = reactions[first + j];
      const int s0 = FIRST(how), s1 = SECOND(how), s2 = THIRD(how), s3 = FOURTH(how);
      const int c1 = s1 < SPECIES ? s1 : OTHERS, c3 = s3 < SPECIES ? s3 : OTHERS;
      const REAL ahead = aheads[j] * X(s1 >= SPECIES && s1 < NONE ? s1 - SPECIES : STEADY);
      const REAL back = backs[j] * X(s3 >= SPECIES && s3 < NONE ? s3 - SPECIES : STEADY);
      const REAL q = ahead - back, n0 = NET(s0), n1 = NET(c1), n2 = NET(s2), n3 = NET(c3);
      NET(s0) = n0 - q;
      NET(c1) = s1 == s0 ? n0 - 2 * q : n1 - q;
      NET(s2) = n2 + q;
      NET(c3) = s3 == s2 ? n2 + 2 * q : n3 + q;
    }
  }
  for (int s = 0; s < SPECIES; ++s) formed[(long)s * n + i] = NET(s);
}
