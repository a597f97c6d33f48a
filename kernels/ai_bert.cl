// variants: sp
// Layer norm: rows of floats (a residual stream) to the same normed, as floats and as bf16. A row a block.
#include "ai_bf16.h"

#define THREADS 256

KERNEL void MAX_THREADS(THREADS)
    layer_norm(GLOBAL const float* RESTRICT x, GLOBAL const float* RESTRICT gain, GLOBAL const float* RESTRICT bias,
               GLOBAL float* RESTRICT out, GLOBAL ushort* RESTRICT out_bf16, int width) {
  SHARED float part[THREADS];
  SHARED float part2[THREADS];
  const int t = THREAD_X;
  const long row = (long)BLOCK_X * width;
  // Sums of x and x^2, of values moved by the row's first: the difference of the two stays exact enough.
  const float origin = x[row];
  float sum = 0, square = 0;
  for (int i = t; i < width; i += THREADS) {
    const float v = x[row + i] - origin;
    sum += v;
    square = FMA(v, v, square);
  }
  part[t] = sum, part2[t] = square;
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step) part[t] += part[t + step], part2[t] += part2[t + step];
    BARRIER();
  }
  const float mean = part[0] / (float)width, variance = part2[0] / (float)width - mean * mean;
  const float scale = 1.0f / SQRT(variance + 1e-5f);
  for (int i = t; i < width; i += THREADS) {
    const float v = (x[row + i] - origin - mean) * scale * gain[i] + bias[i];
    out[row + i] = v;
    out_bf16[row + i] = float_to_bf16(v);
  }
}
