// variants: sp
// Svm: the matrix of an RBF kernel over all pairs of instances.
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
