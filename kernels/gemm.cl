// variants: sp dp
// GEMM: C = alpha A op(B) + beta C of n × n matrices in rows, n a multiple of 128; op(B) is B (gemm_n) or its transpose
// (gemm_t). With beta = 0, C is only written. A block makes a tile of 128 × 128 (gemm_tile.h).
#include "gemm_tile.h"

DEVICE void gemm(GLOBAL const REAL* A, GLOBAL const REAL* B, GLOBAL REAL* C, REAL alpha, REAL beta, int n,
                 const int transposed, SHARED_POINTER REAL* tiles) {
  REAL4 sum[8][QUADS];
  multiply_tile(sum, A + (ulong)BLOCK_Y * TILE * n,
                transposed ? B + (ulong)BLOCK_X * TILE * n : B + BLOCK_X * TILE, n, transposed, tiles);
  GLOBAL REAL* out = C + ((ulong)BLOCK_Y * TILE + thread_row()) * n + BLOCK_X * TILE + thread_column();
  UNROLL
  for (int i = 0; i < 8; ++i) {
    UNROLL
    for (int j = 0; j < QUADS; ++j) {
      GLOBAL REAL4* to = (GLOBAL REAL4*)(out + (ulong)(i % 4 + i / 4 * 32) * n + j * 16);
      REAL4 value = alpha * sum[i][j];
      if (beta != 0) value += beta * *to;
      *to = value;
    }
  }
}

// On CUDA the slices are more than a kernel may have without asking: the launch gives them.
#ifdef __OPENCL_VERSION__
#define TILES SHARED REAL4 tiles[SHARED_REALS / 4];
#else
#define TILES
extern __attribute__((shared)) REAL4 tiles[];
#endif

KERNEL void BOUNDS gemm_n(GLOBAL const REAL* RESTRICT A, GLOBAL const REAL* RESTRICT B, GLOBAL REAL* RESTRICT C,
                          REAL alpha, REAL beta, int n) {
  TILES
  gemm(A, B, C, alpha, beta, n, 0, (SHARED_POINTER REAL*)tiles);
}

KERNEL void BOUNDS gemm_t(GLOBAL const REAL* RESTRICT A, GLOBAL const REAL* RESTRICT B, GLOBAL REAL* RESTRICT C,
                          REAL alpha, REAL beta, int n) {
  TILES
  gemm(A, B, C, alpha, beta, n, 1, (SHARED_POINTER REAL*)tiles);
}
