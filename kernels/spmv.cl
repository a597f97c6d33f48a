// variants: sp dp
// SpMV: y = A x of a sparse matrix in two storages. CSR has the rows' numbers one after the other, row r from begins[r]
// on; ELLPACK-R has the rows' first numbers, then their second ones, …, so that threads of neighbouring rows read
// neighbouring memory.
//
// A number costs two loads of which the second, of x, waits for the first, of the column. A thread that has a row to
// itself therefore has eight numbers on the way, and the columns of the next eight.
#include "dialect.h"
#include "warp.h"

#define THREADS 128

// A thread a row. Its numbers come in aligned fours as far as possible.
KERNEL void MAX_THREADS(THREADS) spmv_csr_scalar(GLOBAL const REAL* RESTRICT values, GLOBAL const int* RESTRICT columns,
                                                 GLOBAL const int* RESTRICT begins, GLOBAL const REAL* RESTRICT x,
                                                 GLOBAL REAL* RESTRICT y, int rows) {
  const int row = GLOBAL_X;
  if (row >= rows) return;
  const int end = begins[row + 1];
  REAL a = 0, b = 0, c = 0, d = 0;
  int i = begins[row];
  for (; i < end && i % 4 != 0; ++i) a = FMA(values[i], x[columns[i]], a);
  GLOBAL const int4* four_columns = (GLOBAL const int4*)columns;
  GLOBAL const REAL4* four_values = (GLOBAL const REAL4*)values;
  if (i + 7 < end) {
    int4 p = four_columns[i / 4], q = four_columns[i / 4 + 1];
    for (; i + 7 < end; i += 8) {
      const REAL4 v = four_values[i / 4], w = four_values[i / 4 + 1];
      const REAL x0 = x[p.x], x1 = x[p.y], x2 = x[p.z], x3 = x[p.w];
      const REAL x4 = x[q.x], x5 = x[q.y], x6 = x[q.z], x7 = x[q.w];
      if (i + 15 < end) p = four_columns[i / 4 + 2], q = four_columns[i / 4 + 3];
      a = FMA(v.x, x0, a), b = FMA(v.y, x1, b), c = FMA(v.z, x2, c), d = FMA(v.w, x3, d);
      a = FMA(w.x, x4, a), b = FMA(w.y, x5, b), c = FMA(w.z, x6, c), d = FMA(w.w, x7, d);
    }
  }
  for (; i < end; ++i) a = FMA(values[i], x[columns[i]], a);
  y[row] = (a + b) + (c + d);
}

// 32 threads a row.
KERNEL void MAX_THREADS(THREADS) spmv_csr_vector(GLOBAL const REAL* RESTRICT values, GLOBAL const int* RESTRICT columns,
                                                 GLOBAL const int* RESTRICT begins, GLOBAL const REAL* RESTRICT x,
                                                 GLOBAL REAL* RESTRICT y, int rows) {
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
KERNEL void MAX_THREADS(THREADS) spmv_ellpackr(GLOBAL const REAL* RESTRICT values, GLOBAL const int* RESTRICT columns,
                                               GLOBAL const int* RESTRICT lengths, GLOBAL const REAL* RESTRICT x,
                                               GLOBAL REAL* RESTRICT y, int rows, int stride) {
  const int row = GLOBAL_X;
  if (row >= rows) return;
  const int length = lengths[row];
  GLOBAL const REAL* value = values + row;
  GLOBAL const int* column = columns + row;
  const long step = stride;
  REAL a = 0, b = 0, c = 0, d = 0;
  int i = 0;
  if (length >= 8) {
    int p[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) p[j] = column[j * step];
    for (; i + 7 < length; i += 8, value += 8 * step) {
      REAL v[8], w[8];
#pragma unroll
      for (int j = 0; j < 8; ++j) v[j] = value[j * step];
#pragma unroll
      for (int j = 0; j < 8; ++j) w[j] = x[p[j]];
      column += 8 * step;
      if (i + 15 < length) {
#pragma unroll
        for (int j = 0; j < 8; ++j) p[j] = column[j * step];
      }
#pragma unroll
      for (int j = 0; j < 8; j += 4) {
        a = FMA(v[j], w[j], a), b = FMA(v[j + 1], w[j + 1], b);
        c = FMA(v[j + 2], w[j + 2], c), d = FMA(v[j + 3], w[j + 3], d);
      }
    }
  }
  for (; i < length; ++i, value += step, column += step) a = FMA(value[0], x[column[0]], a);
  y[row] = (a + b) + (c + d);
}
