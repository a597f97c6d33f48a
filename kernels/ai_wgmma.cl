// variants: bf16 tf32 conv convs peak
// apis: cuda
// target: sm_90a
// The matrix product of ai_gemm.cl in bf16 and tf32 on Hopper's tensor cores: a block's two warpgroups have 64 rows each of its
// tile. Stages of shared memory are filled by cp.async, ahead of the one that is multiplied. bf16 and tf32: tiles of 128 x 256;
// conv and convs: the convolution as in ai_gemm.cl, in tiles of 128 x 128 and 128 x 64, two blocks a multiprocessor.
#if defined(VARIANT_bf16) || defined(VARIANT_tf32) || defined(VARIANT_peak)
#define WGMMA_N 256
#define STAGES 4
#define BLOCKS 1
#elif defined(VARIANT_conv)
#define CONVOLUTION
#define WGMMA_N 128
#define STAGES 3
#define BLOCKS 2
#else
#define CONVOLUTION
#define WGMMA_N 64
#define STAGES 4
#define BLOCKS 2
#endif
#ifdef VARIANT_tf32
#define ELEMENT float
#else
#define ELEMENT ushort
#endif
#include "ai_layer.h"
#include "ai_wgmma.h"

#define THREADS 256
#define TILE_M 128
#define TILE_N WGMMA_N
#define ROW 128  // bytes
#define TILE_K (ROW / (int)sizeof(ELEMENT))
#define STAGE_BYTES ((TILE_M + TILE_N) * ROW)
#define ROWS_A_TIME (THREADS / 8)

extern __attribute__((shared, aligned(1024))) uint4 tiles[];

#ifndef VARIANT_peak

#ifdef CONVOLUTION
#define IMAGE_PARAMETERS , int height, int width, int channels
#else
#define IMAGE_PARAMETERS
#endif

KERNEL void MAX_THREADS_BLOCKS(THREADS, BLOCKS)
    gemm(const ELEMENT* RESTRICT a, const ELEMENT* RESTRICT b, void* RESTRICT c, const float* RESTRICT bias,
         const float* RESTRICT scale, const void* RESTRICT residual, int m, int n, int k, int flags IMAGE_PARAMETERS) {
  const int t = THREAD_X, lane = t & 31, group = t >> 7;
  // In bands of 16 tile rows, column by column: see ai_gemm.cl.
  const int tiles_m = (m + TILE_M - 1) / TILE_M, tiles_n = (n + TILE_N - 1) / TILE_N;
  const int band = BLOCK_X / (16 * tiles_n), first = band * 16;
  const int rows_in_band = tiles_m - first < 16 ? tiles_m - first : 16;
  const int in_band = BLOCK_X - band * 16 * tiles_n;
  const int m0 = (first + in_band % rows_in_band) * TILE_M, n0 = in_band / rows_in_band * TILE_N;

  const int row = t >> 3, piece = t & 7;
  const uint base = shared_address(tiles);
  const uint to = base + (uint)(row * ROW + ((piece ^ (row & 7)) << 4));
  const ELEMENT* const a_piece = a + piece * (16 / (int)sizeof(ELEMENT));
  const ELEMENT* const b_piece = b + piece * (16 / (int)sizeof(ELEMENT));
  const int depth = k / TILE_K;
#ifdef CONVOLUTION
  int pixel[TILE_M / ROWS_A_TIME], at_y[TILE_M / ROWS_A_TIME], at_x[TILE_M / ROWS_A_TIME];
#pragma unroll
  for (int i = 0; i < TILE_M / ROWS_A_TIME; ++i) {
    const int p = m0 + row + i * ROWS_A_TIME;
    pixel[i] = p;
    at_x[i] = p % width;
    at_y[i] = p < m ? p / width % height : -2;  // beyond the last pixel every neighbour is outside
  }
#define COPY_A_PIECE(kt, i)                                                                                      \
  const int tap = (kt) * TILE_K / channels, dy = tap / 3 - 1, dx = tap % 3 - 1;                                  \
  const int inside = at_y[i] + dy >= 0 && at_y[i] + dy < height && at_x[i] + dx >= 0 && at_x[i] + dx < width;    \
  const long at = inside ? (long)(pixel[i] + dy * width + dx) * channels + ((kt) * TILE_K - tap * channels) : 0; \
  copy_async(to + (uint)((kt) % STAGES * STAGE_BYTES + i * ROWS_A_TIME * ROW), a_piece + at, inside ? 16 : 0)
#else
#define COPY_A_PIECE(kt, i)                                                                                      \
  const int r = m0 + row + i * ROWS_A_TIME;                                                                      \
  copy_async_full(to + (uint)((kt) % STAGES * STAGE_BYTES + i * ROWS_A_TIME * ROW),                              \
                  a_piece + (long)(r < m ? r : m - 1) * k + (kt) * TILE_K)
#endif
#define COPY_TILE(kt)                                                                                            \
  _Pragma("unroll") for (int i = 0; i < TILE_M / ROWS_A_TIME; ++i) {                                             \
    COPY_A_PIECE(kt, i);                                                                                         \
  }                                                                                                              \
  _Pragma("unroll") for (int i = 0; i < TILE_N / ROWS_A_TIME; ++i) {                                             \
    const int r = n0 + row + i * ROWS_A_TIME;                                                                    \
    copy_async_full(to + (uint)((kt) % STAGES * STAGE_BYTES + (TILE_M + i * ROWS_A_TIME) * ROW),                 \
                    b_piece + (long)(r < n ? r : n - 1) * k + (kt) * TILE_K);                                    \
  }
#pragma unroll
  for (int s = 0; s < STAGES - 2; ++s) {
    if (s < depth) {
      COPY_TILE(s);
    }
    copy_commit();
  }
  float sum[WGMMA_N / 2];
#pragma unroll
  for (int i = 0; i < WGMMA_N / 2; ++i) sum[i] = 0;
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
  BARRIER();
  const int r = (t >> 5) * 16 + (lane >> 2);
#pragma unroll
  for (int j = 0; j < TILE_N / 8; ++j) {
    const int column = j * 8 + (lane & 3) * 2;
    KEEP_PAIR(r, column, sum[4 * j], sum[4 * j + 1]);
    KEEP_PAIR(r + 8, column, sum[4 * j + 2], sum[4 * j + 3]);
  }
  STORE_KEPT();
}

#else

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
  float sum[WGMMA_N / 2];
#pragma unroll
  for (int i = 0; i < WGMMA_N / 2; ++i) sum[i] = 0;
#pragma unroll 1
  for (int n = 0; n < count; ++n) wgmma_tile(sum, left, right);
  wgmma_finish(sum);
  float* const to = out + ((long)BLOCK_X * TILE_M + (t >> 5) * 16 + (lane >> 2)) * TILE_N + (lane & 3) * 2;
#pragma unroll
  for (int j = 0; j < TILE_N / 8; ++j) {
    *(float2*)(to + j * 8) = MAKE_FLOAT2(sum[4 * j], sum[4 * j + 1]);
    *(float2*)(to + 8 * TILE_N + j * 8) = MAKE_FLOAT2(sum[4 * j + 2], sum[4 * j + 3]);
  }
}

#endif
