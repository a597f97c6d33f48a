// variants: dp sm90
// apis: cuda
// GEMM in double precision on tensor cores: C = alpha A op(B) + beta C as in gemm.cl. Half of a modern GPU's rate in
// double precision can only be had this way.
//
// A block of four warps makes a tile of 128 × 64, each warp 64 × 32 of it as 8 × 4 products of 8 × 8. mma.m8n8k4 wants
// of a lane one number of A (row lane / 4, k lane % 4), one of B (k lane % 4, column lane / 4) and gives it two of C
// (row lane / 4, columns 2 (lane % 4) and the next). mma.m16n8k8, which there is from sm_90 on, is four of those at
// once, operand by operand. Three slices of 8 along k are in flight. The slices' strides are 4
// or 12 modulo 16 numbers, so that the 16 lanes of half a warp find their numbers in different banks.
#include "dialect.h"
#include "async_copy.h"

#define THREADS 128
#define ROWS 128
#define COLUMNS 64
#define DEPTH 8
#define SLICES 3
#define STRIDE_K (DEPTH + 4)        // of a slice with k along its rows
#define STRIDE_COLUMN (COLUMNS + 4)  // of one with k along its columns
#define SLICE_A (ROWS * STRIDE_K)
#define SLICE_B (COLUMNS * STRIDE_K)

// c += a b of 16 rows, 8 columns and 8 along k. a: upper and lower rows of the first 4 along k, then of the last 4.
#ifdef VARIANT_sm90
DEVICE void multiply(double* c, const double* a, const double* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+d"(c[0]), "+d"(c[1]), "+d"(c[2]), "+d"(c[3])
      : "d"(a[0]), "d"(a[1]), "d"(a[2]), "d"(a[3]), "d"(b[0]), "d"(b[1]));
}
#else
DEVICE void multiply_8(double* c, double a, double b) {
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};"
               : "+d"(c[0]), "+d"(c[1])
               : "d"(a), "d"(b));
}
DEVICE void multiply(double* c, const double* a, const double* b) {
  multiply_8(c, a[0], b[0]);
  multiply_8(c + 2, a[1], b[0]);
  multiply_8(c, a[2], b[1]);
  multiply_8(c + 2, a[3], b[1]);
}
#endif

DEVICE void load(double* a, double* b, const double* from_a, const double* from_b, int n, const bool transposed, int t) {
#pragma unroll
  for (int i = 0; i < ROWS * DEPTH / 2 / THREADS; ++i) {
    const int row = t / (DEPTH / 2) + i * (THREADS * 2 / DEPTH), k = t % (DEPTH / 2) * 2;
    ASYNC_COPY_16(a + row * STRIDE_K + k, from_a + (ulong)row * n + k);
  }
#pragma unroll
  for (int i = 0; i < COLUMNS * DEPTH / 2 / THREADS; ++i) {
    if (transposed) {
      const int column = t / (DEPTH / 2) + i * (THREADS * 2 / DEPTH), k = t % (DEPTH / 2) * 2;
      ASYNC_COPY_16(b + column * STRIDE_K + k, from_b + (ulong)column * n + k);
    } else {
      const int k = t / (COLUMNS / 2) + i * (THREADS * 2 / COLUMNS), column = t % (COLUMNS / 2) * 2;
      ASYNC_COPY_16(b + k * STRIDE_COLUMN + column, from_b + (ulong)k * n + column);
    }
  }
}

DEVICE void gemm(const double* A, const double* B, double* C, double alpha, double beta, int n, const bool transposed,
                 double* a, double* b) {
  const int t = THREAD_X, lane = t % 32, warp = t / 32;
  const int row = warp / 2 * 64 + lane / 4, column = warp % 2 * 32 + lane / 4, k_lane = lane % 4;
  const double* from_a = A + (ulong)BLOCK_Y * ROWS * n;
  const double* from_b = transposed ? B + (ulong)BLOCK_X * COLUMNS * n : B + BLOCK_X * COLUMNS;
  const ulong step_b = transposed ? DEPTH : (ulong)DEPTH * n;

  double sum[4][4][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;
  }

  // n is a multiple of 128, hence there are at least SLICES - 1 slices.
#pragma unroll
  for (int s = 0; s < SLICES - 1; ++s) {
    load(a + s * SLICE_A, b + s * SLICE_B, from_a, from_b, n, transposed, t);
    ASYNC_COMMIT();
    from_a += DEPTH;
    from_b += step_b;
  }
  int use = 0, fetch = SLICES - 1;
  for (int at = 0; at < n; at += DEPTH) {
    ASYNC_WAIT(SLICES - 2);
    BARRIER();
    if (at + (SLICES - 1) * DEPTH < n) {
      load(a + fetch * SLICE_A, b + fetch * SLICE_B, from_a, from_b, n, transposed, t);
      from_a += DEPTH;
      from_b += step_b;
    }
    ASYNC_COMMIT();  // an empty group too: the wait counts groups
    fetch = fetch == SLICES - 1 ? 0 : fetch + 1;
    const double* my_a = a + use * SLICE_A + row * STRIDE_K + k_lane;
    const double* my_b = b + use * SLICE_B + (transposed ? column * STRIDE_K + k_lane : k_lane * STRIDE_COLUMN + column);
    use = use == SLICES - 1 ? 0 : use + 1;
    double x[4][4], y[4][2];
#pragma unroll
    for (int part = 0; part < 4; ++part) {
#pragma unroll
      for (int i = 0; i < 4; ++i) x[i][part] = my_a[(i * 16 + part % 2 * 8) * STRIDE_K + part / 2 * 4];
    }
#pragma unroll
    for (int k = 0; k < 2; ++k) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        y[j][k] = transposed ? my_b[j * 8 * STRIDE_K + k * 4] : my_b[k * 4 * STRIDE_COLUMN + j * 8];
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) multiply(sum[i][j], x[i], y[j]);
    }
  }

  double* out = C + ((ulong)BLOCK_Y * ROWS + row) * n + BLOCK_X * COLUMNS + warp % 2 * 32 + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      double2* to = (double2*)(out + (ulong)i * 8 * n + j * 8);
      double2 value = MAKE_DOUBLE2(alpha * sum[i / 2][j][i % 2 * 2], alpha * sum[i / 2][j][i % 2 * 2 + 1]);
      if (beta != 0) value += beta * *to;
      *to = value;
    }
  }
}

KERNEL void __attribute__((launch_bounds(THREADS, 2)))
gemm_n(const double* RESTRICT A, const double* RESTRICT B, double* RESTRICT C, double alpha, double beta, int n) {
  SHARED double2 a[SLICES * SLICE_A / 2];
  SHARED double2 b[SLICES * SLICE_B / 2];
  gemm(A, B, C, alpha, beta, n, false, (double*)a, (double*)b);
}

KERNEL void __attribute__((launch_bounds(THREADS, 2)))
gemm_t(const double* RESTRICT A, const double* RESTRICT B, double* RESTRICT C, double alpha, double beta, int n) {
  SHARED double2 a[SLICES * SLICE_A / 2];
  SHARED double2 b[SLICES * SLICE_B / 2];
  gemm(A, B, C, alpha, beta, n, true, (double*)a, (double*)b);
}
