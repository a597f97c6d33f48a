// variants: dp sm90
// apis: cuda
// GEMM in double precision on tensor cores: C = alpha A op(B) + beta C as in gemm.cl. Half of a modern GPU's rate in
// double precision can only be had this way.
//
// A block of eight warps makes a tile of 128 × 128, each warp 64 × 32 of it. Slices of 32 along k come into (dynamic)
// shared memory by cp.async, STAGES of them in turn; they are that deep because behind each of the barriers between them
// the tensor cores wait for the first operands. From sm_90 on there is mma.m16n8k16, which alone has the full rate
// there; before, it is put together from mma.m8n8k4. Either way a lane's numbers of A are of rows lane / 4 and that plus
// 8, k lane % 4 and that plus 4, 8 and 12; of B of column lane / 4 and the same k; of C of those two rows, columns
// 2 (lane % 4) and the next.
//
// The slices' strides are 4 modulo 16 numbers, so that the 16 lanes of half a warp find their numbers in different banks.
#include "dialect.h"
#include "async_copy.h"

#define THREADS 256
#define TILE 128
#define DEPTH 32
#ifdef VARIANT_sm90
#define STAGES 3
#else
#define STAGES 2  // sm_80 has less shared memory
#endif
#define STRIDE_K (DEPTH + 4)       // of a slice with k along its rows
#define STRIDE_COLUMN (TILE + 4)   // of one with k along its columns
#define SLICE (TILE * STRIDE_K)    // the larger of the two; the launch gives 2 * STAGES of them

extern __attribute__((shared)) double2 tiles[];

// c += a b, of 16 rows, 8 columns and 16 along k. c[0] and c[1] are of the upper rows; a[0], a[2], … too.
#ifdef VARIANT_sm90
DEVICE void multiply(double* c, const double* a, const double* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64 {%0, %1, %2, %3}, {%4, %5, %6, %7, %8, %9, %10, %11}, "
      "{%12, %13, %14, %15}, {%0, %1, %2, %3};"
      : "+d"(c[0]), "+d"(c[1]), "+d"(c[2]), "+d"(c[3])
      : "d"(a[0]), "d"(a[1]), "d"(a[2]), "d"(a[3]), "d"(a[4]), "d"(a[5]), "d"(a[6]), "d"(a[7]), "d"(b[0]), "d"(b[1]),
        "d"(b[2]), "d"(b[3]));
}
#else
DEVICE void multiply_8(double* c, double a, double b) {
  asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};"
               : "+d"(c[0]), "+d"(c[1])
               : "d"(a), "d"(b));
}
DEVICE void multiply(double* c, const double* a, const double* b) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    multiply_8(c, a[2 * k], b[k]);
    multiply_8(c + 2, a[2 * k + 1], b[k]);
  }
}
#endif

// `from` is the tile's first row at the slice's first k.
DEVICE void load_rows(double* to, const double* from, int n, int t) {
#pragma unroll
  for (int i = 0; i < TILE * DEPTH / 2 / THREADS; ++i) {
    const int row = t / (DEPTH / 2) + i * (THREADS * 2 / DEPTH), k = t % (DEPTH / 2) * 2;
    ASYNC_COPY_16(to + row * STRIDE_K + k, from + (ulong)row * n + k);
  }
}
// `from` is the slice's first k at the tile's first column.
DEVICE void load_columns(double* to, const double* from, int n, int t) {
#pragma unroll
  for (int i = 0; i < TILE * DEPTH / 2 / THREADS; ++i) {
    const int k = t / (TILE / 2) + i * (THREADS * 2 / TILE), column = t % (TILE / 2) * 2;
    ASYNC_COPY_16(to + k * STRIDE_COLUMN + column, from + (ulong)k * n + column);
  }
}

DEVICE void gemm(const double* A, const double* B, double* C, double alpha, double beta, int n, const bool transposed) {
  double* const a = (double*)tiles;
  double* const b = a + STAGES * SLICE;
  const int t = THREAD_X, lane = t % 32, warp = t / 32;
  const int row = warp / 4 * 64 + lane / 4, column = warp % 4 * 32 + lane / 4, k_lane = lane % 4;
  const double* from_a = A + (ulong)BLOCK_Y * TILE * n;
  const double* from_b = transposed ? B + (ulong)BLOCK_X * TILE * n : B + BLOCK_X * TILE;
  const ulong step_b = transposed ? DEPTH : (ulong)DEPTH * n;
  const auto load = [&](int stage) {
    load_rows(a + stage * SLICE, from_a, n, t);
    if (transposed) {
      load_rows(b + stage * SLICE, from_b, n, t);
    } else {
      load_columns(b + stage * SLICE, from_b, n, t);
    }
    from_a += DEPTH;
    from_b += step_b;
  };

  double sum[4][4][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;
  }

  // n is a multiple of 128, hence there are more slices than are begun here.
#pragma unroll
  for (int s = 0; s < STAGES - 1; ++s) {
    load(s);
    ASYNC_COMMIT();
  }
  int use = 0, next = STAGES - 1;
  for (int at = 0; at < n; at += DEPTH) {
    ASYNC_WAIT(STAGES - 2);
    BARRIER();
    if (at + (STAGES - 1) * DEPTH < n) load(next);
    ASYNC_COMMIT();  // an empty group too: the wait counts groups
    const double* my_a = a + use * SLICE + row * STRIDE_K + k_lane;
    const double* my_b = b + use * SLICE + (transposed ? column * STRIDE_K + k_lane : k_lane * STRIDE_COLUMN + column);
#pragma unroll
    for (int k16 = 0; k16 < DEPTH; k16 += 16) {
      double y[4][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        double x[8];
#pragma unroll
        for (int part = 0; part < 8; ++part) {
          x[part] = my_a[(i * 16 + part % 2 * 8) * STRIDE_K + k16 + part / 2 * 4];
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          // Each where it is needed first, so that the first product need not wait for all.
          if (i == 0) {
#pragma unroll
            for (int part = 0; part < 4; ++part) {
              const int k = k16 + part * 4;
              y[j][part] = transposed ? my_b[j * 8 * STRIDE_K + k] : my_b[k * STRIDE_COLUMN + j * 8];
            }
          }
          multiply(sum[i][j], x, y[j]);
        }
      }
    }
    use = use == STAGES - 1 ? 0 : use + 1;
    next = next == STAGES - 1 ? 0 : next + 1;
  }

  double* out = C + ((ulong)BLOCK_Y * TILE + row) * n + BLOCK_X * TILE + warp % 4 * 32 + lane % 4 * 2;
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

KERNEL void MAX_THREADS(THREADS) gemm_n(const double* RESTRICT A, const double* RESTRICT B, double* RESTRICT C,
                                        double alpha, double beta, int n) {
  gemm(A, B, C, alpha, beta, n, false);
}

KERNEL void MAX_THREADS(THREADS) gemm_t(const double* RESTRICT A, const double* RESTRICT B, double* RESTRICT C,
                                        double alpha, double beta, int n) {
  gemm(A, B, C, alpha, beta, n, true);
}
