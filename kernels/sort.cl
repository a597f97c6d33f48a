// variants: u32
// Sort: pairs of a 32-bit key and a 32-bit value, stably by key, least significant digit first.
//
// On CUDA a digit has 8 bits. One launch counts the digits of all four passes; then each pass reads and writes every
// pair once: a block ranks the keys of its tile, tells the others how many of each digit it has, and looks back for how
// many there are before. In OpenCL a digit has 4 bits and a pass takes three launches: count, scan, scatter.
#include "dialect.h"
#include "warp.h"

#define THREADS 256

#ifdef __OPENCL_VERSION__

#define DIGITS 16
#define DIGIT(key) (((key) >> shift) & (DIGITS - 1))
#define ITEMS 4
#define TILE (ITEMS * THREADS)

// In place, over THREADS numbers: what came before each.
DEVICE void scan_part(SHARED_POINTER uint* part) {
  const int t = THREAD_X;
  BARRIER();
  for (int step = 1; step < THREADS; step *= 2) {
    const uint before = t >= step ? part[t - step] : 0;
    BARRIER();
    part[t] += before;
    BARRIER();
  }
  const uint exclusive = t > 0 ? part[t - 1] : 0;
  BARRIER();
  part[t] = exclusive;
  BARRIER();
}

// counts[digit * BLOCKS_X + block]
KERNEL void MAX_THREADS(THREADS)
    sort_count(GLOBAL const uint* RESTRICT keys, GLOBAL uint* RESTRICT counts, int n, int chunk, int shift) {
  SHARED uint count[DIGITS];
  const int begin = BLOCK_X * chunk, end = min(begin + chunk, n);
  if (THREAD_X < DIGITS) count[THREAD_X] = 0;
  BARRIER();
  for (int i = begin + THREAD_X; i < end; i += THREADS) ATOMIC_ADD_INT(&count[DIGIT(keys[i])], 1u);
  BARRIER();
  if (THREAD_X < DIGITS) counts[THREAD_X * BLOCKS_X + BLOCK_X] = count[THREAD_X];
}

// One block, in place.
KERNEL void MAX_THREADS(THREADS) sort_scan(GLOBAL uint* counts, int n) {
  SHARED uint part[THREADS];
  const int t = THREAD_X;
  const int each = (n + THREADS - 1) / THREADS, begin = min(t * each, n), end = min(begin + each, n);
  uint sum = 0;
  for (int i = begin; i < end; ++i) sum += counts[i];
  part[t] = sum;
  scan_part(part);
  uint before = part[t];
  for (int i = begin; i < end; ++i) {
    const uint count = counts[i];
    counts[i] = before;
    before += count;
  }
}

KERNEL void MAX_THREADS(THREADS)
    sort_scatter(GLOBAL const uint* RESTRICT keys, GLOBAL const uint* RESTRICT values, GLOBAL uint* RESTRICT keys_out,
                 GLOBAL uint* RESTRICT values_out, GLOBAL const uint* RESTRICT counts, int n, int chunk, int shift) {
  SHARED ushort rank[DIGITS * THREADS];  // digit after digit, thread after thread: the order of the result
  SHARED uint part[THREADS];
  SHARED uint next[DIGITS];
  const int t = THREAD_X;
  const int begin = BLOCK_X * chunk, end = min(begin + chunk, n);
  if (t < DIGITS) next[t] = counts[t * BLOCKS_X + BLOCK_X];
  for (int tile = begin; tile < end; tile += TILE) {
    uint key[ITEMS];
    ushort own[ITEMS];
    for (int d = 0; d < DIGITS; ++d) rank[d * THREADS + t] = 0;
    for (int j = 0; j < ITEMS; ++j) {
      const int i = tile + t * ITEMS + j;
      key[j] = i < end ? keys[i] : 0;
      if (i < end) own[j] = rank[DIGIT(key[j]) * THREADS + t]++;
    }
    BARRIER();
    uint sum = 0;
    for (int d = 0; d < DIGITS; ++d) sum += rank[t * DIGITS + d];
    part[t] = sum;
    scan_part(part);
    uint before = part[t];
    for (int d = 0; d < DIGITS; ++d) {
      const uint count = rank[t * DIGITS + d];
      rank[t * DIGITS + d] = (ushort)before;
      before += count;
    }
    BARRIER();
    for (int j = 0; j < ITEMS; ++j) {
      const int i = tile + t * ITEMS + j;
      if (i < end) {
        const uint d = DIGIT(key[j]);
        const uint to = next[d] + rank[d * THREADS + t] + own[j] - rank[d * THREADS];
        keys_out[to] = key[j];
        values_out[to] = values[i];
      }
    }
    BARRIER();
    if (t < DIGITS) {
      const uint ends = t + 1 < DIGITS ? rank[(t + 1) * THREADS] : (uint)min(TILE, end - tile);
      next[t] += ends - rank[t * THREADS];
    }
    BARRIER();
  }
}

#else

#define DIGITS 256
#define DIGIT(key) (((key) >> shift) & (DIGITS - 1))
#define ITEMS 16
#define TILE (ITEMS * THREADS)
#define WARPS (THREADS / 32)
#define OWN 0x40000000u
#define ALL 0x80000000u
#define COUNT 0x3fffffffu

// counts[pass * DIGITS + digit], zero before.
KERNEL void MAX_THREADS(THREADS) sort_histogram(const uint* RESTRICT keys, uint* RESTRICT counts, int n) {
  SHARED uint count[4 * DIGITS];
  for (int i = THREAD_X; i < 4 * DIGITS; i += THREADS) count[i] = 0;
  BARRIER();
  for (int i = GLOBAL_X; i < n; i += BLOCKS_X * THREADS) {
    const uint key = keys[i];
#pragma unroll
    for (int pass = 0; pass < 4; ++pass) ATOMIC_ADD_INT(&count[pass * DIGITS + ((key >> (8 * pass)) & 255)], 1u);
  }
  BARRIER();
  for (int i = THREAD_X; i < 4 * DIGITS; i += THREADS) {
    if (count[i]) ATOMIC_ADD_INT(&counts[i], count[i]);
  }
}

// What came before the number of each of THREADS threads.
DEVICE uint scan_block(uint* part, uint v) {
  const int lane = THREAD_X & 31, warp = THREAD_X >> 5;
  uint all = v;
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    const uint before = SHUFFLE_UP(all, by);
    if (lane >= by) all += before;
  }
  if (lane == 31) part[warp] = all;
  BARRIER();
  uint before = 0;
#pragma unroll
  for (int w = 0; w < WARPS; ++w) {
    if (w < warp) before += part[w];
  }
  BARRIER();
  return before + all - v;
}

// One block a pass: where each digit begins in the result.
KERNEL void MAX_THREADS(THREADS) sort_starts(uint* counts) {
  SHARED uint part[WARPS];
  uint* const mine = counts + BLOCK_X * DIGITS + THREAD_X;
  *mine = scan_block(part, *mine);
}

// state: a ticket, then a word for each digit of each tile; zero before.
KERNEL void MAX_THREADS(THREADS)
    sort_sweep(const uint* RESTRICT keys, const uint* RESTRICT values, uint* RESTRICT keys_out,
               uint* RESTRICT values_out, const uint* RESTRICT starts, uint* state, int n, int shift) {
  SHARED uint sorted[TILE];
  SHARED uint counted[WARPS * DIGITS];
  SHARED uint begins[DIGITS];  // in the tile
  SHARED uint moves[DIGITS];   // from a place in the tile to one in the result
  SHARED uint part[WARPS];
  SHARED int ticket;
  const int t = THREAD_X, lane = t & 31, warp = t >> 5;
  const uint lower_lanes = (1u << lane) - 1;
  if (t == 0) ticket = ATOMIC_ADD_INT((int*)state, 1);
  ++state;
#pragma unroll
  for (int w = 0; w < WARPS; ++w) counted[w * DIGITS + t] = 0;
  BARRIER();
  const int tile = ticket, count = n - tile * TILE < TILE ? n - tile * TILE : TILE;
  const int first = tile * TILE + warp * 32 * ITEMS + lane;

  // Behind the end stand the largest keys: they come last in the last tile and are not written.
  uint key[ITEMS], at[ITEMS];
#pragma unroll
  for (int j = 0; j < ITEMS; ++j) key[j] = first + 32 * j < n ? keys[first + 32 * j] : 0xffffffffu;
#pragma unroll
  for (int j = 0; j < ITEMS; ++j) {
    const uint d = DIGIT(key[j]);
    uint peers = WARP_ALL;
#pragma unroll
    for (int b = 0; b < 8; ++b) {
      const uint bit = (d >> b) & 1, set = BALLOT(bit);
      peers &= bit ? set : ~set;
    }
    uint* const counter = counted + warp * DIGITS + d;
    const uint before = *counter, lower = POPCOUNT(peers & lower_lanes);
    WARP_SYNC();
    if (lower == 0) *counter = before + POPCOUNT(peers);
    WARP_SYNC();
    at[j] = before + lower;
  }
  BARRIER();

  // Thread t answers for digit t.
  uint own = 0;
#pragma unroll
  for (int w = 0; w < WARPS; ++w) {
    const uint v = counted[w * DIGITS + t];
    counted[w * DIGITS + t] = own;
    own += v;
  }
  STORE_NOW(state + tile * DIGITS + t, own | (tile == 0 ? ALL : OWN));
  const uint begin = scan_block(part, own);
  begins[t] = begin;
  uint before = 0;
  if (tile > 0) {
    // Four tiles at a time, so that their words are on the way together.
    for (int other = tile - 1, more = 1; more;) {
      uint word[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) word[j] = other - j >= 0 ? LOAD_NOW(state + (other - j) * DIGITS + t) : 0;
      int stop = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        stop |= word[j] == 0;
        if (stop) continue;
        before += word[j] & COUNT;
        --other;
        if (word[j] & ALL) more = 0, stop = 1;
      }
    }
    STORE_NOW(state + tile * DIGITS + t, (before + own) | ALL);
  }
  moves[t] = starts[shift / 8 * DIGITS + t] + before - begin;
  BARRIER();

#pragma unroll
  for (int j = 0; j < ITEMS; ++j) {
    const uint d = DIGIT(key[j]);
    at[j] += begins[d] + counted[warp * DIGITS + d];
    sorted[at[j]] = key[j];
  }
  BARRIER();
  uint to[ITEMS];
#pragma unroll
  for (int j = 0; j < ITEMS; ++j) {
    const int i = t + j * THREADS;
    const uint moved = sorted[i];
    to[j] = moves[DIGIT(moved)] + (uint)i;
    if (i < count) keys_out[to[j]] = moved;
  }
#pragma unroll
  for (int j = 0; j < ITEMS; ++j) key[j] = first + 32 * j < n ? values[first + 32 * j] : 0;
  BARRIER();
#pragma unroll
  for (int j = 0; j < ITEMS; ++j) sorted[at[j]] = key[j];
  BARRIER();
#pragma unroll
  for (int j = 0; j < ITEMS; ++j) {
    const int i = t + j * THREADS;
    if (i < count) values_out[to[j]] = sorted[i];
  }
}

#endif
