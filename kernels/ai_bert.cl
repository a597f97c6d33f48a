// variants: sp
// Layer norm: rows of floats (a residual stream) to the same normed, as floats and as bf16. A row a block, four numbers a
// thread at a time; `width` a multiple of 4.
#define THREADS 256
#include "ai_reduce.h"

KERNEL void MAX_THREADS(THREADS)
    layer_norm(GLOBAL const float4* RESTRICT x, GLOBAL const float4* RESTRICT gain, GLOBAL const float4* RESTRICT bias,
               GLOBAL float4* RESTRICT out, GLOBAL uint2* RESTRICT out_bf16, int width) {
  SHARED float part[THREADS];
  const int fours = width / 4;
  const long row = (long)BLOCK_X * fours;
  // Sums of x and x^2, of values moved by the row's first: the difference of the two stays exact enough.
  const float origin = x[row].x;
  float sum = 0, square = 0, mean, variance;
  for (int i = THREAD_X; i < fours; i += THREADS) {
    const float4 v = x[row + i] - origin;
    sum += (v.x + v.y) + (v.z + v.w);
    square = FMA(v.x, v.x, FMA(v.y, v.y, FMA(v.z, v.z, FMA(v.w, v.w, square))));
  }
  BLOCK_SUM(part, sum, mean);
  BLOCK_SUM(part, square, variance);
  mean /= (float)width;
  variance = variance / (float)width - mean * mean;
  const float scale = 1.0f / SQRT(variance + 1e-5f);
  for (int i = THREAD_X; i < fours; i += THREADS) {
    const float4 v = (x[row + i] - origin - mean) * scale * gain[i] + bias[i];
    out[row + i] = v;
    uint2 pairs;
    pairs.x = bf16_pair(v.x, v.y), pairs.y = bf16_pair(v.z, v.w);
    out_bf16[row + i] = pairs;
  }
}
