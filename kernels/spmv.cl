// variants: sp dp
// SpMV: y = A x of a sparse matrix in two storages. CSR has the rows' numbers one after the other, row r from begins[r]
// on; ELLPACK-R has the rows' first numbers, then their second ones, …, so that threads of neighbouring rows read
// neighbouring memory.
#include "dialect.h"
#include "warp.h"

#define THREADS 128

// A thread a row.
KERNEL void MAX_THREADS(THREADS)
    spmv_csr_scalar(GLOBAL const REAL* RESTRICT values, GLOBAL const int* RESTRICT columns, GLOBAL const int* RESTRICT begins,
                    GLOBAL const REAL* RESTRICT x, GLOBAL REAL* RESTRICT y, int rows) {
  const int row = GLOBAL_X;
  if (row >= rows) return;
  const int end = begins[row + 1];
  REAL a = 0, b = 0, c = 0, d = 0;
  int i = begins[row];
  for (; i + 3 < end; i += 4) {
    a = FMA(values[i], x[columns[i]], a);
    b = FMA(values[i + 1], x[columns[i + 1]], b);
    c = FMA(values[i + 2], x[columns[i + 2]], c);
    d = FMA(values[i + 3], x[columns[i + 3]], d);
  }
  for (; i < end; ++i) a = FMA(values[i], x[columns[i]], a);
  y[row] = (a + b) + (c + d);
}

// 32 threads a row.
KERNEL void MAX_THREADS(THREADS)
    spmv_csr_vector(GLOBAL const REAL* RESTRICT values, GLOBAL const int* RESTRICT columns, GLOBAL const int* RESTRICT begins,
                    GLOBAL const REAL* RESTRICT x, GLOBAL REAL* RESTRICT y, int rows) {
  const int t = THREAD_X, lane = t & 31, row = BLOCK_X * (THREADS / 32) + t / 32;
  const int end = row < rows ? begins[row + 1] : 0;
  REAL a = 0, b = 0, c = 0, d = 0;
  int i = row < rows ? begins[row] + lane : 0;
  for (; i + 96 < end; i += 128) {
    a = FMA(values[i], x[columns[i]], a);
    b = FMA(values[i + 32], x[columns[i + 32]], b);
    c = FMA(values[i + 64], x[columns[i + 64]], c);
    d = FMA(values[i + 96], x[columns[i + 96]], d);
  }
  for (; i < end; i += 32) a = FMA(values[i], x[columns[i]], a);
  REAL sum = (a + b) + (c + d);
#ifdef __OPENCL_VERSION__
  SHARED REAL part[THREADS];
  part[t] = sum;
  BARRIER();
  for (int step = 16; step > 0; step /= 2) {
    if (lane < step) part[t] += part[t + step];
    BARRIER();
  }
  sum = part[t];
#else
#pragma unroll
  for (int by = 16; by > 0; by /= 2) sum += SHUFFLE_XOR(sum, by);
#endif
  if (lane == 0 && row < rows) y[row] = sum;
}

// A thread a row; the numbers of `stride` rows stand side by side.
KERNEL void MAX_THREADS(THREADS)
    spmv_ellpackr(GLOBAL const REAL* RESTRICT values, GLOBAL const int* RESTRICT columns, GLOBAL const int* RESTRICT lengths,
                  GLOBAL const REAL* RESTRICT x, GLOBAL REAL* RESTRICT y, int rows, int stride) {
  const int row = GLOBAL_X;
  if (row >= rows) return;
  const int length = lengths[row];
  GLOBAL const REAL* value = values + row;
  GLOBAL const int* column = columns + row;
  REAL a = 0, b = 0, c = 0, d = 0;
  int i = 0;
  for (; i + 3 < length; i += 4, value += 4 * (long)stride, column += 4 * (long)stride) {
    a = FMA(value[0], x[column[0]], a);
    b = FMA(value[stride], x[column[stride]], b);
    c = FMA(value[2 * (long)stride], x[column[2 * (long)stride]], c);
    d = FMA(value[3 * (long)stride], x[column[3 * (long)stride]], d);
  }
  for (; i < length; ++i, value += stride, column += stride) a = FMA(value[0], x[column[0]], a);
  y[row] = (a + b) + (c + d);
}
