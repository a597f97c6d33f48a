// A tile of a product of matrices by plain arithmetic: 128 × 128 numbers of A op(B), by one block, whose threads each
// keep 8 × 16 of them in registers (in double precision 8 × 8: there are no registers for more).
//
// The block walks along k in slices of DEPTH, three of them in shared memory: while the threads multiply one, two are on
// their way. All slices lie there with k outermost, so that a thread's operands are whole float4. A thread's results are in
// 2 × 4 corners, 32 rows and 16 columns apart: for a step along k it reads 24 numbers and does 128 multiply-adds. With 8 × 8
// results, shared memory would be as busy as the arithmetic.
//
// Shared memory serves a warp's 16-byte reads by quarters, eight neighbouring threads at a time, and a read costs half
// where those ask for at most four different words of 16 bytes. So neighbouring threads take two columns and four rows
// (`thread_row`), not four and two, after which both operands come at that price.
#ifndef NM_GEMM_TILE_H
#define NM_GEMM_TILE_H

#include "dialect.h"
#include "async_copy.h"

#define TILE 128
#if defined(__OPENCL_VERSION__) || defined(REAL_IS_DOUBLE)
#define DEPTH 8
#else
#define DEPTH 16
#endif
#define SLICES 3
#define STRIDE (TILE + 4)    // a slice's row: 4 more than the tile, against bank conflicts when it is transposed
#define SLICE (DEPTH * STRIDE)
#define STAGE (2 * SLICE)    // one of A, then one of B
#define SHARED_REALS (SLICES * STAGE)
#ifdef REAL_IS_DOUBLE
#define QUADS 2  // of a thread's columns
#define COPY_ONE ASYNC_COPY_8
#else
#define QUADS 4
#define COPY_ONE ASYNC_COPY_4
#endif
#define WARP_COLUMNS (16 * QUADS)  // a warp's part of the tile has 64 rows
#define WARPS_ACROSS (TILE / WARP_COLUMNS)
#define THREADS (2 * WARPS_ACROSS * 32)
#define PIECES (DEPTH * TILE / THREADS)  // numbers of a slice that a thread fetches

#ifdef __OPENCL_VERSION__
#define WIDE 1                           // numbers that a thread fetches at a time, of a slice that is not transposed
#define BOUNDS MAX_THREADS(THREADS)
#define FMA4(a, b, c) fma((REAL4)(a), b, c)
#else
#define WIDE (16 / (int)sizeof(REAL))
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
#define FETCH_WIDE FETCH_ONE
#else
#define FETCH_ONE(to, kept, from) (void)(kept); COPY_ONE(to, from)
#define FETCH_WIDE(to, kept, from) (void)(kept); ASYNC_COPY_16(to, from)
#endif

// Of a matrix with k along its rows, the thread t copies k t % 8 of the row t / 8 and of every ROWS_APART-th after it,
// then the same 8 k on. Of one with k along its columns, WIDE neighbours of a row and of every K_APART-th after it.
#define ROWS_APART (THREADS / 8)
#define ROUND (TILE / ROWS_APART)
#define K_APART (THREADS * WIDE / TILE)
#define TO_TRANSPOSED(i) ((i) / ROUND * 8 * STRIDE + (i) % ROUND * ROWS_APART)
#define FROM_TRANSPOSED(i) ((ulong)((i) % ROUND * ROWS_APART) * n + (i) / ROUND * 8)

// The pieces from `begin` until before `end`; `to` and `from` are where the thread's first piece goes and comes from.
DEVICE void fetch_transposed(SHARED_POINTER REAL* to, REAL* kept, GLOBAL const REAL* from, int n, int begin, int end) {
  UNROLL
  for (int i = begin; i < end; ++i) {
    FETCH_ONE(to + TO_TRANSPOSED(i), kept[i], from + FROM_TRANSPOSED(i));
  }
}
DEVICE void fetch_straight(SHARED_POINTER REAL* to, REAL* kept, GLOBAL const REAL* from, int n, int begin, int end) {
  UNROLL
  for (int i = begin; i < end; ++i) {
    FETCH_WIDE(to + i * K_APART * STRIDE, kept[i], from + (ulong)(i * K_APART) * n);
  }
}

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

// Where in the tile the thread's sum[i][j] belongs: row thread_row() + i % 4 + i / 4 * 32, columns from
// thread_column() + 16 j.
DEVICE int thread_row(void) { return THREAD_X / 32 / WARPS_ACROSS * 64 + (THREAD_X % 32 >> 1 & 7) * 4; }
DEVICE int thread_column(void) {
  const int lane = THREAD_X % 32;
  return THREAD_X / 32 % WARPS_ACROSS * WARP_COLUMNS + ((lane & 1) | lane >> 4 << 1) * 4;
}

// `a` is the tile's first row of A, `b` its first row (transposed) or column of B; rows have n numbers, and k goes to n,
// a multiple of DEPTH and at least SLICES of those.
DEVICE void multiply_tile(REAL4 (*sum)[QUADS], GLOBAL const REAL* a, GLOBAL const REAL* b, int n, const int transposed,
                          SHARED_POINTER REAL* tiles) {
  const int t = THREAD_X;
  GLOBAL const REAL* from_a = a + (ulong)(t / 8) * n + t % 8;
  GLOBAL const REAL* from_b =
      b + (transposed ? (ulong)(t / 8) * n + t % 8 : (ulong)(t / (TILE / WIDE)) * n + t % (TILE / WIDE) * WIDE);
  SHARED_POINTER REAL* const to_a = tiles + t % 8 * STRIDE + t / 8;
  SHARED_POINTER REAL* const to_b =
      tiles + SLICE + (transposed ? t % 8 * STRIDE + t / 8 : t / (TILE / WIDE) * STRIDE + t % (TILE / WIDE) * WIDE);
  SHARED_POINTER const REAL* const read_a = tiles + thread_row();
  SHARED_POINTER const REAL* const read_b = tiles + SLICE + thread_column();
  const ulong step_b = transposed ? DEPTH : (ulong)DEPTH * n;
  const int pieces_b = transposed ? PIECES : PIECES / WIDE;
  REAL kept_a[PIECES], kept_b[PIECES];
  UNROLL
  for (int i = 0; i < 8; ++i) {
    UNROLL
    for (int j = 0; j < QUADS; ++j) sum[i][j] = MAKE_REAL4(0, 0, 0, 0);
  }

// The part's pieces of `parts` equal ones.
#define FETCH(stage, part, parts)                                                                        \
  fetch_transposed(to_a + (stage), kept_a, from_a, n, PIECES * (part) / (parts), PIECES * ((part) + 1) / (parts)); \
  if (transposed)                                                                                        \
    fetch_transposed(to_b + (stage), kept_b, from_b, n, PIECES * (part) / (parts), PIECES * ((part) + 1) / (parts)); \
  else                                                                                                   \
    fetch_straight(to_b + (stage), kept_b, from_b, n, pieces_b * (part) / (parts), pieces_b * ((part) + 1) / (parts));

#ifdef __OPENCL_VERSION__
#define PUT(stage)                                                                                             \
  UNROLL                                                                                                       \
  for (int i = 0; i < PIECES; ++i) {                                                                           \
    to_a[(stage) + TO_TRANSPOSED(i)] = kept_a[i];                                                              \
    to_b[(stage) + (transposed ? TO_TRANSPOSED(i) : i * K_APART * STRIDE)] = kept_b[i];                        \
  }
  for (int s = 0; s < SLICES - 1; ++s) {
    FETCH(s * STAGE, 0, 1)
    PUT(s * STAGE)
    from_a += DEPTH, from_b += step_b;
  }
  int use = 0, next = (SLICES - 1) * STAGE;
  for (int at = 0; at < n; at += DEPTH) {
    BARRIER();
    const int more = at + (SLICES - 1) * DEPTH < n;
    if (more) {
      FETCH(next, 0, 1)
      from_a += DEPTH, from_b += step_b;
    }
    UNROLL
    for (int k = 0; k < DEPTH; ++k) {
      REAL4 x[2], y[QUADS];
      read_step(x, y, read_a + use + k * STRIDE, read_b + use + k * STRIDE);
      multiply_add(sum, x, y);
    }
    if (more) {
      PUT(next)
    }
    use = use == (SLICES - 1) * STAGE ? 0 : use + STAGE;
    next = next == (SLICES - 1) * STAGE ? 0 : next + STAGE;
  }
#else
  // Here it goes a step ahead: while the threads multiply one step's operands, the next step's come into registers, over
  // the barrier between slices too. And the next slice's copies begin in PARTS, not in one burst.
#define PARTS 3
#define PART_STEPS ((DEPTH - 1) / PARTS)
  UNROLL
  for (int s = 0; s < SLICES - 1; ++s) {
    FETCH(s * STAGE, 0, 1)
    ASYNC_COMMIT();
    from_a += DEPTH, from_b += step_b;
  }
  REAL4 x[2][2], y[2][QUADS];
  int use = 0, next = (SLICES - 1) * STAGE;
  ASYNC_WAIT(SLICES - 2);
  BARRIER();
  read_step(x[0], y[0], read_a, read_b);
  for (int at = 0; at < n; at += DEPTH) {
    UNROLL
    for (int k = 0; k < DEPTH; ++k) {
      if (k == DEPTH - 1) {
        // All of this slice is in registers; behind the barrier it is so for all threads, and the next slice is there.
        // After the last one this waits for and reads what nothing uses.
        next = use;
        use = use == (SLICES - 1) * STAGE ? 0 : use + STAGE;
        ASYNC_WAIT(SLICES - 2);
        BARRIER();
      }
      const int step = use + (k + 1) % DEPTH * STRIDE;
      read_step(x[(k + 1) % 2], y[(k + 1) % 2], read_a + step, read_b + step);
      if (k % PART_STEPS == 0 && k / PART_STEPS < PARTS) {
        FETCH(next, k / PART_STEPS, PARTS)
      }
      if (k == (PARTS - 1) * PART_STEPS) {
        ASYNC_COMMIT();
        const int more = at + SLICES * DEPTH < n;  // if not, the last slice is copied once more, for nobody
        from_a += more ? DEPTH : 0, from_b += more ? step_b : 0;
      }
      multiply_add(sum, x[k % 2], y[k % 2]);
    }
  }
#endif
}

#endif
