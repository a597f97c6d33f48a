// variants: sp dp
// Scan: out[i] = in[0] + … + in[i - 1].
//
// A tile is four rows of 4 * THREADS numbers; a thread has four neighbours of each row, so every load is a vector and
// a warp's loads lie side by side. Within a tile: the sums of the threads' fours are scanned, row after row.
// Across tiles: on CUDA one launch does it all, each tile's block telling its sum and looking back for those before it
// ("decoupled look-back"), so a number is read once and written once. Blocks of OpenCL may not wait for each other:
// there it takes three launches, the sums of chunks, their scan, and the scan of each chunk.
#include "dialect.h"
#include "warp.h"

#define THREADS 256
#define ROW (4 * THREADS)
#define TILE (4 * ROW)

DEVICE REAL4 zero4() { return MAKE_REAL4(0, 0, 0, 0); }
DEVICE REAL sum4(REAL4 v) { return (v.x + v.y) + (v.z + v.w); }
DEVICE REAL4 load4(GLOBAL const REAL* in, int i, int n) { return i < n ? *(GLOBAL const REAL4*)(in + i) : zero4(); }
// The four numbers before whose first one is `before`.
DEVICE void store4(GLOBAL REAL* out, int i, int n, REAL4 v, REAL before) {
  if (i < n) {
    *(GLOBAL REAL4*)(out + i) =
        MAKE_REAL4(before, before + v.x, before + v.x + v.y, before + v.x + v.y + v.z);
  }
}

#ifdef __OPENCL_VERSION__

#define PART REAL4
#define PARTS THREADS
// `sums`: of this thread's four numbers in each row. Answers what comes before each of them in the tile.
DEVICE REAL4 scan_sums(SHARED_POINTER REAL4* part, REAL4 sums, REAL* total) {
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

KERNEL void MAX_THREADS(THREADS) scan_sum(GLOBAL const REAL* RESTRICT in, GLOBAL REAL* RESTRICT sums, int n, int chunk) {
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
  SHARED PART part[PARTS];
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

KERNEL void MAX_THREADS(THREADS)
    scan_down(GLOBAL const REAL* RESTRICT in, GLOBAL const REAL* RESTRICT sums, GLOBAL REAL* RESTRICT out, int n, int chunk) {
  SHARED PART part[PARTS];
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

#define WARPS (THREADS / 32)  // times four rows: as many sums as a warp has threads

DEVICE REAL scan_warp(REAL v, int lane) {
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const REAL before = SHUFFLE_UP(v, by);
    if (lane >= by) v += before;
  }
  return v;
}
DEVICE REAL sum_warp(REAL v) {
#pragma unroll
  for (int by = 16; by > 0; by /= 2) v += SHUFFLE_XOR(v, by);
  return v;
}

DEVICE REAL4 scan_sums(REAL* part, REAL4 sums, REAL* total) {
  const int lane = THREAD_X & 31, warp = THREAD_X >> 5;
  const REAL x = scan_warp(sums.x, lane), y = scan_warp(sums.y, lane), z = scan_warp(sums.z, lane),
             w = scan_warp(sums.w, lane);
  if (lane == 31) part[warp] = x, part[WARPS + warp] = y, part[2 * WARPS + warp] = z, part[3 * WARPS + warp] = w;
  REAL4 before = MAKE_REAL4(SHUFFLE_UP(x, 1), SHUFFLE_UP(y, 1), SHUFFLE_UP(z, 1), SHUFFLE_UP(w, 1));
  if (lane == 0) before = zero4();
  BARRIER();
  const REAL of_warps = scan_warp(part[lane], lane);  // every warp for itself: no second barrier
  *total = SHUFFLE(of_warps, 31);
  const REAL up = SHUFFLE_UP(of_warps, 1), first = lane == 0 ? (REAL)0 : up;
  before.x += SHUFFLE(first, warp), before.y += SHUFFLE(first, WARPS + warp);
  before.z += SHUFFLE(first, 2 * WARPS + warp), before.w += SHUFFLE(first, 3 * WARPS + warp);
  return before;
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

// state[0] hands out tiles in the order in which blocks begin: those that a block waits for have begun.
KERNEL void MAX_THREADS(THREADS) scan_once(const REAL* RESTRICT in, REAL* RESTRICT out, ulong* state, int n, uint launch) {
  SHARED REAL part[32];
  SHARED REAL before_tile;
  SHARED int ticket;
  const int t = THREAD_X, lane = t & 31;
  const uint own = 2 * launch + 1, all = 2 * launch + 2;
  if (t == 0) ticket = (int)(ATOMIC_ADD_INT((uint*)state, 1u) - launch * (uint)BLOCKS_X);
  ++state;
  BARRIER();
  const int tile = ticket, i = tile * TILE + 4 * t;
  const REAL4 a = load4(in, i, n), b = load4(in, i + ROW, n), c = load4(in, i + 2 * ROW, n), d = load4(in, i + 3 * ROW, n);
  REAL total;
  const REAL4 before = scan_sums(part, MAKE_REAL4(sum4(a), sum4(b), sum4(c), sum4(d)), &total);
  if (t < 32) {
    REAL sum = 0;
    if (tile > 0) {
      if (lane == 0) tell(state, tile, own, total);
      for (int from = tile - 1;; from -= 32) {
        const int at = from - lane;
        REAL value;
        uint flag;
        do {
          value = 0, flag = all;
          if (at >= 0) flag = told(state, at, &value);
        } while (BALLOT(flag != own && flag != all));
        const uint ends = BALLOT(flag == all);
        if (ends && lane > LOWEST_BIT(ends)) value = 0;
        sum += sum_warp(value);
        if (ends) break;
      }
    }
    if (lane == 0) {
      tell(state, tile, all, sum + total);
      before_tile = sum;
    }
  }
  BARRIER();
  const REAL first = before_tile;
  store4(out, i, n, a, first + before.x);
  store4(out, i + ROW, n, b, first + before.y);
  store4(out, i + 2 * ROW, n, c, first + before.z);
  store4(out, i + 3 * ROW, n, d, first + before.w);
}

#endif
