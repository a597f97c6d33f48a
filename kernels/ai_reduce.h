// Sums over a block; the including source defines THREADS, a power of two from 64 to 1,024.
#ifndef NM_AI_REDUCE_H
#define NM_AI_REDUCE_H
#include "ai_bf16.h"

// The sum, and the largest, over the block's THREADS threads, for each of them; `part` has room for THREADS numbers.
#ifdef __OPENCL_VERSION__
#define BLOCK_REDUCE(part, value, result, COMBINE)                                                    \
  BARRIER();                                                                                          \
  part[THREAD_X] = (value);                                                                           \
  BARRIER();                                                                                          \
  for (int step = THREADS / 2; step > 0; step /= 2) {                                                 \
    if (THREAD_X < step) part[THREAD_X] = COMBINE(part[THREAD_X], part[THREAD_X + step]);             \
    BARRIER();                                                                                        \
  }                                                                                                   \
  result = part[0]
#else
DEVICE float shuffled(float x, int mask) {
  float y;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(y) : "f"(x), "r"(mask));
  return y;
}
#define BLOCK_REDUCE(part, value, result, COMBINE)                           \
  {                                                                          \
    float all = (value);                                                     \
    _Pragma("unroll") for (int step = 16; step > 0; step /= 2) {             \
      const float other = shuffled(all, step);                               \
      all = COMBINE(all, other);                                             \
    }                                                                        \
    BARRIER();                                                               \
    if ((THREAD_X & 31) == 0) part[THREAD_X >> 5] = all;                     \
    BARRIER();                                                               \
    all = part[THREAD_X & (THREADS / 32 - 1)];                               \
    _Pragma("unroll") for (int step = THREADS / 64; step > 0; step /= 2) {   \
      const float other = shuffled(all, step);                               \
      all = COMBINE(all, other);                                             \
    }                                                                        \
    result = all;                                                            \
  }
#endif
#define PLUS(x, y) ((x) + (y))
#define LARGER(x, y) ((x) > (y) ? (x) : (y))
#define BLOCK_SUM(part, value, result) BLOCK_REDUCE(part, value, result, PLUS)

#endif
