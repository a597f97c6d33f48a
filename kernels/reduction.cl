// variants: sp dp
// Reduction: the sum of n numbers, n a multiple of LANES. Each block leaves one sum; the last block to finish adds
// those up. Blocks of OpenCL 1.2 see each other's writes only in the next launch: there a launch of one block does it.
#include "dialect.h"

#define THREADS 256

// 16 bytes: what a thread loads at once.
#ifdef REAL_IS_DOUBLE
#define VECTOR double2
#define LANES 2
#define SUM(v) ((v).x + (v).y)
#else
#define VECTOR float4
#define LANES 4
#define SUM(v) (((v).x + (v).y) + ((v).z + (v).w))
#endif

// In part[0], of the whole block.
DEVICE void add_up(SHARED_POINTER REAL* part, REAL mine) {
  const int t = THREAD_X;
  part[t] = mine;
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step) part[t] += part[t + step];
    BARRIER();
  }
}

// Eight loads of a thread are on their way at a time, also at the end, and eight sums run.
DEVICE REAL sum_of(GLOBAL const REAL* in, int n) {
  GLOBAL const VECTOR* v = (GLOBAL const VECTOR*)in;
  const int count = n / LANES, stride = BLOCKS_X * THREADS;
  VECTOR sum[8], loaded[8];
#pragma unroll
  for (int j = 0; j < 8; ++j) sum[j] = 0;
  int i = BLOCK_X * THREADS + THREAD_X;
  for (; i + 7 * stride < count; i += 8 * stride) {
#pragma unroll
    for (int j = 0; j < 8; ++j) loaded[j] = v[i + j * stride];
#pragma unroll
    for (int j = 0; j < 8; ++j) sum[j] += loaded[j];
  }
#pragma unroll
  for (int j = 0; j < 8; ++j) loaded[j] = i + j * stride < count ? v[i + j * stride] : (VECTOR)0;
#pragma unroll
  for (int j = 0; j < 8; ++j) sum[j] += loaded[j];
#pragma unroll
  for (int apart = 4; apart > 0; apart /= 2) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j < apart) sum[j] += sum[j + apart];
    }
  }
  return SUM(sum[0]);
}

#ifdef __OPENCL_VERSION__

KERNEL void MAX_THREADS(THREADS) reduce(GLOBAL const REAL* RESTRICT in, GLOBAL REAL* RESTRICT out, int n) {
  SHARED REAL part[THREADS];
  add_up(part, sum_of(in, n));
  if (THREAD_X == 0) out[BLOCK_X] = part[0];
}
// One block.
KERNEL void MAX_THREADS(THREADS) finish(GLOBAL const REAL* RESTRICT sums, GLOBAL REAL* RESTRICT out, int n) {
  SHARED REAL part[THREADS];
  REAL sum = 0;
  for (int i = THREAD_X; i < n; i += THREADS) sum += sums[i];
  add_up(part, sum);
  if (THREAD_X == 0) out[0] = part[0];
}

#else

// *done is zero before and after.
KERNEL void MAX_THREADS(THREADS) reduce(const REAL* RESTRICT in, REAL* sums, REAL* RESTRICT out, int* done, int n) {
  SHARED REAL part[THREADS];
  SHARED int last;
  add_up(part, sum_of(in, n));
  if (THREAD_X == 0) {
    *(volatile REAL*)(sums + BLOCK_X) = part[0];
    __nvvm_membar_gl();
    last = ATOMIC_ADD_INT(done, 1) == BLOCKS_X - 1;
    __nvvm_membar_gl();
  }
  BARRIER();
  if (!last) return;
  REAL sum = 0;
  for (int i = THREAD_X; i < BLOCKS_X; i += THREADS) sum += *(volatile REAL*)(sums + i);
  add_up(part, sum);
  if (THREAD_X == 0) {
    out[0] = part[0];
    *done = 0;
  }
}

#endif
