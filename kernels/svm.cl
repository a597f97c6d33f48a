// variants: dp
// Svm: the matrix of an RBF kernel over all pairs of instances, and the training that reads its rows.
#include "dialect.h"

#define TILE 128
#define DEPTH 16
#define THREADS 256

#define SPREAD(to, at, four) \
  to[at] = four.x, to[at + 1] = four.y, to[at + 2] = four.z, to[at + 3] = four.w

// matrix[i][j] = exp(-gamma |x_i - x_j|^2), by products of instances: a tile of 128 x 128 a block, 8 x 8 a thread.
// `data` has a feature's values of all instances side by side; stride is a multiple of 128, features of 16.
KERNEL void MAX_THREADS(THREADS)
    kernel_matrix(GLOBAL const float* RESTRICT data, GLOBAL const float* RESTRICT squares,
                  GLOBAL float* RESTRICT matrix, int stride, int features, float gamma) {
  SHARED float4 a[2][DEPTH][TILE / 4];
  SHARED float4 b[2][DEPTH][TILE / 4];
  const int t = THREAD_X;
  // A thread's eight rows and columns are two fours, half a tile apart: neighbours read neighbouring banks.
  const int column = t % 16, row = t / 16;
  GLOBAL const float4* from_a = (GLOBAL const float4*)(data + BLOCK_Y * TILE) + t % 32;
  GLOBAL const float4* from_b = (GLOBAL const float4*)(data + BLOCK_X * TILE) + t % 32;
  const int quads = stride / 4;
  const int load_k = t / 32, load_at = t % 32;
  float sum[8][8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) sum[i][j] = 0.0f;
  }
  float4 next_a0 = from_a[load_k * quads], next_a1 = from_a[(load_k + 8) * quads];
  float4 next_b0 = from_b[load_k * quads], next_b1 = from_b[(load_k + 8) * quads];
  int stage = 0;
  for (int k0 = 0; k0 < features; k0 += DEPTH) {
    a[stage][load_k][load_at] = next_a0;
    a[stage][load_k + 8][load_at] = next_a1;
    b[stage][load_k][load_at] = next_b0;
    b[stage][load_k + 8][load_at] = next_b1;
    BARRIER();
    // The next tile is under way while this one is multiplied. (The last round loads its own again.)
    const int ahead = k0 + DEPTH < features ? k0 + DEPTH : k0;
    next_a0 = from_a[(ahead + load_k) * quads];
    next_a1 = from_a[(ahead + load_k + 8) * quads];
    next_b0 = from_b[(ahead + load_k) * quads];
    next_b1 = from_b[(ahead + load_k + 8) * quads];
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
      float u[8], v[8];
      SPREAD(u, 0, a[stage][k][row]);
      SPREAD(u, 4, a[stage][k][row + TILE / 8]);
      SPREAD(v, 0, b[stage][k][column]);
      SPREAD(v, 4, b[stage][k][column + TILE / 8]);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) sum[i][j] = FMA(u[i], v[j], sum[i][j]);
      }
    }
    stage ^= 1;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int y = BLOCK_Y * TILE + row * 4 + i % 4 + i / 4 * (TILE / 2);
    const float own = squares[y];
#pragma unroll
    for (int half_tile = 0; half_tile < 2; ++half_tile) {
      const int x = BLOCK_X * TILE + column * 4 + half_tile * (TILE / 2);
      float value[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float distance = own + squares[x + j] - 2.0f * sum[i][half_tile * 4 + j];
        value[j] = x + j == y ? 1.0f : EXP(-gamma * (distance > 0.0f ? distance : 0.0f));
      }
      *(GLOBAL float4*)&matrix[(ulong)y * stride + x] = MAKE_FLOAT4(value[0], value[1], value[2], value[3]);
    }
  }
}

#define ITERATIONS 0
#define GAP 1
#define DONE 2

#define WORKERS 512

// Numbers as unsigned ones of the same order, above an instance's number: the largest of many is the largest number, and
// where it stands. 0 is less than any.
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
// A thread has the f of `items` instances in registers, WORKERS apart, and reads two rows of the matrix a step. Which
// pair is chosen is decided in single precision; what follows from it is in double.
#define MOST 24
DEVICE void train(GLOBAL const float* RESTRICT matrix, GLOBAL const float* RESTRICT labels, GLOBAL double* alpha,
                  GLOBAL double* all_f, GLOBAL double* state, int n, int stride, double limit, double tolerance,
                  int rounds, const int items, SHARED_POINTER ulong* space_a, SHARED_POINTER ulong* space_b,
                  SHARED_POINTER ulong* space_c, SHARED_POINTER double* moved) {
  const int t = THREAD_X;
  double f[MOST];
  float first_row[MOST], second_row[MOST];
  uint grows = 0, shrinks = 0, positive = 0;  // a bit an item
#pragma unroll
  for (int s = 0; s < MOST; ++s) {
    const int k = t + s * WORKERS;
    f[s] = 0.0;
    first_row[s] = second_row[s] = 0.0f;
    if (s < items && k < n) {
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
    for (int s = 0; s < MOST; ++s) {
      if (s >= items) continue;
      f[s] -= step * ((double)first_row[s] - (double)second_row[s]);
      const ulong own = grows >> s & 1 ? key_of((float)f[s], t + s * WORKERS) : 0;
      key = own > key ? own : key;
    }
    key = largest(key, space_a);
    const int i = (int)(uint)key - 1;
    const float worst = unordered((uint)(key >> 32));
    GLOBAL const float* row = matrix + (ulong)(i < 0 ? 0 : i) * stride + t;
#pragma unroll
    for (int s = 0; s < MOST; ++s) {
      if (s < items) first_row[s] = t + s * WORKERS < n ? row[s * WORKERS] : 0.0f;
    }
    ulong low = 0;
    key = 0;
#pragma unroll
    for (int s = 0; s < MOST; ++s) {
      if (s >= items || !(shrinks >> s & 1)) continue;
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
    for (int s = 0; s < MOST; ++s) {
      if (s < items) second_row[s] = t + s * WORKERS < n ? row[s * WORKERS] : 0.0f;
    }
    // The second's owner moves both. A bound that is reached is reached exactly.
    if (!done && t == j % WORKERS) {
      double of_j = 0.0, between = 0.0;
#pragma unroll
      for (int s = 0; s < MOST; ++s) {
        if (s < items && s == j / WORKERS) of_j = f[s], between = (double)first_row[s];
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
  for (int s = 0; s < MOST; ++s) {
    const int k = t + s * WORKERS;
    if (s < items && k < n) all_f[k] = f[s] - step * ((double)first_row[s] - (double)second_row[s]);
  }
  if (t == 0 && round > 0) {
    state[ITERATIONS] += (double)(done ? round - 1 : round);
    state[GAP] = gap;
    state[DONE] = done ? 1.0 : 0.0;
  }
}

#define TRAIN(name, items)                                                                                         \
  KERNEL void MAX_THREADS(WORKERS)                                                                                 \
      name(GLOBAL const float* RESTRICT matrix, GLOBAL const float* RESTRICT labels, GLOBAL double* alpha,         \
           GLOBAL double* f, GLOBAL double* state, int n, int stride, double limit, double tolerance, int rounds) { \
    SHARED ulong space_a[WORKERS];                                                                                 \
    SHARED ulong space_b[WORKERS];                                                                                 \
    SHARED ulong space_c[WORKERS];                                                                                 \
    SHARED double moved[3];                                                                                        \
    train(matrix, labels, alpha, f, state, n, stride, limit, tolerance, rounds, items, space_a, space_b, space_c,  \
          moved);                                                                                                  \
  }

// For up to WORKERS times as many instances.
TRAIN(train_1, 1)
TRAIN(train_4, 4)
TRAIN(train_12, 12)
TRAIN(train_24, 24)
