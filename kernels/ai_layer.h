// What a layer adds to its matrix product, as the last thing done to it: bias, scale, activation, residual.
#ifndef NM_AI_LAYER_H
#define NM_AI_LAYER_H
#include "ai_bf16.h"

#define ADD_BIAS 1      // bias[n]
#define APPLY_GELU 2
#define ADD_RESIDUAL 4  // residual[m][n], of the output's type
#define FLOAT_OUT 8     // else bf16
#define APPLY_SCALE 16  // times scale[n], before the bias: a batch norm folded into two vectors
#define APPLY_RELU 32

// Two neighbouring columns of a row, finished and stored.
DEVICE void store_pair(GLOBAL void* c, GLOBAL const float* bias, GLOBAL const float* scale, GLOBAL const void* residual,
                       int flags, int m, int n, int row, int column, float x, float y) {
  if (row >= m || column >= n) return;
  const ulong at = (ulong)row * (ulong)n + (ulong)column;
  if (flags & APPLY_SCALE) x *= scale[column], y *= scale[column + 1];
  if (flags & ADD_BIAS) x += bias[column], y += bias[column + 1];
  if (flags & APPLY_GELU) x = gelu(x), y = gelu(y);
  if (flags & FLOAT_OUT) {
    if (flags & ADD_RESIDUAL) {
      const float2 r = *(GLOBAL const float2*)((GLOBAL const float*)residual + at);
      x += r.x, y += r.y;
    }
    if (flags & APPLY_RELU) x = x > 0 ? x : 0, y = y > 0 ? y : 0;
    *(GLOBAL float2*)((GLOBAL float*)c + at) = MAKE_FLOAT2(x, y);
  } else {
    if (flags & ADD_RESIDUAL) {
      const uint r = *(GLOBAL const uint*)((GLOBAL const ushort*)residual + at);
      x += bf16_low(r), y += bf16_high(r);
    }
    if (flags & APPLY_RELU) x = x > 0 ? x : 0, y = y > 0 ? y : 0;
    *(GLOBAL uint*)((GLOBAL ushort*)c + at) = bf16_pair(x, y);
  }
}

#endif
