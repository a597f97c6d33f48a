// variants: dp sm90
// apis: cuda
// GEMM in double precision on tensor cores: C = alpha A op(B) + beta C as in gemm.cl. Half of a modern GPU's rate in
// double precision can only be had this way.
//
// A block of eight warps makes a tile of 128 × 128, each warp 64 × 32 of it. Slices of DEPTH along k come into (dynamic)
// shared memory by cp.async, STAGES of them in turn. From sm_90 on there is mma.m16n8k16, which alone has the full rate
// there; before, it is put together from mma.m8n8k4. Either way a lane's numbers of A are of rows lane / 4 and that plus
// 8, k lane % 4 and that plus 4, 8 and 12; of B of column lane / 4 and the same k; of C of those two rows, columns
// 2 (lane % 4) and the next.
//
// The tensor cores must never wait for operands: a warp has one block of eight warps to hide behind, no other fits. So a
// step (16 rows of A against the warp's 32 columns, 16 along k) reads the next step's operands before it multiplies, over
// the barrier between slices too, and begins a part of the next slice's copies, which so never come in a burst.
//
// The slices' strides are 4 modulo 16 numbers, so that the 16 lanes of half a warp find their numbers in different banks.
#include "dialect.h"
#include "async_copy.h"

#define THREADS 256
#define TILE 128
#ifdef VARIANT_sm90
#define DEPTH 32
#define STAGES 3
#else
#define DEPTH 16  // sm_80 has less shared memory
#define STAGES 4
#endif
#define STRIDE_K (DEPTH + 4)       // of a slice with k along its rows
#define STRIDE_COLUMN (TILE + 4)   // of one with k along its columns
#define SLICE (TILE * STRIDE_K)    // the larger of the two; the launch gives 2 * STAGES of them
#define STAGE (2 * SLICE)          // one of A, then one of B
#define STEPS (4 * (DEPTH / 16))   // of a slice: four times 16 rows, for each 16 along k
#define PIECES (TILE * DEPTH / 2 / THREADS)  // of 16 bytes, of a slice, that a thread copies
// From one such piece to the thread's next: rows where k lies along them, else k.
#define ROWS_APART (THREADS * 2 / DEPTH)
#define K_APART (THREADS * 2 / TILE)
#define UNROLL _Pragma("unroll")

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
UNROLL
  for (int k = 0; k < 4; ++k) {
    multiply_8(c, a[2 * k], b[k]);
    multiply_8(c + 2, a[2 * k + 1], b[k]);
  }
}
#endif

DEVICE void gemm(const double* A, const double* B, double* C, double alpha, double beta, int n, const bool transposed) {
  double* const base = (double*)tiles;
  const int t = THREAD_X, lane = t % 32, warp = t / 32;
  const int row = warp / 4 * 64 + lane / 4, column = warp % 4 * 32 + lane / 4, k_lane = lane % 4;

  // What this thread copies. Along k a row has DEPTH / 2 pieces, along the columns TILE / 2.
  const int k_row = t / (DEPTH / 2), k_piece = t % (DEPTH / 2) * 2;
  const int column_row = t / (TILE / 2), column_piece = t % (TILE / 2) * 2;
  const double* from_a = A + (ulong)(BLOCK_Y * TILE + k_row) * n + k_piece;
  const double* from_b = transposed ? B + (ulong)(BLOCK_X * TILE + k_row) * n + k_piece
                                    : B + (ulong)column_row * n + BLOCK_X * TILE + column_piece;
  double* const to_a = base + k_row * STRIDE_K + k_piece;
  double* const to_b =
      base + SLICE + (transposed ? k_row * STRIDE_K + k_piece : column_row * STRIDE_COLUMN + column_piece);
  const ulong step_b = transposed ? DEPTH : (ulong)DEPTH * n;
  // Pieces of A and of B by turns, `stage` is where in shared memory.
  const auto copy_piece = [&](int i, int stage) {
    const int p = i / 2;
    if (i % 2 == 0) {
      ASYNC_COPY_16(to_a + stage + p * ROWS_APART * STRIDE_K, from_a + p * ((ulong)ROWS_APART * n));
    } else if (transposed) {
      ASYNC_COPY_16(to_b + stage + p * ROWS_APART * STRIDE_K, from_b + p * ((ulong)ROWS_APART * n));
    } else {
      ASYNC_COPY_16(to_b + stage + p * K_APART * STRIDE_COLUMN, from_b + p * ((ulong)K_APART * n));
    }
  };

  const double* const read_a = base + row * STRIDE_K + k_lane;
  const double* const read_b = base + SLICE + (transposed ? column * STRIDE_K + k_lane : k_lane * STRIDE_COLUMN + column);
  // Step s multiplies the rows s % 4 * 16 on, at k = s / 4 * 16.
  const auto load_x = [&](double* x, int stage, int step) {
    UNROLL
    for (int part = 0; part < 8; ++part) {
      x[part] = read_a[stage + (step % 4 * 16 + part % 2 * 8) * STRIDE_K + step / 4 * 16 + part / 2 * 4];
    }
  };
  const auto load_y = [&](double* y, int stage, int k16, int j) {
    UNROLL
    for (int part = 0; part < 4; ++part) {
      const int k = k16 * 16 + part * 4;
      y[part] = read_b[stage + (transposed ? j * 8 * STRIDE_K + k : k * STRIDE_COLUMN + j * 8)];
    }
  };

  double sum[4][4][4];
  UNROLL
  for (int i = 0; i < 4; ++i) {
    UNROLL
    for (int j = 0; j < 4; ++j) sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;
  }

  // n is a multiple of 128, hence there are more slices than are begun here.
  UNROLL
  for (int s = 0; s < STAGES - 1; ++s) {
    UNROLL
    for (int i = 0; i < 2 * PIECES; ++i) copy_piece(i, s * STAGE);
    ASYNC_COMMIT();
    from_a += DEPTH, from_b += step_b;
  }
  int use = 0, next = (STAGES - 1) * STAGE;  // where the slice read from, and the one copied to, begin
  ASYNC_WAIT(STAGES - 2);
  BARRIER();
  double x[2][8], y[4][4];
  load_x(x[0], 0, 0);
  UNROLL
  for (int j = 0; j < 4; ++j) load_y(y[j], 0, 0, j);
  for (int at = 0; at < n; at += DEPTH) {
    UNROLL
    for (int step = 0; step < STEPS; ++step) {
      if (step == STEPS - 1) {
        // All of this slice is in registers; behind the barrier it is so for all threads, and the next slice is there.
        // After the last one this waits for and reads what nothing uses.
        next = use;
        use = use == (STAGES - 1) * STAGE ? 0 : use + STAGE;
        ASYNC_WAIT(STAGES - 2);
        BARRIER();
      }
      load_x(x[(step + 1) % 2], use, (step + 1) % STEPS);
      if (step < STEPS - 1) {
        const int from = 2 * PIECES * step / (STEPS - 1), until = 2 * PIECES * (step + 1) / (STEPS - 1);
        UNROLL
        for (int i = from; i < until; ++i) copy_piece(i, next);
      }
      if (step == STEPS - 2) {
        ASYNC_COMMIT();
        const bool more = at + STAGES * DEPTH < n;  // if not, the last slice is copied once more, for nobody
        from_a += more ? DEPTH : 0, from_b += more ? step_b : 0;
      }
      UNROLL
      for (int j = 0; j < 4; ++j) {
        multiply(sum[step % 4][j], x[step % 2], y[j]);
        if (step % 4 == 3) load_y(y[j], use, (step / 4 + 1) % (DEPTH / 16), j);
      }
    }
  }

  double* out = C + ((ulong)BLOCK_Y * TILE + row) * n + BLOCK_X * TILE + warp % 4 * 32 + lane % 4 * 2;
UNROLL
  for (int i = 0; i < 8; ++i) {
UNROLL
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
