// variants: sp dp
// GEMM: C = alpha A op(B) + beta C of n × n matrices in rows, n a multiple of 128; op(B) is B (gemm_n) or its transpose
// (gemm_t). With beta = 0, C is only written.
//
// A block of 256 threads makes a tile of 128 × 128. It walks along k in steps of DEPTH, with two pairs of slices in
// shared memory: while the threads multiply one pair, the next one is on its way. Both slices lie there with k
// outermost, so that a thread's operands are a few whole float4. A thread's 8 × 8 results are four 4 × 4 corners, 32
// rows and 16 columns apart: the 32 threads of a warp read from each slice without a bank conflict.
#include "dialect.h"
#include "async_copy.h"

#define THREADS 256
#define TILE 128
#define STRIDE (TILE + 4)  // a slice's row: 4 more than the tile, against bank conflicts when it is transposed
#ifdef REAL_IS_DOUBLE
#define DEPTH 8
#define WIDE 2  // numbers in 16 bytes
#define COPY_ONE ASYNC_COPY_8
#else
#define DEPTH 16
#define WIDE 4
#define COPY_ONE ASYNC_COPY_4
#endif
#define SLICE (DEPTH * STRIDE)

#ifdef __OPENCL_VERSION__
#define FMA4(a, b, c) fma((REAL4)(a), b, c)
#else
#define FMA4(a, b, c) (REAL4{FMA(a, b.x, c.x), FMA(a, b.y, c.y), FMA(a, b.z, c.z), FMA(a, b.w, c.w)})
#endif
#define ADD_ROW(row, a) (row[0] = FMA4(a, y0, row[0]), row[1] = FMA4(a, y1, row[1]))

// Two blocks a multiprocessor: one computes while the other waits at its barrier.
#if defined(__OPENCL_VERSION__) || defined(REAL_IS_DOUBLE)
#define BOUNDS MAX_THREADS(THREADS)
#else
#define BOUNDS __attribute__((launch_bounds(THREADS, 2)))
#endif

// A slice of a matrix that has k along its rows: `from` is the tile's first row at the slice's first k.
DEVICE void load_transposed(SHARED_POINTER REAL* to, GLOBAL const REAL* from, int n, int t) {
#pragma unroll
  for (int i = 0; i < DEPTH * TILE / THREADS; ++i) {
    const int k = t % DEPTH, row = t / DEPTH + i * (THREADS / DEPTH);
    COPY_ONE(to + k * STRIDE + row, from + (ulong)row * n + k);
  }
}

// A slice of a matrix that has k along its columns: `from` is the slice's first row at the tile's first column.
DEVICE void load_straight(SHARED_POINTER REAL* to, GLOBAL const REAL* from, int n, int t) {
#pragma unroll
  for (int i = 0; i < DEPTH * TILE / THREADS / WIDE; ++i) {
    const int column = t % (TILE / WIDE) * WIDE, k = t / (TILE / WIDE) + i * (THREADS * WIDE / TILE);
    ASYNC_COPY_16(to + k * STRIDE + column, from + (ulong)k * n + column);
  }
}

DEVICE void gemm(GLOBAL const REAL* A, GLOBAL const REAL* B, GLOBAL REAL* C, REAL alpha, REAL beta, int n,
                 const int transposed, SHARED_POINTER REAL* a, SHARED_POINTER REAL* b) {
  const int t = THREAD_X, lane = t % 32, warp = t / 32;
  // Eight warps as 2 × 4, each over 64 × 32; its lanes as 8 × 4.
  const int row = warp / 4 * 64 + lane / 4 * 4, column = warp % 4 * 32 + lane % 4 * 4;
  GLOBAL const REAL* from_a = A + (ulong)BLOCK_Y * TILE * n;
  GLOBAL const REAL* from_b = transposed ? B + (ulong)BLOCK_X * TILE * n : B + BLOCK_X * TILE;
  const ulong step_b = transposed ? DEPTH : (ulong)DEPTH * n;

  REAL4 sum[8][2];
#pragma unroll
  for (int i = 0; i < 8; ++i) sum[i][0] = sum[i][1] = MAKE_REAL4(0, 0, 0, 0);

  load_transposed(a, from_a, n, t);
  if (transposed) load_transposed(b, from_b, n, t);
  if (!transposed) load_straight(b, from_b, n, t);
  ASYNC_COMMIT();
  int half_ = 0;
  for (int at = 0; at < n; at += DEPTH) {
    ASYNC_WAIT(0);
    BARRIER();
    if (at + DEPTH < n) {
      from_a += DEPTH;
      from_b += step_b;
      load_transposed(a + (half_ ^ 1) * SLICE, from_a, n, t);
      if (transposed) load_transposed(b + (half_ ^ 1) * SLICE, from_b, n, t);
      if (!transposed) load_straight(b + (half_ ^ 1) * SLICE, from_b, n, t);
      ASYNC_COMMIT();
    }
    SHARED_POINTER const REAL* my_a = a + half_ * SLICE + row;
    SHARED_POINTER const REAL* my_b = b + half_ * SLICE + column;
#if defined(__OPENCL_VERSION__) && !defined(__NV_CL_C_VERSION)
#pragma unroll 1  // PoCL would take longer to compile this than to run it
#else
#pragma unroll
#endif
    for (int k = 0; k < DEPTH; ++k) {
      const REAL4 x0 = *(SHARED_POINTER const REAL4*)(my_a + k * STRIDE);
      const REAL4 x1 = *(SHARED_POINTER const REAL4*)(my_a + k * STRIDE + 32);
      const REAL4 y0 = *(SHARED_POINTER const REAL4*)(my_b + k * STRIDE);
      const REAL4 y1 = *(SHARED_POINTER const REAL4*)(my_b + k * STRIDE + 16);
      ADD_ROW(sum[0], x0.x), ADD_ROW(sum[1], x0.y), ADD_ROW(sum[2], x0.z), ADD_ROW(sum[3], x0.w);
      ADD_ROW(sum[4], x1.x), ADD_ROW(sum[5], x1.y), ADD_ROW(sum[6], x1.z), ADD_ROW(sum[7], x1.w);
    }
    half_ ^= 1;
  }

  GLOBAL REAL* out = C + ((ulong)BLOCK_Y * TILE + row) * n + BLOCK_X * TILE + column;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      GLOBAL REAL4* to = (GLOBAL REAL4*)(out + (ulong)(i % 4 + i / 4 * 32) * n + j * 16);
      REAL4 value = alpha * sum[i][j];
      if (beta != 0) value += beta * *to;
      *to = value;
    }
  }
}

KERNEL void BOUNDS gemm_n(GLOBAL const REAL* RESTRICT A, GLOBAL const REAL* RESTRICT B, GLOBAL REAL* RESTRICT C,
                          REAL alpha, REAL beta, int n) {
  SHARED REAL4 a[2 * SLICE / 4];
  SHARED REAL4 b[2 * SLICE / 4];
  gemm(A, B, C, alpha, beta, n, 0, (SHARED_POINTER REAL*)a, (SHARED_POINTER REAL*)b);
}

KERNEL void BOUNDS gemm_t(GLOBAL const REAL* RESTRICT A, GLOBAL const REAL* RESTRICT B, GLOBAL REAL* RESTRICT C,
                          REAL alpha, REAL beta, int n) {
  SHARED REAL4 a[2 * SLICE / 4];
  SHARED REAL4 b[2 * SLICE / 4];
  gemm(A, B, C, alpha, beta, n, 1, (SHARED_POINTER REAL*)a, (SHARED_POINTER REAL*)b);
}
