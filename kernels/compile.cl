// variants: short long
// What KernelCompile and ModuleLoad have compiled: a kernel of one line, and a block's exclusive prefix sums in shared
// memory with what adds the blocks' offsets.
#include "dialect.h"

#ifdef VARIANT_short

KERNEL void add(GLOBAL const float* RESTRICT a, GLOBAL const float* RESTRICT b, GLOBAL float* RESTRICT c) {
  const int i = GLOBAL_X;
  c[i] = a[i] + b[i];
}

#else

#define THREADS 128

// Two values a thread, up a tree of sums and down again.
KERNEL void MAX_THREADS(THREADS) scan_blocks(GLOBAL const int* RESTRICT in, GLOBAL int* RESTRICT out,
                                             GLOBAL int* RESTRICT sums, int n) {
  SHARED int tree[2 * THREADS];
  const int t = THREAD_X, first = BLOCK_X * 2 * THREADS;
  tree[t] = first + t < n ? in[first + t] : 0;
  tree[t + THREADS] = first + t + THREADS < n ? in[first + t + THREADS] : 0;
  int stride = 1;
  for (int active = THREADS; active > 0; active /= 2) {
    BARRIER();
    if (t < active) tree[stride * (2 * t + 2) - 1] += tree[stride * (2 * t + 1) - 1];
    stride *= 2;
  }
  BARRIER();
  if (t == 0) {
    sums[BLOCK_X] = tree[2 * THREADS - 1];
    tree[2 * THREADS - 1] = 0;
  }
  for (int active = 1; active <= THREADS; active *= 2) {
    stride /= 2;
    BARRIER();
    if (t < active) {
      const int low = stride * (2 * t + 1) - 1, high = stride * (2 * t + 2) - 1;
      const int held = tree[low];
      tree[low] = tree[high];
      tree[high] += held;
    }
  }
  BARRIER();
  if (first + t < n) out[first + t] = tree[t];
  if (first + t + THREADS < n) out[first + t + THREADS] = tree[t + THREADS];
}

KERNEL void MAX_THREADS(THREADS) add_offsets(GLOBAL int* RESTRICT out, GLOBAL const int* RESTRICT sums, int n) {
  SHARED int offset[1];
  const int t = THREAD_X, first = BLOCK_X * 2 * THREADS;
  if (t == 0) {
    int sum = 0;
    for (int block = 0; block < BLOCK_X; ++block) sum += sums[block];
    offset[0] = sum;
  }
  BARRIER();
  if (first + t < n) out[first + t] += offset[0];
  if (first + t + THREADS < n) out[first + t + THREADS] += offset[0];
}

#endif
