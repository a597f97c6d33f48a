// variants: bf16 bf16s tf32 fp32 conv convs
// GEMM for linear layers: C[m][n] = sum over k of A[m][k] * B[n][k], k contiguous in both, then what a layer adds to it.
// K is a multiple of the tile's depth (64 bf16, 32 floats); M is any, N a multiple of 4.
//
// On the tensor cores (CUDA; all variants but fp32) tiles of A and B come into shared memory by cp.async, several stages
// ahead, rows of 128 bytes whose 16-byte pieces are permuted by the row's number, so that neither the copies nor
// ldmatrix meet in a bank. A tf32 tile is a bf16 tile to everything but the mma itself: both read pieces of 32 bits.
//
// conv: A's rows are the pixels of an NHWC image, its columns the 3 x 3 neighbours' channels: element (tap, c) of pixel
// (y, x) lies at the neighbour's channel c, and is zero beyond the edge. No such matrix is ever written down.
#include "ai_layer.h"

#if defined(VARIANT_tf32) || defined(VARIANT_fp32)
#define ELEMENT float
#else
#define ELEMENT ushort
#endif
#if defined(VARIANT_conv) || defined(VARIANT_convs)
#define CONVOLUTION
#endif

#if !defined(__OPENCL_VERSION__) && !defined(VARIANT_fp32)

#if defined(VARIANT_bf16s)
#define WARPS_M 2
#define WARPS_N 2
#define WARP_M 32
#define WARP_N 64
#elif defined(VARIANT_conv)
#define WARPS_M 2
#define WARPS_N 2
#define WARP_M 64
#define WARP_N 64
#elif defined(VARIANT_convs)
#define WARPS_M 4
#define WARPS_N 1
#define WARP_M 32
#define WARP_N 64
#else
#define WARPS_M 2
#define WARPS_N 4
#define WARP_M 64
#define WARP_N 64
#endif
#define TILE_M (WARPS_M * WARP_M)
#define TILE_N (WARPS_N * WARP_N)
#define THREADS (32 * WARPS_M * WARPS_N)
#ifdef VARIANT_conv
#define STAGES 3  // two blocks fit a multiprocessor
#else
#define STAGES 4
#endif
#define ROW 128  // bytes of a tile's row
#define STAGE_BYTES ((TILE_M + TILE_N) * ROW)
#define TILE_K (ROW / (int)sizeof(ELEMENT))
#define ROWS_A_TIME (THREADS / 8)
#define PIECES_A (TILE_M / ROWS_A_TIME)
#define PIECES_B (TILE_N / ROWS_A_TIME)
#define FRAGMENTS_M (WARP_M / 16)
#define FRAGMENTS_N (WARP_N / 8)

extern __attribute__((shared)) uint4 tiles[];

#ifdef CONVOLUTION
#define IMAGE_PARAMETERS , int height, int width, int channels
#else
#define IMAGE_PARAMETERS
#endif

KERNEL void MAX_THREADS(THREADS)
    gemm(const ELEMENT* RESTRICT a, const ELEMENT* RESTRICT b, void* RESTRICT c, const float* RESTRICT bias,
         const float* RESTRICT scale, const void* RESTRICT residual, int m, int n, int k, int flags IMAGE_PARAMETERS) {
  const int t = THREAD_X, lane = t & 31, warp = t >> 5;
  // Blocks take the tiles in bands of 8 tile rows, column by column, so that what runs at one time shares A and B in L2.
  const int tiles_m = (m + TILE_M - 1) / TILE_M, tiles_n = (n + TILE_N - 1) / TILE_N;
  const int band = BLOCK_X / (8 * tiles_n), first = band * 8;
  const int rows_in_band = tiles_m - first < 8 ? tiles_m - first : 8;
  const int in_band = BLOCK_X - band * 8 * tiles_n;
  const int m0 = (first + in_band % rows_in_band) * TILE_M, n0 = in_band / rows_in_band * TILE_N;

  // What this thread copies: piece t % 8 of every ROWS_A_TIME-th row.
  const int row = t >> 3, piece = t & 7;
  const uint base = shared_address(tiles);
  const uint to = base + (uint)(row * ROW + ((piece ^ (row & 7)) << 4));
  const ELEMENT* const a_piece = a + piece * (16 / (int)sizeof(ELEMENT));
  const ELEMENT* const b_piece = b + piece * (16 / (int)sizeof(ELEMENT));
#ifdef CONVOLUTION
  int pixel[PIECES_A], at_y[PIECES_A], at_x[PIECES_A];
#pragma unroll
  for (int i = 0; i < PIECES_A; ++i) {
    const int p = m0 + row + i * ROWS_A_TIME;
    pixel[i] = p;
    at_x[i] = p % width;
    at_y[i] = p < m ? p / width % height : -2;  // beyond the last pixel every neighbour is outside
  }
#endif
  const int depth = k / TILE_K;
// One third of the copies of tile `kt`: they are spread over the steps of the arithmetic.
#define COPY_A(kt, from, until)                                                                                   \
  _Pragma("unroll") for (int i = (from); i < (until); ++i) {                                                      \
    COPY_A_PIECE(kt, i);                                                                                          \
  }
#ifdef CONVOLUTION
#define COPY_A_PIECE(kt, i)                                                                                       \
  const int tap = (kt) * TILE_K / channels, dy = tap / 3 - 1, dx = tap % 3 - 1;                                   \
  const int inside = at_y[i] + dy >= 0 && at_y[i] + dy < height && at_x[i] + dx >= 0 && at_x[i] + dx < width;     \
  const long at = inside ? (long)(pixel[i] + dy * width + dx) * channels + ((kt) * TILE_K - tap * channels) : 0;  \
  copy_async(to + (uint)((kt) % STAGES * STAGE_BYTES + i * ROWS_A_TIME * ROW), a_piece + at, inside ? 16 : 0)
#else
#define COPY_A_PIECE(kt, i)                                                                                       \
  const int r = m0 + row + i * ROWS_A_TIME;                                                                       \
  copy_async_full(to + (uint)((kt) % STAGES * STAGE_BYTES + i * ROWS_A_TIME * ROW),                               \
                  a_piece + (long)(r < m ? r : m - 1) * k + (kt) * TILE_K)
#endif
#define COPY_B(kt, from, until)                                                                                   \
  _Pragma("unroll") for (int i = (from); i < (until); ++i) {                                                      \
    const int r = n0 + row + i * ROWS_A_TIME;                                                                     \
    copy_async_full(to + (uint)((kt) % STAGES * STAGE_BYTES + (TILE_M + i * ROWS_A_TIME) * ROW),                  \
                    b_piece + (long)(r < n ? r : n - 1) * k + (kt) * TILE_K);                                     \
  }

#pragma unroll
  for (int s = 0; s < STAGES - 1; ++s) {
    if (s < depth) {
      COPY_A(s, 0, PIECES_A);
      COPY_B(s, 0, PIECES_B);
    }
    copy_commit();
  }

  // What this warp multiplies: WARP_M rows of A by WARP_N rows of B.
  const int warp_m = warp % WARPS_M * WARP_M, warp_n = warp / WARPS_M * WARP_N;
  const uint from_a = base + (uint)((warp_m + (lane & 15)) * ROW);
  const uint from_b = base + (uint)((TILE_M + warp_n + (lane & 7) + (lane >> 4) * 8) * ROW);
  const uint piece_a = (uint)(((lane >> 4) ^ (lane & 7)) << 4);
  const uint piece_b = (uint)((((lane >> 3) & 1) ^ (lane & 7)) << 4);
  float sum[FRAGMENTS_M][FRAGMENTS_N][4];
#pragma unroll
  for (int i = 0; i < FRAGMENTS_M; ++i) {
#pragma unroll
    for (int j = 0; j < FRAGMENTS_N; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) sum[i][j][e] = 0;
    }
  }
  uint fa[2][FRAGMENTS_M][4], fb[2][FRAGMENTS_N / 2][4];
#define LOAD_FRAGMENTS(buffer, stage, step)                                                              \
  _Pragma("unroll") for (int i = 0; i < FRAGMENTS_M; ++i)                                                \
      load_matrices(fa[buffer][i], (stage) + from_a + (piece_a ^ ((step) * 32u)) + (uint)(i * 16 * ROW)); \
  _Pragma("unroll") for (int j = 0; j < FRAGMENTS_N / 2; ++j)                                            \
      load_matrices(fb[buffer][j], (stage) + from_b + (piece_b ^ ((step) * 32u)) + (uint)(j * 16 * ROW))

  COPY_WAIT(STAGES - 2);
  BARRIER();
  LOAD_FRAGMENTS(0, 0u, 0);
  for (int kt = 0; kt < depth; ++kt) {
    const uint stage = (uint)(kt % STAGES * STAGE_BYTES), next = (uint)((kt + 1) % STAGES * STAGE_BYTES);
    const int ahead = kt + STAGES - 1;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (step == 3) {
        // The next tile is here for all threads, and all have read the last of this one into registers.
        copy_commit();
        COPY_WAIT(STAGES - 2);
        BARRIER();
        LOAD_FRAGMENTS(0, next, 0);
      } else {
        LOAD_FRAGMENTS((step + 1) & 1, stage, step + 1);
        if (ahead < depth) {
          COPY_A(ahead, PIECES_A * step / 3, PIECES_A * (step + 1) / 3);
          COPY_B(ahead, PIECES_B * step / 3, PIECES_B * (step + 1) / 3);
        }
      }
#pragma unroll
      for (int i = 0; i < FRAGMENTS_M; ++i) {
#pragma unroll
        for (int j = 0; j < FRAGMENTS_N; ++j) {
          const uint* const f = fb[step & 1][j / 2] + (j & 1) * 2;
#ifdef VARIANT_tf32
          mma_tf32(sum[i][j], fa[step & 1][i], f[0], f[1]);
#else
          mma_bf16(sum[i][j], fa[step & 1][i], f[0], f[1]);
#endif
        }
      }
    }
  }
  COPY_WAIT(0);
  BARRIER();
#pragma unroll
  for (int i = 0; i < FRAGMENTS_M; ++i) {
#pragma unroll
    for (int j = 0; j < FRAGMENTS_N; ++j) {
      const int r = warp_m + i * 16 + (lane >> 2), column = warp_n + j * 8 + (lane & 3) * 2;
      KEEP_PAIR(r, column, sum[i][j][0], sum[i][j][1]);
      KEEP_PAIR(r + 8, column, sum[i][j][2], sum[i][j][3]);
    }
  }
  STORE_KEPT();
}

#else  // by plain arithmetic: 128 x 128 tiles, 8 x 8 elements a thread

#define TILE 128
#define DEPTH 16
#define THREADS 256

#ifdef CONVOLUTION
#define IMAGE_PARAMETERS , int height, int width, int channels
#else
#define IMAGE_PARAMETERS
#endif

#define TILE_ROW (TILE + 4)  // of a transposed tile: a warp's stores meet in twos
// Four neighbours of a row, as floats.
DEVICE float4 load_four(GLOBAL const ELEMENT* from, int inside) {
  if (!inside) return MAKE_FLOAT4(0.0f, 0.0f, 0.0f, 0.0f);
#if defined(VARIANT_tf32) || defined(VARIANT_fp32)
  return *(GLOBAL const float4*)from;
#else
  const uint2 w = *(GLOBAL const uint2*)from;
  return MAKE_FLOAT4(bf16_low(w.x), bf16_high(w.x), bf16_low(w.y), bf16_high(w.y));
#endif
}
// Into a column of the transposed tile.
DEVICE void put_four(SHARED_POINTER float* to, float4 v) {
  to[0] = v.x, to[TILE_ROW] = v.y, to[2 * TILE_ROW] = v.z, to[3 * TILE_ROW] = v.w;
}

KERNEL void MAX_THREADS_BLOCKS(THREADS, 2)
    gemm(GLOBAL const ELEMENT* RESTRICT a, GLOBAL const ELEMENT* RESTRICT b, GLOBAL void* RESTRICT c,
         GLOBAL const float* RESTRICT bias, GLOBAL const float* RESTRICT scale, GLOBAL const void* RESTRICT residual,
         int m, int n, int k, int flags IMAGE_PARAMETERS) {
  // Two of each: the next is filled while one is multiplied. Read as float4.
  SHARED float tile_a[2 * DEPTH * TILE_ROW] __attribute__((aligned(16)));
  SHARED float tile_b[2 * DEPTH * TILE_ROW] __attribute__((aligned(16)));
  const int t = THREAD_X, tx = t & 15, ty = t >> 4;
  const int tiles_m = (m + TILE - 1) / TILE;
  const int m0 = BLOCK_X % tiles_m * TILE, n0 = BLOCK_X / tiles_m * TILE;
  // What this thread copies: four columns of two rows, 64 apart.
  const int row = t >> 2, four = (t & 3) * 4;
  float sum[8][8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) sum[i][j] = 0;
  }
  float4 next_a[2], next_b[2];
#ifdef CONVOLUTION
#define LOAD_A(k0, h)                                                                                             \
  const int row_a = m0 + row + (h) * 64, tap = (k0) / channels;                                                   \
  const int y = row_a / width % height + tap / 3 - 1, x = row_a % width + tap % 3 - 1;                            \
  const int inside = row_a < m && y >= 0 && y < height && x >= 0 && x < width;                                    \
  const long at = ((long)row_a + (tap / 3 - 1) * width + tap % 3 - 1) * channels + ((k0) - tap * channels) + four; \
  next_a[h] = load_four(a + (inside ? at : 0), inside)
#else
#define LOAD_A(k0, h)                                  \
  const int row_a = m0 + row + (h) * 64;               \
  next_a[h] = load_four(a + (long)(row_a < m ? row_a : m - 1) * k + (k0) + four, 1)
#endif
#define LOAD_TILES(k0)                                                                  \
  _Pragma("unroll") for (int h = 0; h < 2; ++h) {                                       \
    LOAD_A(k0, h);                                                                      \
    const int row_b = n0 + row + h * 64;                                                \
    next_b[h] = load_four(b + (long)(row_b < n ? row_b : n - 1) * k + (k0) + four, 1);  \
  }
#define STORE_TILES(stage)                                                              \
  _Pragma("unroll") for (int h = 0; h < 2; ++h) {                                       \
    put_four(tile_a + ((stage) * DEPTH + four) * TILE_ROW + row + h * 64, next_a[h]);   \
    put_four(tile_b + ((stage) * DEPTH + four) * TILE_ROW + row + h * 64, next_b[h]);   \
  }
  LOAD_TILES(0);
  STORE_TILES(0);
  BARRIER();
  for (int k0 = 0; k0 < k; k0 += DEPTH) {
    const int stage = (k0 / DEPTH) & 1;
    if (k0 + DEPTH < k) {
      LOAD_TILES(k0 + DEPTH);
    }
    SHARED_POINTER const float* const from_a = tile_a + stage * DEPTH * TILE_ROW + ty * 8;
    // Two groups of four columns, 64 apart: a warp's reads are contiguous.
    SHARED_POINTER const float* const from_b = tile_b + stage * DEPTH * TILE_ROW + tx * 4;
// On a CPU, where OpenCL takes its time over what is unrolled, there is little gain.
#if defined(__OPENCL_VERSION__) && !defined(__NV_CL_C_VERSION)
#pragma unroll 1
#else
#pragma unroll 2
#endif
    for (int d = 0; d < DEPTH; ++d) {
      const float4 x0 = *(SHARED_POINTER const float4*)(from_a + d * TILE_ROW);
      const float4 x1 = *(SHARED_POINTER const float4*)(from_a + d * TILE_ROW + 4);
      const float4 y0 = *(SHARED_POINTER const float4*)(from_b + d * TILE_ROW);
      const float4 y1 = *(SHARED_POINTER const float4*)(from_b + d * TILE_ROW + 64);
#define MULTIPLY_ROW(i, v)                                                                    \
  sum[i][0] = FMA(v, y0.x, sum[i][0]), sum[i][1] = FMA(v, y0.y, sum[i][1]);                   \
  sum[i][2] = FMA(v, y0.z, sum[i][2]), sum[i][3] = FMA(v, y0.w, sum[i][3]);                   \
  sum[i][4] = FMA(v, y1.x, sum[i][4]), sum[i][5] = FMA(v, y1.y, sum[i][5]);                   \
  sum[i][6] = FMA(v, y1.z, sum[i][6]), sum[i][7] = FMA(v, y1.w, sum[i][7])
      MULTIPLY_ROW(0, x0.x);
      MULTIPLY_ROW(1, x0.y);
      MULTIPLY_ROW(2, x0.z);
      MULTIPLY_ROW(3, x0.w);
      MULTIPLY_ROW(4, x1.x);
      MULTIPLY_ROW(5, x1.y);
      MULTIPLY_ROW(6, x1.z);
      MULTIPLY_ROW(7, x1.w);
    }
    if (k0 + DEPTH < k) {
      STORE_TILES(stage ^ 1);
    }
    BARRIER();
  }
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int column = n0 + h * 64 + tx * 4;
    const float4 own_scale = scale_of(scale, flags, n, column), own_bias = bias_of(bias, flags, n, column);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int r = m0 + ty * 8 + i;
      store_four(c, flags, m, n, r, column,
                 MAKE_FLOAT4(sum[i][4 * h], sum[i][4 * h + 1], sum[i][4 * h + 2], sum[i][4 * h + 3]), own_scale,
                 own_bias, residual_of(residual, flags, m, n, r, column));
    }
  }
}

#endif
