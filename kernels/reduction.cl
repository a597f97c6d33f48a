// variants: sp dp
// Reduction: the sum of n numbers. Each block leaves one sum; a second launch of one block adds those up.
#include "dialect.h"

#define THREADS 256

KERNEL void MAX_THREADS(THREADS) reduce(GLOBAL const REAL* RESTRICT in, GLOBAL REAL* RESTRICT out, int n) {
  SHARED REAL part[THREADS];
  const int t = THREAD_X;
  // Four running sums hide the latency of the loads behind each other.
  REAL s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  const int stride = BLOCKS_X * THREADS;
  int i = BLOCK_X * THREADS + t;
  for (; i + 3 * stride < n; i += 4 * stride) {
    s0 += in[i];
    s1 += in[i + stride];
    s2 += in[i + 2 * stride];
    s3 += in[i + 3 * stride];
  }
  for (; i < n; i += stride) s0 += in[i];
  part[t] = (s0 + s1) + (s2 + s3);
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step) part[t] += part[t + step];
    BARRIER();
  }
  if (t == 0) out[BLOCK_X] = part[0];
}
