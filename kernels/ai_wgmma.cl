// variants: bf16
// apis: cuda
// target: sm_90a
// The matrix product of ai_gemm.cl in bf16 on Hopper's tensor cores: a block's two warpgroups have 64 x 256 sums each of
// a 128 x 256 tile. Stages of shared memory are filled by cp.async, two tiles ahead of the one that is multiplied.
#include "ai_layer.h"
#include "ai_wgmma.h"

#define THREADS 256
#define TILE_M 128
#define TILE_N 256
#define TILE_K 64
#define ROW 128  // bytes
#define STAGES 4
#define STAGE_BYTES ((TILE_M + TILE_N) * ROW)
#define ROWS_A_TIME (THREADS / 8)

extern __attribute__((shared, aligned(1024))) uint4 tiles[];

KERNEL void MAX_THREADS(THREADS)
    gemm(const ushort* RESTRICT a, const ushort* RESTRICT b, void* RESTRICT c, const float* RESTRICT bias,
         const float* RESTRICT scale, const void* RESTRICT residual, int m, int n, int k, int flags) {
  const int t = THREAD_X, lane = t & 31, group = t >> 7;
  // In bands of 8 tile rows, column by column: see ai_gemm.cl.
  const int tiles_m = (m + TILE_M - 1) / TILE_M, tiles_n = (n + TILE_N - 1) / TILE_N;
  const int band = BLOCK_X / (8 * tiles_n), first = band * 8;
  const int rows_in_band = tiles_m - first < 8 ? tiles_m - first : 8;
  const int in_band = BLOCK_X - band * 8 * tiles_n;
  const int m0 = (first + in_band % rows_in_band) * TILE_M, n0 = in_band / rows_in_band * TILE_N;

  const int row = t >> 3, piece = t & 7;
  const uint base = shared_address(tiles);
  const uint to = base + (uint)(row * ROW + ((piece ^ (row & 7)) << 4));
  const ushort* const a_piece = a + piece * 8;
  const ushort* const b_piece = b + piece * 8;
  const int depth = k / TILE_K;
#define COPY_TILE(kt)                                                                             \
  _Pragma("unroll") for (int i = 0; i < TILE_M / ROWS_A_TIME; ++i) {                              \
    const int r = m0 + row + i * ROWS_A_TIME;                                                     \
    copy_async_full(to + (uint)((kt) % STAGES * STAGE_BYTES + i * ROWS_A_TIME * ROW),             \
                    a_piece + (long)(r < m ? r : m - 1) * k + (kt) * TILE_K);                     \
  }                                                                                               \
  _Pragma("unroll") for (int i = 0; i < TILE_N / ROWS_A_TIME; ++i) {                              \
    const int r = n0 + row + i * ROWS_A_TIME;                                                     \
    copy_async_full(to + (uint)((kt) % STAGES * STAGE_BYTES + (TILE_M + i * ROWS_A_TIME) * ROW),  \
                    b_piece + (long)(r < n ? r : n - 1) * k + (kt) * TILE_K);                     \
  }
#pragma unroll
  for (int s = 0; s < STAGES - 2; ++s) {
    if (s < depth) {
      COPY_TILE(s);
    }
    copy_commit();
  }
  float sum[128];
#pragma unroll
  for (int i = 0; i < 128; ++i) sum[i] = 0;
#pragma unroll 1
  for (int kt = 0; kt < depth; ++kt) {
    // The tile is here for all; and all have finished with the products of the tile before the last.
    COPY_WAIT(STAGES - 3);
    fence_for_wgmma();
    BARRIER();
    const uint stage = base + (uint)(kt % STAGES * STAGE_BYTES);
    wgmma_tile(sum, tile_descriptor(stage + (uint)(group * 64 * ROW)), tile_descriptor(stage + TILE_M * ROW));
    if (kt + STAGES - 2 < depth) {
      COPY_TILE(kt + STAGES - 2);
    }
    copy_commit();
  }
  wgmma_finish(sum);
  COPY_WAIT(0);

  const int r = m0 + (t >> 5) * 16 + (lane >> 2);
#pragma unroll
  for (int j = 0; j < 32; ++j) {
    const int column = n0 + j * 8 + (lane & 3) * 2;
    store_pair(c, bias, scale, residual, flags, m, n, r, column, sum[4 * j], sum[4 * j + 1]);
    store_pair(c, bias, scale, residual, flags, m, n, r + 8, column, sum[4 * j + 2], sum[4 * j + 3]);
  }
}

// What wgmma gives at most: products of tiles that stay in shared memory. `a` holds 128 rows of 64, `b` 256; the sums
// are those of `count` equal products.
KERNEL void MAX_THREADS(THREADS)
    peak(const uint4* RESTRICT a, const uint4* RESTRICT b, float* RESTRICT out, int count) {
  const int t = THREAD_X, lane = t & 31, group = t >> 7;
  for (int i = t; i < (TILE_M + TILE_N) * 8; i += THREADS) {
    const int row = i >> 3, piece = i & 7;
    tiles[row * 8 + (piece ^ (row & 7))] = i < TILE_M * 8 ? a[i] : b[i - TILE_M * 8];
  }
  fence_for_wgmma();
  BARRIER();
  const uint base = shared_address(tiles);
  const ulong left = tile_descriptor(base + (uint)(group * 64 * ROW)), right = tile_descriptor(base + TILE_M * ROW);
  float sum[128];
#pragma unroll
  for (int i = 0; i < 128; ++i) sum[i] = 0;
#pragma unroll 1
  for (int n = 0; n < count; ++n) wgmma_tile(sum, left, right);
  wgmma_finish(sum);
  float* const to = out + ((long)BLOCK_X * TILE_M + (t >> 5) * 16 + (lane >> 2)) * TILE_N + (lane & 3) * 2;
#pragma unroll
  for (int j = 0; j < 32; ++j) {
    *(float2*)(to + j * 8) = MAKE_FLOAT2(sum[4 * j], sum[4 * j + 1]);
    *(float2*)(to + 8 * TILE_N + j * 8) = MAKE_FLOAT2(sum[4 * j + 2], sum[4 * j + 3]);
  }
}
