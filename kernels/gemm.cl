// variants: sp dp
// GEMM: C = alpha A op(B) + beta C of n × n matrices in rows, n a multiple of 128; op(B) is B (gemm_n) or its transpose
// (gemm_t). With beta = 0, C is only written.
//
// A block makes a tile of 128 × 128 and walks along k in slices of DEPTH, three of them in shared memory: while the
// threads multiply one, two are on their way. All slices lie there with k outermost, so that a thread's operands are
// whole float4. In single precision a thread has 8 × 16 results, in 4 × 4 corners 32 rows and 16 columns apart: for a step
// along k it reads 24 numbers and does 128 multiply-adds, and the 32 threads of a warp read from each slice without a bank
// conflict. With 8 × 8 results, shared memory would be as busy as the arithmetic. In double precision there are no
// registers for more than that.
#include "dialect.h"
#include "async_copy.h"

#define TILE 128
#define DEPTH 8
#define SLICES 3
#define STRIDE (TILE + 4)  // a slice's row: 4 more than the tile, against bank conflicts when it is transposed
#define SLICE (DEPTH * STRIDE)
#ifdef REAL_IS_DOUBLE
#define QUADS 2  // of a thread's columns
#define WIDE 2   // numbers in 16 bytes
#define COPY_ONE ASYNC_COPY_8
#else
#define QUADS 4
#define WIDE 4
#define COPY_ONE ASYNC_COPY_4
#endif
#define WARP_COLUMNS (16 * QUADS)  // a warp's part of the tile has 64 rows
#define WARPS_ACROSS (TILE / WARP_COLUMNS)
#define THREADS (2 * WARPS_ACROSS * 32)
#define PIECES (DEPTH * TILE / THREADS)  // numbers of a slice that a thread fetches

#ifdef __OPENCL_VERSION__
#define BOUNDS MAX_THREADS(THREADS)
#define FMA4(a, b, c) fma((REAL4)(a), b, c)
#else
#define BOUNDS __attribute__((launch_bounds(THREADS, 256 / THREADS)))
#define FMA4(a, b, c) (REAL4{FMA(a, b.x, c.x), FMA(a, b.y, c.y), FMA(a, b.z, c.z), FMA(a, b.w, c.w)})
#endif
#if defined(__OPENCL_VERSION__) && !defined(__NV_CL_C_VERSION)
#define UNROLL _Pragma("unroll 1")  // PoCL would take longer to compile it than to run it
#else
#define UNROLL _Pragma("unroll")
#endif

// A slice comes into shared memory in two halves: what `fetch` began, `put` ends. On CUDA the copy is asynchronous, and
// there is nothing to end. In OpenCL a thread keeps the numbers in registers while it computes.
#ifdef __OPENCL_VERSION__
#define FETCH_ONE(to, kept, from) kept = *(from)
#define PUT_ONE(to, kept) *(to) = kept
#else
#define FETCH_ONE(to, kept, from) (void)(kept); COPY_ONE(to, from)
#define PUT_ONE(to, kept) ((void)(to), (void)(kept), (void)t)
#endif

// Of a matrix that has k along its rows: `from` is the tile's first row at the slice's first k.
#define AT_TRANSPOSED(i) (t % DEPTH * STRIDE + t / DEPTH + (i) * (THREADS / DEPTH))
DEVICE void fetch_transposed(SHARED_POINTER REAL* to, REAL* kept, GLOBAL const REAL* from, int n, int t) {
  UNROLL
  for (int i = 0; i < PIECES; ++i) {
    FETCH_ONE(to + AT_TRANSPOSED(i), kept[i], from + (ulong)(t / DEPTH + i * (THREADS / DEPTH)) * n + t % DEPTH);
  }
}
DEVICE void put_transposed(SHARED_POINTER REAL* to, const REAL* kept, int t) {
  UNROLL
  for (int i = 0; i < PIECES; ++i) PUT_ONE(to + AT_TRANSPOSED(i), kept[i]);
}

// Of a matrix that has k along its columns: `from` is the slice's first row at the tile's first column.
#define AT_STRAIGHT(i) (((i) * (THREADS / TILE) + t / TILE) * STRIDE + t % TILE)
DEVICE void fetch_straight(SHARED_POINTER REAL* to, REAL* kept, GLOBAL const REAL* from, int n, int t) {
#ifdef __OPENCL_VERSION__
  UNROLL
  for (int i = 0; i < PIECES; ++i) {
    FETCH_ONE(to, kept[i], from + (ulong)(i * (THREADS / TILE) + t / TILE) * n + t % TILE);
  }
#else
  (void)kept;
  UNROLL
  for (int i = 0; i < PIECES / WIDE; ++i) {
    const int column = t % (TILE / WIDE) * WIDE, k = t / (TILE / WIDE) + i * (THREADS * WIDE / TILE);
    ASYNC_COPY_16(to + k * STRIDE + column, from + (ulong)k * n + column);
  }
#endif
}
DEVICE void put_straight(SHARED_POINTER REAL* to, const REAL* kept, int t) {
  UNROLL
  for (int i = 0; i < PIECES; ++i) PUT_ONE(to + AT_STRAIGHT(i), kept[i]);
}

#define FETCH(slice)                                                                  \
  fetch_transposed(a + (slice) * SLICE, kept_a, from_a, n, t);                        \
  if (transposed) fetch_transposed(b + (slice) * SLICE, kept_b, from_b, n, t);        \
  if (!transposed) fetch_straight(b + (slice) * SLICE, kept_b, from_b, n, t);         \
  from_a += DEPTH, from_b += step_b;
#define PUT(slice)                                                    \
  put_transposed(a + (slice) * SLICE, kept_a, t);                     \
  if (transposed) put_transposed(b + (slice) * SLICE, kept_b, t);     \
  if (!transposed) put_straight(b + (slice) * SLICE, kept_b, t);

// A thread's operands of one step along k.
DEVICE void read_step(REAL4* x, REAL4* y, SHARED_POINTER const REAL* a, SHARED_POINTER const REAL* b) {
  x[0] = *(SHARED_POINTER const REAL4*)a;
  x[1] = *(SHARED_POINTER const REAL4*)(a + 32);
  UNROLL
  for (int j = 0; j < QUADS; ++j) y[j] = *(SHARED_POINTER const REAL4*)(b + 16 * j);
}
DEVICE void multiply_add(REAL4 (*sum)[QUADS], const REAL4* x, const REAL4* y) {
  const REAL rows[8] = {x[0].x, x[0].y, x[0].z, x[0].w, x[1].x, x[1].y, x[1].z, x[1].w};
  UNROLL
  for (int i = 0; i < 8; ++i) {
    UNROLL
    for (int j = 0; j < QUADS; ++j) sum[i][j] = FMA4(rows[i], y[j], sum[i][j]);
  }
}

DEVICE void gemm(GLOBAL const REAL* A, GLOBAL const REAL* B, GLOBAL REAL* C, REAL alpha, REAL beta, int n,
                 const int transposed, SHARED_POINTER REAL* a, SHARED_POINTER REAL* b) {
  const int t = THREAD_X, lane = t % 32, warp = t / 32;
  const int row = warp / WARPS_ACROSS * 64 + lane / 4 * 4;
  const int column = warp % WARPS_ACROSS * WARP_COLUMNS + lane % 4 * 4;
  GLOBAL const REAL* from_a = A + (ulong)BLOCK_Y * TILE * n;
  GLOBAL const REAL* from_b = transposed ? B + (ulong)BLOCK_X * TILE * n : B + BLOCK_X * TILE;
  const ulong step_b = transposed ? DEPTH : (ulong)DEPTH * n;
  REAL kept_a[PIECES], kept_b[PIECES];

  REAL4 sum[8][QUADS];
  UNROLL
  for (int i = 0; i < 8; ++i) {
    UNROLL
    for (int j = 0; j < QUADS; ++j) sum[i][j] = MAKE_REAL4(0, 0, 0, 0);
  }

  // n is a multiple of 128, hence there are more slices than are begun here.
  UNROLL
  for (int s = 0; s < SLICES - 1; ++s) {
    FETCH(s)
    ASYNC_COMMIT();
    PUT(s)
  }
#ifdef __OPENCL_VERSION__
  int use = 0, next = SLICES - 1;
  for (int at = 0; at < n; at += DEPTH) {
    ASYNC_WAIT(SLICES - 2);
    BARRIER();
    const int more = at + (SLICES - 1) * DEPTH < n;
    if (more) {
      FETCH(next)
    }
    ASYNC_COMMIT();  // an empty group too: the wait counts groups
    SHARED_POINTER const REAL* my_a = a + use * SLICE + row;
    SHARED_POINTER const REAL* my_b = b + use * SLICE + column;
    UNROLL
    for (int k = 0; k < DEPTH; ++k) {
      REAL4 x[2], y[QUADS];
      read_step(x, y, my_a + k * STRIDE, my_b + k * STRIDE);
      multiply_add(sum, x, y);
    }
    if (more) {
      PUT(next)
    }
    use = use == SLICES - 1 ? 0 : use + 1;
    next = next == SLICES - 1 ? 0 : next + 1;
  }
#else
  // As above, and a step ahead: while the threads multiply one step's operands, the next step's come into registers, the
  // next slice's first ones too, so that nothing waits behind the barrier.
  REAL4 x[2][2], y[2][QUADS];
  int use = 0, next = SLICES - 1;
  ASYNC_WAIT(SLICES - 2);
  BARRIER();
  read_step(x[0], y[0], a + row, b + column);
  for (int at = 0; at < n; at += DEPTH) {
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
      if (k == 0) {
        if (at + (SLICES - 1) * DEPTH < n) {
          FETCH(next)
        }
        ASYNC_COMMIT();
        next = use;  // free once all threads are behind the barrier
      }
      if (k == DEPTH - 1) {
        use = use == SLICES - 1 ? 0 : use + 1;
        ASYNC_WAIT(SLICES - 2);
        BARRIER();
      }
      // Behind the last slice this reads what is of no use, and nothing uses it.
      const int step = use * SLICE + (k + 1) % DEPTH * STRIDE;
      read_step(x[(k + 1) % 2], y[(k + 1) % 2], a + step + row, b + step + column);
      multiply_add(sum, x[k % 2], y[k % 2]);
    }
  }
#endif

  GLOBAL REAL* out = C + ((ulong)BLOCK_Y * TILE + row) * n + BLOCK_X * TILE + column;
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

KERNEL void BOUNDS gemm_n(GLOBAL const REAL* RESTRICT A, GLOBAL const REAL* RESTRICT B, GLOBAL REAL* RESTRICT C,
                          REAL alpha, REAL beta, int n) {
  SHARED REAL4 a[SLICES * SLICE / 4];
  SHARED REAL4 b[SLICES * SLICE / 4];
  gemm(A, B, C, alpha, beta, n, 0, (SHARED_POINTER REAL*)a, (SHARED_POINTER REAL*)b);
}

KERNEL void BOUNDS gemm_t(GLOBAL const REAL* RESTRICT A, GLOBAL const REAL* RESTRICT B, GLOBAL REAL* RESTRICT C,
                          REAL alpha, REAL beta, int n) {
  SHARED REAL4 a[SLICES * SLICE / 4];
  SHARED REAL4 b[SLICES * SLICE / 4];
  gemm(A, B, C, alpha, beta, n, 1, (SHARED_POINTER REAL*)a, (SHARED_POINTER REAL*)b);
}
