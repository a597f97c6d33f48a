// variants: sp dp
// Scan: out[i] = in[0] + … + in[i - 1].
//
// On CUDA one launch does it all: each tile's block tells its sum and looks back for those before it ("decoupled
// look-back"), so a number is read once and written once. A tile has to be large and a look back wide: what a block has
// in flight pays for the time in which it only waits. Blocks of OpenCL may not wait for each other: there it takes
// three launches, the sums of chunks, their scan, and the scan of each chunk.
#include "dialect.h"
#include "warp.h"

#define THREADS 256

#ifdef __OPENCL_VERSION__

// A tile is four rows of 4 * THREADS numbers; a thread has four neighbours of each row, so every load is a vector and
// a warp's loads lie side by side. The sums of the threads' fours are scanned, all four rows at once.
#define ROW (4 * THREADS)
#define TILE (4 * ROW)

REAL4 zero4() { return MAKE_REAL4(0, 0, 0, 0); }
REAL sum4(REAL4 v) { return (v.x + v.y) + (v.z + v.w); }
REAL4 load4(GLOBAL const REAL* in, int i, int n) { return i < n ? *(GLOBAL const REAL4*)(in + i) : zero4(); }
// What comes before each of the four, if `before` comes before the first.
void store4(GLOBAL REAL* out, int i, int n, REAL4 v, REAL before) {
  if (i < n) *(GLOBAL REAL4*)(out + i) = MAKE_REAL4(before, before + v.x, before + v.x + v.y, before + v.x + v.y + v.z);
}

// `sums`: of this thread's four numbers in each row. Answers what comes before each of them in the tile.
REAL4 scan_sums(SHARED_POINTER REAL4* part, REAL4 sums, REAL* total) {
  const int t = THREAD_X;
  part[t] = sums;
  BARRIER();
  for (int step = 1; step < THREADS; step *= 2) {
    const REAL4 before = t >= step ? part[t - step] : zero4();
    BARRIER();
    part[t] += before;
    BARRIER();
  }
  const REAL4 rows = part[THREADS - 1];
  REAL4 before = t > 0 ? part[t - 1] : zero4();
  BARRIER();  // `part` may be written again
  before.y += rows.x;
  before.z += rows.x + rows.y;
  before.w += rows.x + rows.y + rows.z;
  *total = sum4(rows);
  return before;
}

KERNEL void MAX_THREADS(THREADS)
    scan_sum(GLOBAL const REAL* RESTRICT in, GLOBAL REAL* RESTRICT sums, int n, int chunk) {
  SHARED REAL part[THREADS];
  const int t = THREAD_X;
  const int begin = BLOCK_X * chunk, end = min(begin + chunk, n);
  REAL4 sum = zero4();
  for (int i = begin + 4 * t; i < end; i += ROW) sum += load4(in, i, end);
  part[t] = sum4(sum);
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step) part[t] += part[t + step];
    BARRIER();
  }
  if (t == 0) sums[BLOCK_X] = part[0];
}

// One block, for at most TILE sums in place.
KERNEL void MAX_THREADS(THREADS) scan_top(GLOBAL REAL* sums, int n) {
  SHARED REAL4 part[THREADS];
  REAL4 v[4], mine;
  for (int r = 0; r < 4; ++r) v[r] = load4(sums, r * ROW + 4 * THREAD_X, n);
  mine = MAKE_REAL4(sum4(v[0]), sum4(v[1]), sum4(v[2]), sum4(v[3]));
  REAL total;
  const REAL4 before = scan_sums(part, mine, &total);
  store4(sums, 4 * THREAD_X, n, v[0], before.x);
  store4(sums, ROW + 4 * THREAD_X, n, v[1], before.y);
  store4(sums, 2 * ROW + 4 * THREAD_X, n, v[2], before.z);
  store4(sums, 3 * ROW + 4 * THREAD_X, n, v[3], before.w);
}

KERNEL void MAX_THREADS(THREADS) scan_down(GLOBAL const REAL* RESTRICT in, GLOBAL const REAL* RESTRICT sums,
                                           GLOBAL REAL* RESTRICT out, int n, int chunk) {
  SHARED REAL4 part[THREADS];
  const int begin = BLOCK_X * chunk, end = min(begin + chunk, n);
  REAL carried = sums[BLOCK_X];
  for (int tile = begin; tile < end; tile += TILE) {
    const int i = tile + 4 * THREAD_X;
    const REAL4 a = load4(in, i, end), b = load4(in, i + ROW, end), c = load4(in, i + 2 * ROW, end),
                d = load4(in, i + 3 * ROW, end);
    REAL total;
    const REAL4 before = scan_sums(part, MAKE_REAL4(sum4(a), sum4(b), sum4(c), sum4(d)), &total);
    store4(out, i, end, a, carried + before.x);
    store4(out, i + ROW, end, b, carried + before.y);
    store4(out, i + 2 * ROW, end, c, carried + before.z);
    store4(out, i + 3 * ROW, end, d, carried + before.w);
    carried += total;
  }
}

#else

// A thread loads 16 bytes at a time, a warp 512; a warp's share of the tile are ROWS of these, one after the other.
#define WARPS (THREADS / 32)
#define ROWS 8
#ifdef REAL_IS_DOUBLE
#define VECTOR double2
#define LANES 2
#define SUM(v) ((v).x + (v).y)
#define BEFORES(v, b) (double2{b, (b) + (v).x})
#else
#define VECTOR float4
#define LANES 4
#define SUM(v) (((v).x + (v).y) + ((v).z + (v).w))
#define BEFORES(v, b) (float4{b, (b) + (v).x, (b) + (v).x + (v).y, (b) + (v).x + (v).y + (v).z})
#endif
#define ROW (32 * LANES)
#define TILE (THREADS * LANES * ROWS)
#define DEEP 4  // a look back takes in DEEP * 32 tiles at a time

DEVICE REAL scan_warp(REAL v, int lane) {
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const REAL before = SHUFFLE_UP(v, by);
    if (lane >= by) v += before;
  }
  return v;
}

// What a tile tells the others: two words, each with half of the sum and a flag, so that no word can be half old. The
// flag counts up with the launches: nothing has to be cleared between them.
DEVICE void tell(ulong* state, int tile, uint flag, REAL sum) {
#ifdef REAL_IS_DOUBLE
  const ulong bits = __builtin_bit_cast(ulong, sum);
  STORE_NOW(state + 2 * tile, ((ulong)flag << 32) | (bits >> 32));
  STORE_NOW(state + 2 * tile + 1, ((ulong)flag << 32) | (uint)bits);
#else
  STORE_NOW(state + tile, ((ulong)flag << 32) | AS_UINT(sum));
#endif
}
DEVICE uint told(const ulong* state, int tile, REAL* sum) {
#ifdef REAL_IS_DOUBLE
  const ulong high = LOAD_NOW(state + 2 * tile), low = LOAD_NOW(state + 2 * tile + 1);
  *sum = nm_double_of((uint)high, (uint)low);
  return high >> 32 == low >> 32 ? (uint)(high >> 32) : 0u;
#else
  const ulong word = LOAD_NOW(state + tile);
  *sum = AS_FLOAT((uint)word);
  return (uint)(word >> 32);
#endif
}

// The sum of all tiles before `tile`, by a warp: back to the nearest tile that knows all of its own, adding up the sums
// of those between. `own` and `all` are this launch's flags.
DEVICE REAL look_back(const ulong* state, int tile, uint own, uint all) {
  const int lane = THREAD_X & 31;
  REAL sum = 0;
  for (int from = tile - 1 - lane;; from -= 32 * DEEP) {
    REAL found;
    int end, ready;
    do {
      uint flag[DEEP];
      REAL value[DEEP];
#pragma unroll
      for (int j = 0; j < DEEP; ++j) {
        flag[j] = all, value[j] = 0;
        if (from - 32 * j >= 0) flag[j] = told(state, from - 32 * j, &value[j]);
      }
      found = 0, end = 0, ready = 1;
#pragma unroll
      for (int j = 0; j < DEEP; ++j) {
        const uint ends = BALLOT(flag[j] == all), missing = BALLOT(flag[j] != all && flag[j] != own);
        const uint needed = ends & (0u - ends) ? ((ends & (0u - ends)) << 1) - 1 : WARP_ALL;  // up to the nearest end
        if (!end) {
          if (missing & needed) ready = 0;
          if (needed >> lane & 1) found += value[j];
          end = ends != 0;
        }
      }
    } while (!ready);
    sum += found;
    if (end) break;
  }
#pragma unroll
  for (int by = 16; by > 0; by /= 2) sum += SHUFFLE_XOR(sum, by);
  return sum;
}

// state[0] hands out tiles in the order in which blocks begin: those that a block waits for have begun.
KERNEL void MAX_THREADS(THREADS)
    scan_once(const REAL* RESTRICT in, REAL* RESTRICT out, ulong* state, int n, uint launch) {
  SHARED REAL part[WARPS];
  SHARED REAL before_tile;
  SHARED int ticket;
  const int t = THREAD_X, lane = t & 31, warp = t >> 5;
  const uint own = 2 * launch + 1, all = 2 * launch + 2;
  if (t == 0) ticket = (int)(ATOMIC_ADD_INT((uint*)state, 1u) - launch * (uint)BLOCKS_X);
  ++state;
  BARRIER();
  const int tile = ticket, first = tile * TILE + warp * ROWS * ROW + lane * LANES;
  VECTOR v[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) v[r] = first + r * ROW < n ? *(const VECTOR*)(in + first + r * ROW) : (VECTOR)0;
  REAL before[ROWS], carried = 0;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const REAL sums = scan_warp(SUM(v[r]), lane), up = SHUFFLE_UP(sums, 1);
    before[r] = carried + (lane == 0 ? (REAL)0 : up);
    carried += SHUFFLE(sums, 31);
  }
  if (lane == 0) part[warp] = carried;
  BARRIER();
  REAL before_warp = 0, total = 0;
#pragma unroll
  for (int w = 0; w < WARPS; ++w) {
    if (w == warp) before_warp = total;
    total += part[w];
  }
  if (warp == 0) {
    REAL sum = 0;
    if (tile > 0) {
      if (lane == 0) tell(state, tile, own, total);
      sum = look_back(state, tile, own, all);
    }
    if (lane == 0) {
      tell(state, tile, all, sum + total);
      before_tile = sum;
    }
  }
  BARRIER();
  before_warp += before_tile;
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const REAL b = before_warp + before[r];
    if (first + r * ROW < n) *(VECTOR*)(out + first + r * ROW) = BEFORES(v[r], b);
  }
}

#endif
