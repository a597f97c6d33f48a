// variants: small large
// QTC: quality threshold clustering of points in a plane. Each point, as a seed, grows a candidate cluster: again and
// again it takes the point that leaves the cluster's diameter smallest, the first of equals, while that is within the
// limit. The largest candidate, of the first of equal seeds, becomes a cluster, and its points are out of the game.
//
// A point is x | y << 16, both below 2^15: squares of distances are whole numbers, and every order gives the same
// result.
#include "dialect.h"
#include "warp.h"

// A block keeps the first CAPACITY candidates in shared memory; the others lie in `spill`.
#ifdef VARIANT_small
#define THREADS 32
#define CAPACITY 32
#else
#define THREADS 256
#define CAPACITY 3072
#endif
#define TAKEN 0xffffffffu

DEVICE uint squared(uint a, uint b) {
  const int dx = (int)(a & 0xffff) - (int)(b & 0xffff), dy = (int)(a >> 16) - (int)(b >> 16);
  return (uint)(dx * dx + dy * dy);
}

// What came before this thread's number, and in *total all of them.
DEVICE int scan_block(SHARED_POINTER int* part, int v, int* total) {
  const int t = THREAD_X;
  part[t] = v;
  BARRIER();
  for (int step = 1; step < THREADS; step *= 2) {
    const int before = t >= step ? part[t - step] : 0;
    BARRIER();
    part[t] += before;
    BARRIER();
  }
  *total = part[THREADS - 1];
  const int before = part[t] - v;
  BARRIER();
  return before;
}

// The smallest of the block's (first, second), by first and then by second. `turn` alternates between 0 and 1, so that
// one barrier will do: a buffer is written again only after the barrier of the other.
DEVICE ulong smallest(SHARED_POINTER ulong* part, int turn, uint first, uint second) {
#ifdef __OPENCL_VERSION__
  const int t = THREAD_X;
  part += turn * THREADS;
  part[t] = ((ulong)first << 32) | second;
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step && part[t + step] < part[t]) part[t] = part[t + step];
    BARRIER();
  }
  return part[0];
#else
  uint low, index;
  asm volatile("redux.sync.min.u32 %0, %1, 0xffffffff;" : "=r"(low) : "r"(first));
  const uint mine = first == low ? second : TAKEN;
  asm volatile("redux.sync.min.u32 %0, %1, 0xffffffff;" : "=r"(index) : "r"(mine));
  part += turn * (THREADS / 32);
  if ((THREAD_X & 31) == 0) part[THREAD_X >> 5] = ((ulong)low << 32) | index;
  BARRIER();
  ulong best = part[0];
#pragma unroll
  for (int w = 1; w < THREADS / 32; ++w) best = part[w] < best ? part[w] : best;
  return best;
#endif
}

#ifdef __OPENCL_VERSION__
#define PARTS (2 * THREADS)
#else
#define PARTS (2 * THREADS / 32)
#endif

// A thread looks after candidates t, t + THREADS, …: `reach` is the largest distance to the cluster's points so far.
#define CONSIDER(k, place, far)                                 \
  {                                                             \
    uint r = far;                                               \
    if (r <= limit) {                                           \
      const uint d = squared(place, latest);                    \
      if (d > r) far = r = d;                                   \
      if (r <= limit && r < best) best = r, best_k = (uint)(k); \
    }                                                           \
  }

// Grows the cluster of point `seed`; answers its size. Candidate k, in the order of the points, is a member if its
// reach is TAKEN. Of `spill`, a block has 2 * n.
DEVICE int grow(GLOBAL const uint* points, int n, int seed, uint limit, SHARED_POINTER uint* places,
                SHARED_POINTER uint* reach, GLOBAL uint* spill, SHARED_POINTER int* counts,
                SHARED_POINTER ulong* part) {
  const int t = THREAD_X, each = (n + THREADS - 1) / THREADS;
  const int begin = t * each < n ? t * each : n, end = begin + each < n ? begin + each : n;
  uint latest = points[seed];
  int own = 0, candidates;
  for (int i = begin; i < end; ++i) own += i != seed && squared(points[i], latest) <= limit;
  int k = scan_block(counts, own, &candidates);
  for (int i = begin; i < end; ++i) {
    const uint place = points[i];
    if (i == seed || squared(place, latest) > limit) continue;
    if (k < CAPACITY) {
      places[k] = place, reach[k] = 0;
    } else {
      spill[k - CAPACITY] = place, spill[n + k - CAPACITY] = 0;
    }
    ++k;
  }
#ifdef __OPENCL_VERSION__
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
#else
  BARRIER();
#endif
  const int near = candidates < CAPACITY ? candidates : CAPACITY;
  int size = 1, turn = 0;
  for (;; turn = 1 - turn, ++size) {
    uint best = TAKEN, best_k = TAKEN;
    for (int c = t; c < near; c += THREADS) CONSIDER(c, places[c], reach[c])
    for (int c = CAPACITY + t; c < candidates; c += THREADS) CONSIDER(c, spill[c - CAPACITY], spill[n + c - CAPACITY])
    const ulong nearest = smallest(part, turn, best, best_k);
    if ((uint)(nearest >> 32) > limit) break;
    const int taken = (int)(uint)nearest;
    latest = taken < CAPACITY ? places[taken] : spill[taken - CAPACITY];
    if (taken % THREADS == t) {
      if (taken < CAPACITY) {
        reach[taken] = TAKEN;
      } else {
        spill[n + taken - CAPACITY] = TAKEN;
      }
    }
  }
  BARRIER();
  return size;
}

// Every point as a seed. `winner` becomes the smallest (n - size) << 15 | seed: the largest cluster's first seed.
KERNEL void MAX_THREADS(THREADS)
    qtc_candidates(GLOBAL const uint* RESTRICT points, int n, uint limit, GLOBAL int* winner,
                   GLOBAL int* RESTRICT sizes, GLOBAL uint* spill, int spill_each) {
  SHARED uint places[CAPACITY];
  SHARED uint reach[CAPACITY];
  SHARED int counts[THREADS];
  SHARED ulong part[PARTS];
  for (int seed = BLOCK_X; seed < n; seed += BLOCKS_X) {
    const int size = grow(points, n, seed, limit, places, reach, spill + (ulong)BLOCK_X * spill_each, counts, part);
    if (THREAD_X == 0) {
      sizes[seed] = size;
      ATOMIC_MIN_INT(winner, ((n - size) << 15) | seed);
    }
  }
}

// One block: grows the winner's cluster again, writes its number for each member, and leaves the other points.
KERNEL void MAX_THREADS(THREADS)
    qtc_take(GLOBAL const uint* RESTRICT points, GLOBAL const int* RESTRICT names, int n, uint limit,
             GLOBAL const int* RESTRICT winner, GLOBAL uint* RESTRICT left_points, GLOBAL int* RESTRICT left_names,
             GLOBAL int* RESTRICT clusters, int cluster, GLOBAL uint* spill) {
  SHARED uint places[CAPACITY];
  SHARED uint reach[CAPACITY];
  SHARED int counts[THREADS];
  SHARED ulong part[PARTS];
  const int t = THREAD_X, each = (n + THREADS - 1) / THREADS, seed = winner[0] & 0x7fff;
  const int begin = t * each < n ? t * each : n, end = begin + each < n ? begin + each : n;
  const uint center = points[seed];
  grow(points, n, seed, limit, places, reach, spill, counts, part);
  int own = 0, all;
  for (int i = begin; i < end; ++i) own += i != seed && squared(points[i], center) <= limit;
  const int first = scan_block(counts, own, &all);
  int k = first, stay = 0;
  for (int i = begin; i < end; ++i) {
    if (i == seed) continue;
    const int candidate = squared(points[i], center) <= limit;
    const uint far = !candidate ? 0 : k < CAPACITY ? reach[k] : spill[n + k - CAPACITY];
    k += candidate;
    stay += far != TAKEN;
  }
  int to = scan_block(counts, stay, &all);
  k = first;
  for (int i = begin; i < end; ++i) {
    const int candidate = i != seed && squared(points[i], center) <= limit;
    const uint far = i == seed ? TAKEN : !candidate ? 0 : k < CAPACITY ? reach[k] : spill[n + k - CAPACITY];
    k += candidate;
    if (far == TAKEN) {
      clusters[names[i]] = cluster;
    } else {
      left_points[to] = points[i];
      left_names[to++] = names[i];
    }
  }
}
