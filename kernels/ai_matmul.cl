// variants: t64 t128
// Matrix products of every kind that training needs (of weights, for their gradients, in attention), in single
// precision: C = beta C + alpha A B, where element (i, j) of each lies at offset + i * row + j * column. Block z has the
// matrices at (z / inner) * outer_stride + (z % inner) * inner_stride: the heads of the sequences of a batch. Tiles of
// 64 x 64, four rows by four columns a thread, or of 128 x 128, eight by eight.
#include "dialect.h"

#define THREADS 256
#ifdef VARIANT_t64
#define TILE 64
#define DEPTH 16
#define PARTS 1
#else
#define TILE 128
#define DEPTH 8  // so that the numbers on their way fit the registers beside 64 sums
#define PARTS 2  // fours of rows, and of columns, of a thread: 64 apart
#endif
#define ROW (TILE + 4)  // of a tile in shared memory: 16-byte reads, and writes that go down a column meet in few banks
#define LOADS (TILE * DEPTH / THREADS)

#define OPERAND(x) int x##_offset, int x##_row, int x##_column, int x##_outer, int x##_inner
KERNEL void MAX_THREADS_BLOCKS(THREADS, 2)
    matmul(GLOBAL const float* RESTRICT a, GLOBAL const float* RESTRICT b, GLOBAL float* RESTRICT c, OPERAND(a),
           OPERAND(b), OPERAND(c), int inner, int m, int n, int k, float alpha, float beta) {
  SHARED float tile_a[DEPTH * ROW] __attribute__((aligned(16)));
  SHARED float tile_b[DEPTH * ROW] __attribute__((aligned(16)));
  const int t = THREAD_X, tx = t & 15, ty = t >> 4, i0 = BLOCK_Y * TILE, j0 = BLOCK_X * TILE;
  const int outer = BLOCK_Z / inner, within = BLOCK_Z % inner;
  GLOBAL const float* const from_a = a + a_offset + (long)outer * a_outer + (long)within * a_inner;
  GLOBAL const float* const from_b = b + b_offset + (long)outer * b_outer + (long)within * b_inner;
  GLOBAL float* const to = c + c_offset + (long)outer * c_outer + (long)within * c_inner;
  float sum[4 * PARTS][4 * PARTS];
#pragma unroll
  for (int i = 0; i < 4 * PARTS; ++i) {
#pragma unroll
    for (int j = 0; j < 4 * PARTS; ++j) sum[i][j] = 0;
  }
  // Neighbouring threads read neighbours in memory, whichever way those run.
  const int ai = a_column == 1 ? t / DEPTH : t % TILE, ak = a_column == 1 ? t % DEPTH : t / TILE;
  const int ai_step = a_column == 1 ? THREADS / DEPTH : 0, ak_step = a_column == 1 ? 0 : THREADS / TILE;
  const int bj = b_row == 1 ? t / DEPTH : t % TILE, bk = b_row == 1 ? t % DEPTH : t / TILE;
  const int bj_step = b_row == 1 ? THREADS / DEPTH : 0, bk_step = b_row == 1 ? 0 : THREADS / TILE;
  float next_a[LOADS], next_b[LOADS];
#define LOAD(k0)                                                                                                \
  _Pragma("unroll") for (int e = 0; e < LOADS; ++e) {                                                           \
    const int i = i0 + ai + e * ai_step, p = (k0) + ak + e * ak_step;                                           \
    next_a[e] = i < m && p < k ? from_a[i * a_row + p * a_column] : 0.0f;                           \
    const int j = j0 + bj + e * bj_step, q = (k0) + bk + e * bk_step;                                           \
    next_b[e] = j < n && q < k ? from_b[q * b_row + j * b_column] : 0.0f;                           \
  }
  LOAD(0);
  for (int k0 = 0; k0 < k; k0 += DEPTH) {
#pragma unroll
    for (int e = 0; e < LOADS; ++e) {
      tile_a[(ak + e * ak_step) * ROW + ai + e * ai_step] = next_a[e];
      tile_b[(bk + e * bk_step) * ROW + bj + e * bj_step] = next_b[e];
    }
    BARRIER();
    // On their way while this tile is multiplied.
    if (k0 + DEPTH < k) {
      LOAD(k0 + DEPTH);
    }
#if defined(__OPENCL_VERSION__) && !defined(__NV_CL_C_VERSION)
#pragma unroll 1
#else
#pragma unroll
#endif
    for (int p = 0; p < DEPTH; ++p) {
      float4 x[PARTS], y[PARTS];
#pragma unroll
      for (int h = 0; h < PARTS; ++h) {
        x[h] = *(SHARED_POINTER const float4*)(tile_a + p * ROW + h * 64 + ty * 4);
        y[h] = *(SHARED_POINTER const float4*)(tile_b + p * ROW + h * 64 + tx * 4);
      }
#define MULTIPLY_ROW(r, v)                                                                  \
  sum[r][4 * g] = FMA(v, y[g].x, sum[r][4 * g]), sum[r][4 * g + 1] = FMA(v, y[g].y, sum[r][4 * g + 1]); \
  sum[r][4 * g + 2] = FMA(v, y[g].z, sum[r][4 * g + 2]), sum[r][4 * g + 3] = FMA(v, y[g].w, sum[r][4 * g + 3])
#pragma unroll
      for (int h = 0; h < PARTS; ++h) {
#pragma unroll
        for (int g = 0; g < PARTS; ++g) {
          MULTIPLY_ROW(4 * h, x[h].x);
          MULTIPLY_ROW(4 * h + 1, x[h].y);
          MULTIPLY_ROW(4 * h + 2, x[h].z);
          MULTIPLY_ROW(4 * h + 3, x[h].w);
        }
      }
    }
    BARRIER();
  }
#pragma unroll
  for (int i = 0; i < 4 * PARTS; ++i) {
#pragma unroll
    for (int j = 0; j < 4 * PARTS; ++j) {
      const int row = i0 + i / 4 * 64 + ty * 4 + i % 4, column = j0 + j / 4 * 64 + tx * 4 + j % 4;
      if (row < m && column < n) {
        GLOBAL float* const at = to + (long)row * c_row + (long)column * c_column;
        *at = beta == 0.0f ? alpha * sum[i][j] : FMA(beta, *at, alpha * sum[i][j]);
      }
    }
  }
}
