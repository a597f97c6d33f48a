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

// Up to `rounds` steps of sequential minimal optimisation, by one block: of all pairs of instances that may move, the
// first is the worst violator, the second promises the largest gain by second order (Fan, Chen and Lin, 2005; what
// LIBSVM does), and the two multipliers move as far as they may.
//   f_k = y_k - sum_j alpha_j y_j K_jk, whose largest value over those that may grow and smallest over those that may
// shrink, in the sense of y alpha, differ by less than `tolerance` at the end. (No RESTRICT: threads read what others
// wrote.)
KERNEL void MAX_THREADS(WORKERS)
    train(GLOBAL const float* RESTRICT matrix, GLOBAL const float* RESTRICT labels, GLOBAL double* alpha,
          GLOBAL double* f, GLOBAL double* RESTRICT state, int n, int stride, double limit, double tolerance,
          int rounds) {
  SHARED double best[WORKERS];
  SHARED double least[WORKERS];
  SHARED int where[WORKERS];
  SHARED double moved[1];
  const int t = THREAD_X;
  double step = 0.0;
  int i = 0, j = 0;
  int done = state[DONE] != 0.0;
  int round = 0;
  double gap = state[GAP];
  for (; round < rounds && !done; ++round) {
    // The last step reaches every f, and the worst violator is found.
    double top = -1e300;
    int at = -1;
    for (int k = t; k < n; k += WORKERS) {
      double fk = f[k];
      if (step != 0.0) {
        fk -= step * ((double)matrix[(ulong)i * stride + k] - (double)matrix[(ulong)j * stride + k]);
        f[k] = fk;
      }
      const int grows = labels[k] > 0.0f ? alpha[k] < limit : alpha[k] > 0.0;
      if (grows && fk >= top) top = fk, at = k;
    }
    best[t] = top;
    where[t] = at;
    BARRIER_ALL();
    for (int s = WORKERS / 2; s > 0; s /= 2) {
      if (t < s && (best[t + s] > best[t] || (best[t + s] == best[t] && where[t + s] > where[t]))) {
        best[t] = best[t + s];
        where[t] = where[t + s];
      }
      BARRIER();
    }
    i = where[0];
    const double worst = best[0];
    BARRIER();

    double gain = -1.0, low = 1e300;
    at = -1;
    for (int k = t; k < n; k += WORKERS) {
      const int shrinks = labels[k] > 0.0f ? alpha[k] > 0.0 : alpha[k] < limit;
      if (!shrinks || i < 0) continue;
      const double fk = f[k], difference = worst - fk;
      if (fk < low) low = fk;
      if (difference > 0.0) {
        double curve = 2.0 - 2.0 * (double)matrix[(ulong)i * stride + k];
        curve = curve > 0.0 ? curve : 1e-12;
        const double promised = difference * difference / curve;
        if (promised >= gain) gain = promised, at = k;
      }
    }
    best[t] = gain;
    least[t] = low;
    where[t] = at;
    BARRIER();
    for (int s = WORKERS / 2; s > 0; s /= 2) {
      if (t < s) {
        if (best[t + s] > best[t] || (best[t + s] == best[t] && where[t + s] > where[t])) {
          best[t] = best[t + s];
          where[t] = where[t + s];
        }
        if (least[t + s] < least[t]) least[t] = least[t + s];
      }
      BARRIER();
    }
    j = where[0];
    gap = worst - least[0];
    done = i < 0 || j < 0 || gap < tolerance;
    if (t == 0 && !done) {
      double curve = 2.0 - 2.0 * (double)matrix[(ulong)i * stride + j];
      curve = curve > 0.0 ? curve : 1e-12;
      const double room_i = labels[i] > 0.0f ? limit - alpha[i] : alpha[i];
      const double room_j = labels[j] > 0.0f ? alpha[j] : limit - alpha[j];
      double free_step = (worst - f[j]) / curve;
      free_step = free_step > room_i ? room_i : free_step;
      free_step = free_step > room_j ? room_j : free_step;
      // A bound that is reached is reached exactly.
      alpha[i] = labels[i] > 0.0f ? (free_step == room_i ? limit : alpha[i] + free_step)
                                  : (free_step == room_i ? 0.0 : alpha[i] - free_step);
      alpha[j] = labels[j] > 0.0f ? (free_step == room_j ? 0.0 : alpha[j] - free_step)
                                  : (free_step == room_j ? limit : alpha[j] + free_step);
      moved[0] = free_step;
    }
    BARRIER_ALL();
    step = done ? 0.0 : moved[0];
    BARRIER();
  }
  // What the last step owes to f.
  if (step != 0.0) {
    for (int k = t; k < n; k += WORKERS) {
      f[k] -= step * ((double)matrix[(ulong)i * stride + k] - (double)matrix[(ulong)j * stride + k]);
    }
  }
  if (t == 0 && round > 0) {
    state[ITERATIONS] += (double)(done ? round - 1 : round);
    state[GAP] = gap;
    state[DONE] = done ? 1.0 : 0.0;
  }
}
