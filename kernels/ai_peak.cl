// variants: bf16 tf32
// apis: cuda
// What mma.sync gives at most: products of fragments that never leave the registers, sixteen independent sums a warp.
#include "ai_bf16.h"

#define THREADS 256
#ifdef VARIANT_tf32
#define MMA mma_tf32
#else
#define MMA mma_bf16
#endif

// `a` holds four matrices of 16 rows, `b` four of 8 rows, each row of 8 words (16 bf16 or 8 tf32). A warp leaves, for
// every pair of them, 32 x 4 sums of `count` equal products.
KERNEL void MAX_THREADS(THREADS)
    peak_mma(const uint* RESTRICT a, const uint* RESTRICT b, float* RESTRICT out, int count) {
  const int lane = THREAD_X & 31, warp = BLOCK_X * (THREADS / 32) + (THREAD_X >> 5);
  const int row = lane >> 2, word = lane & 3;
  uint fa[4][4], fb[4][2];
  float sum[4][4][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    fa[i][0] = a[(i * 16 + row) * 8 + word], fa[i][1] = a[(i * 16 + row + 8) * 8 + word];
    fa[i][2] = a[(i * 16 + row) * 8 + word + 4], fa[i][3] = a[(i * 16 + row + 8) * 8 + word + 4];
    fb[i][0] = b[(i * 8 + row) * 8 + word], fb[i][1] = b[(i * 8 + row) * 8 + word + 4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) sum[i][j][e] = 0;
    }
  }
#pragma unroll 1
  for (int n = 0; n < count; n += 2) {
#pragma unroll
    for (int twice = 0; twice < 2; ++twice) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) MMA(sum[i][j], fa[i], fb[j][0], fb[j][1]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j)
      *(float4*)(out + (((long)warp * 16 + i * 4 + j) * 32 + lane) * 4) =
          MAKE_FLOAT4(sum[i][j][0], sum[i][j][1], sum[i][j][2], sum[i][j][3]);
  }
}
