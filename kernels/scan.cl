// variants: sp dp
// Scan: out[i] = in[0] + … + in[i - 1].
//
// On CUDA one launch does it all: each tile's block tells its sum and looks back for those before it ("decoupled
// look-back"), so a number is read once and written once. Two blocks a multiprocessor go from tile to tile. While a block
// waits for what is before one tile, it has told the next one's sum, and the one after that is on its way: the wait is
// short, as others have told theirs early too, and memory is busy in it. Blocks of OpenCL may not wait for each other:
// there it takes three launches, the sums of chunks, their scan, and the scan of each chunk.
#include "dialect.h"
#include "warp.h"
#include "async_copy.h"

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
#define DEEP 4    // a look back takes in DEEP * 32 tiles at a time
#define BUFFERS 3 // tiles in shared memory
#define UNROLL _Pragma("unroll")

DEVICE REAL scan_warp(REAL v, int lane) {
  UNROLL
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
  asm volatile("st.relaxed.gpu.global.v2.u64 [%0], {%1, %2};" ::"l"(state + 2 * tile),
               "l"(((ulong)flag << 32) | (bits >> 32)), "l"(((ulong)flag << 32) | (uint)bits)
               : "memory");
#else
  STORE_NOW(state + tile, ((ulong)flag << 32) | AS_UINT(sum));
#endif
}
DEVICE uint told(const ulong* state, int tile, REAL* sum) {
#ifdef REAL_IS_DOUBLE
  ulong high, low;
  asm volatile("ld.relaxed.gpu.global.v2.u64 {%0, %1}, [%2];" : "=l"(high), "=l"(low) : "l"(state + 2 * tile) : "memory");
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
      UNROLL
      for (int j = 0; j < DEEP; ++j) {
        flag[j] = all, value[j] = 0;
        if (from - 32 * j >= 0) flag[j] = told(state, from - 32 * j, &value[j]);
      }
      found = 0, end = 0, ready = 1;
      UNROLL
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
  UNROLL
  for (int by = 16; by > 0; by /= 2) sum += SHUFFLE_XOR(sum, by);
  return sum;
}

extern __attribute__((shared)) float4 buffers[];  // BUFFERS tiles

// state[0] hands out tiles in the order in which blocks ask: whoever has one that a block waits for runs already, and
// tells its sum before it waits itself. A launch draws `draws` times: for each tile, and BUFFERS + 1 times in vain a block.
KERNEL void MAX_THREADS_BLOCKS(THREADS, 2) scan_once(const REAL* RESTRICT in, REAL* RESTRICT out, ulong* state, int n,
                                                     int tiles, uint draws, uint launch) {
  SHARED REAL part[2 * WARPS];
  SHARED REAL before_tile;
  SHARED int tickets[BUFFERS + 1];
  const int t = THREAD_X, lane = t & 31, warp = t >> 5;
  const uint own = 2 * launch + 1, all = 2 * launch + 2, first_draw = launch * draws;
  uint* const drawn = (uint*)state;
  state += 2;
  if (t == 0) {
    // One after the other (the address needs the last answer): blocks that begin together take turns. A block whose
    // tiles are neighbours would keep the others waiting for its last.
    uint draw = 0;
    UNROLL
    for (int i = 0; i <= BUFFERS; ++i) {
      draw = ATOMIC_ADD_INT(drawn + (draw >> 31), 1u) - first_draw;
      tickets[i] = (int)draw;
    }
  }
  BARRIER();
  int tile[BUFFERS + 1];
  UNROLL
  for (int i = 0; i <= BUFFERS; ++i) tile[i] = tickets[i];

  // A thread copies into shared memory what it will read itself: there is no barrier for that.
  VECTOR* const mine = (VECTOR*)buffers + t;  // + (buffer * ROWS + r) * THREADS
  const int at = warp * ROWS * ROW + lane * LANES;
  const auto inside = [&](int tile, int r) { return (long)tile * TILE + at + r * ROW < n; };
  const auto fetch = [&](int tile, int buffer) __attribute__((always_inline)) {
    if (tile < tiles) {
      const REAL* const from = in + (long)tile * TILE + at;
      VECTOR* const to = mine + buffer * ROWS * THREADS;
      if ((long)(tile + 1) * TILE <= n) {
        UNROLL
        for (int r = 0; r < ROWS; ++r) ASYNC_COPY_16(to + r * THREADS, from + r * ROW);
      } else {
        UNROLL
        for (int r = 0; r < ROWS; ++r) {
          to[r * THREADS] = (VECTOR)0;
          if (inside(tile, r)) ASYNC_COPY_16(to + r * THREADS, from + r * ROW);
        }
      }
    }
    ASYNC_COMMIT();  // an empty group too: the wait counts groups
  };
  // What is before each of the thread's rows in the tile, and the tile's sum, which is told. `half` of `part` is free.
  const auto add_up = [&](int tile, int buffer, REAL* before, REAL* total, int half) __attribute__((always_inline)) {
    REAL carried = 0;
    UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const VECTOR v = mine[(buffer * ROWS + r) * THREADS];
      const REAL sums = scan_warp(SUM(v), lane), up = SHUFFLE_UP(sums, 1);
      before[r] = carried + (lane == 0 ? (REAL)0 : up);
      carried += SHUFFLE(sums, 31);
    }
    if (lane == 0) part[half * WARPS + warp] = carried;
    BARRIER();
    REAL before_warp = 0, sum = 0;
    UNROLL
    for (int w = 0; w < WARPS; ++w) {
      if (w == warp) before_warp = sum;
      sum += part[half * WARPS + w];
    }
    UNROLL
    for (int r = 0; r < ROWS; ++r) before[r] += before_warp;
    *total = sum;
    if (t == 0 && tile < tiles) tell(state, tile, tile == 0 ? all : own, sum);
  };

  REAL before[2][ROWS], total[2];
  UNROLL
  for (int i = 0; i < BUFFERS - 1; ++i) fetch(tile[i], i);
  int buffer = 0, half = 0;  // tile[0] is in `buffer`
  ASYNC_WAIT(BUFFERS - 2);
  add_up(tile[0], 0, before[0], &total[0], half);
  while (tile[0] < tiles) {
    const int last = buffer == 0 ? BUFFERS - 1 : buffer - 1, next = buffer == BUFFERS - 1 ? 0 : buffer + 1;
    fetch(tile[BUFFERS - 1], last);
    ASYNC_WAIT(BUFFERS - 2);
    half ^= 1;
    add_up(tile[1], next, before[1], &total[1], half);
    if (warp == 0) {
      uint draw = 0;
      if (lane == 0) draw = ATOMIC_ADD_INT(drawn, 1u) - first_draw;
      REAL sum = 0;
      if (tile[0] > 0) {
        sum = look_back(state, tile[0], own, all);
        if (lane == 0) tell(state, tile[0], all, sum + total[0]);
      }
      if (lane == 0) before_tile = sum, tickets[0] = (int)draw;
    }
    BARRIER();
    const REAL start = before_tile;
    const int drawn_now = tickets[0];
    REAL* const to = out + (long)tile[0] * TILE + at;
    const bool whole = (long)(tile[0] + 1) * TILE <= n;
    UNROLL
    for (int r = 0; r < ROWS; ++r) {
      const VECTOR v = mine[(buffer * ROWS + r) * THREADS];
      const REAL b = start + before[0][r];
      if (whole || inside(tile[0], r)) *(VECTOR*)(to + r * ROW) = BEFORES(v, b);
    }
    UNROLL
    for (int r = 0; r < ROWS; ++r) before[0][r] = before[1][r];
    total[0] = total[1];
    UNROLL
    for (int i = 0; i < BUFFERS; ++i) tile[i] = tile[i + 1];
    tile[BUFFERS] = drawn_now;
    buffer = next;
  }
  ASYNC_WAIT(0);
}

#endif
