// variants: items_1 items_4 items_12 items_24
// Svm: the training, which reads rows of the kernel's matrix. A variant has room for 512 times its number of instances.
#define REAL_IS_DOUBLE 1
#include "dialect.h"

#if defined(VARIANT_items_1)
#define ITEMS 1
#elif defined(VARIANT_items_4)
#define ITEMS 4
#elif defined(VARIANT_items_12)
#define ITEMS 12
#else
#define ITEMS 24
#endif

#define ITERATIONS 0
#define GAP 1
#define DONE 2

#define WORKERS 512

// Numbers as unsigned ones of the same order, above an instance's number: the largest of many is the largest number,
// and where it stands. 0 is less than any.
DEVICE uint ordered(float x) {
  const uint u = AS_UINT(x);
  return u & 0x80000000u ? ~u : u | 0x80000000u;
}
DEVICE float unordered(uint u) { return AS_FLOAT(u & 0x80000000u ? u & 0x7fffffffu : ~u); }
DEVICE ulong key_of(float x, int instance) { return (ulong)ordered(x) << 32 | (ulong)(uint)(instance + 1); }

// The largest of all threads' keys, for every thread. `space`, of WORKERS, may be used again after the next barrier but
// one.
#ifdef __OPENCL_VERSION__
DEVICE ulong largest(ulong key, SHARED_POINTER ulong* space) {
  const int t = THREAD_X;
  space[t] = key;
  BARRIER();
  for (int s = WORKERS / 2; s > 0; s /= 2) {
    if (t < s && space[t + s] > space[t]) space[t] = space[t + s];
    BARRIER();
  }
  return space[0];
}
#else
DEVICE ulong largest_of_lanes(ulong key, int lanes) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    if (mask >= lanes) continue;
    const uint low = (uint)__nvvm_shfl_sync_bfly_i32(-1, (int)(uint)key, mask, 31);
    const uint high = (uint)__nvvm_shfl_sync_bfly_i32(-1, (int)(uint)(key >> 32), mask, 31);
    const ulong other = (ulong)high << 32 | low;
    key = other > key ? other : key;
  }
  return key;
}
DEVICE ulong largest(ulong key, ulong* space) {
  const int warps = WORKERS / 32;
  key = largest_of_lanes(key, 32);
  if (THREAD_X % 32 == 0) space[THREAD_X / 32] = key;
  BARRIER();
  return largest_of_lanes(space[THREAD_X % warps], warps);
}
#endif

// Up to `rounds` steps of sequential minimal optimisation, by one block: of all pairs of instances that may move, the
// first is the worst violator, the second promises the largest gain by second order (Fan, Chen and Lin, 2005; what
// LIBSVM does), and the two multipliers move as far as they may.
//   f_k = y_k - sum_j alpha_j y_j K_jk, whose largest value over those that may grow and smallest over those that may
// shrink, in the sense of y alpha, differ by less than `tolerance` at the end.
// A thread has the f of ITEMS instances in registers, WORKERS apart, and reads two rows of the matrix a step. Which
// pair is chosen is decided in single precision; what follows from it is in double.
KERNEL void MAX_THREADS(WORKERS)
    train(GLOBAL const float* RESTRICT matrix, GLOBAL const float* RESTRICT labels, GLOBAL double* alpha,
          GLOBAL double* all_f, GLOBAL double* state, int n, int stride, double limit, double tolerance, int rounds) {
  SHARED ulong space_a[WORKERS];
  SHARED ulong space_b[WORKERS];
  SHARED ulong space_c[WORKERS];
  SHARED double moved[3];
  const int t = THREAD_X;
  double f[ITEMS];
  float first_row[ITEMS], second_row[ITEMS];
  uint grows = 0, shrinks = 0, positive = 0;  // a bit an item
#pragma unroll
  for (int s = 0; s < ITEMS; ++s) {
    const int k = t + s * WORKERS;
    f[s] = 0.0;
    first_row[s] = second_row[s] = 0.0f;
    if (k < n) {
      f[s] = all_f[k];
      const int up = labels[k] > 0.0f;
      positive |= (uint)up << s;
      grows |= (uint)(up ? alpha[k] < limit : alpha[k] > 0.0) << s;
      shrinks |= (uint)(up ? alpha[k] > 0.0 : alpha[k] < limit) << s;
    }
  }
  double step = 0.0, gap = state[GAP];
  int done = state[DONE] != 0.0, round = 0;
  for (; round < rounds && !done; ++round) {
    ulong key = 0;
#pragma unroll
    for (int s = 0; s < ITEMS; ++s) {
      f[s] -= step * ((double)first_row[s] - (double)second_row[s]);
      const ulong own = grows >> s & 1 ? key_of((float)f[s], t + s * WORKERS) : 0;
      key = own > key ? own : key;
    }
    key = largest(key, space_a);
    const int i = (int)(uint)key - 1;
    const float worst = unordered((uint)(key >> 32));
    GLOBAL const float* row = matrix + (ulong)(i < 0 ? 0 : i) * stride + t;
#pragma unroll
    for (int s = 0; s < ITEMS; ++s) {
      first_row[s] = t + s * WORKERS < n ? row[s * WORKERS] : 0.0f;
    }
    ulong low = 0;
    key = 0;
#pragma unroll
    for (int s = 0; s < ITEMS; ++s) {
      if (!(shrinks >> s & 1)) continue;
      const float fs = (float)f[s], difference = worst - fs;
      const ulong least = key_of(-fs, 0);
      low = least > low ? least : low;
      float curve = 2.0f - 2.0f * first_row[s];
      curve = curve > 1e-6f ? curve : 1e-6f;
      const ulong own = difference > 0.0f ? key_of(difference * difference / curve, t + s * WORKERS) : 0;
      key = own > key ? own : key;
    }
    key = largest(key, space_b);
    low = largest(low, space_c);
    const int j = (int)(uint)key - 1;
    gap = (double)worst + (double)unordered((uint)(low >> 32));
    done = i < 0 || j < 0 || low == 0 || gap < tolerance;
    row = matrix + (ulong)(j < 0 ? 0 : j) * stride + t;
#pragma unroll
    for (int s = 0; s < ITEMS; ++s) {
      second_row[s] = t + s * WORKERS < n ? row[s * WORKERS] : 0.0f;
    }
    // The second's owner moves both. A bound that is reached is reached exactly.
    if (!done && t == j % WORKERS) {
      double of_j = 0.0, between = 0.0;
#pragma unroll
      for (int s = 0; s < ITEMS; ++s) {
        if (s == j / WORKERS) of_j = f[s], between = (double)first_row[s];
      }
      double curve = 2.0 - 2.0 * between;
      curve = curve > 1e-12 ? curve : 1e-12;
      const int up_i = labels[i] > 0.0f, up_j = labels[j] > 0.0f;
      const double room_i = up_i ? limit - alpha[i] : alpha[i], room_j = up_j ? alpha[j] : limit - alpha[j];
      double far = ((double)worst - of_j) / curve;
      far = far > room_i ? room_i : far;
      far = far > room_j ? room_j : far;
      const double new_i = far == room_i ? (up_i ? limit : 0.0) : up_i ? alpha[i] + far : alpha[i] - far;
      const double new_j = far == room_j ? (up_j ? 0.0 : limit) : up_j ? alpha[j] - far : alpha[j] + far;
      alpha[i] = new_i;
      alpha[j] = new_j;
      moved[0] = far;
      moved[1] = new_i;
      moved[2] = new_j;
    }
    BARRIER_ALL();
    step = done ? 0.0 : moved[0];
    if (!done) {
#pragma unroll
      for (int which = 0; which < 2; ++which) {
        const int k = which == 0 ? i : j;
        if (t != k % WORKERS) continue;
        const double now = moved[1 + which];
        const int s = k / WORKERS;
        const int up = positive >> s & 1;
        grows = (grows & ~(1u << s)) | (uint)(up ? now < limit : now > 0.0) << s;
        shrinks = (shrinks & ~(1u << s)) | (uint)(up ? now > 0.0 : now < limit) << s;
      }
    }
  }
#pragma unroll
  for (int s = 0; s < ITEMS; ++s) {
    const int k = t + s * WORKERS;
    if (k < n) all_f[k] = f[s] - step * ((double)first_row[s] - (double)second_row[s]);
  }
  if (t == 0 && round > 0) {
    state[ITERATIONS] += (double)(done ? round - 1 : round);
    state[GAP] = gap;
    state[DONE] = done ? 1.0 : 0.0;
  }
}
