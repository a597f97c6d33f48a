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

// Of four neighbouring columns: what is multiplied with, what is added. `n` is a multiple of 4.
DEVICE float4 scale_of(GLOBAL const float* scale, int flags, int n, int column) {
  if (!(flags & APPLY_SCALE) || column >= n) return MAKE_FLOAT4(1.0f, 1.0f, 1.0f, 1.0f);
  return *(GLOBAL const float4*)(scale + column);
}
DEVICE float4 bias_of(GLOBAL const float* bias, int flags, int n, int column) {
  if (!(flags & ADD_BIAS) || column >= n) return MAKE_FLOAT4(0.0f, 0.0f, 0.0f, 0.0f);
  return *(GLOBAL const float4*)(bias + column);
}
DEVICE float4 residual_of(GLOBAL const void* residual, int flags, int m, int n, int row, int column) {
  if (!(flags & ADD_RESIDUAL) || row >= m || column >= n) return MAKE_FLOAT4(0.0f, 0.0f, 0.0f, 0.0f);
  const ulong at = (ulong)row * (ulong)n + (ulong)column;
  if (flags & FLOAT_OUT) return *(GLOBAL const float4*)((GLOBAL const float*)residual + at);
  const uint2 r = *(GLOBAL const uint2*)((GLOBAL const ushort*)residual + at);
  return MAKE_FLOAT4(bf16_low(r.x), bf16_high(r.x), bf16_low(r.y), bf16_high(r.y));
}
// Four columns of a row, finished and stored.
DEVICE void store_four(GLOBAL void* c, int flags, int m, int n, int row, int column, float4 v, float4 scale,
                       float4 bias, float4 residual) {
  if (row >= m || column >= n) return;
  v = v * scale + bias;
  if (flags & APPLY_GELU) v = MAKE_FLOAT4(gelu(v.x), gelu(v.y), gelu(v.z), gelu(v.w));
  v += residual;
  if (flags & APPLY_RELU)
    v = MAKE_FLOAT4(v.x > 0 ? v.x : 0, v.y > 0 ? v.y : 0, v.z > 0 ? v.z : 0, v.w > 0 ? v.w : 0);
  const ulong at = (ulong)row * (ulong)n + (ulong)column;
  if (flags & FLOAT_OUT) {
    *(GLOBAL float4*)((GLOBAL float*)c + at) = v;
  } else {
    uint2 pairs;
    pairs.x = bf16_pair(v.x, v.y), pairs.y = bf16_pair(v.z, v.w);
    *(GLOBAL uint2*)((GLOBAL ushort*)c + at) = pairs;
  }
}

// The tensor cores leave pairs of columns all over a warp. They go through shared memory, which the stages need no
// longer: whole rows are then read, finished and stored, by code that is short, for the driver compiles it. A thread
// keeps to its four columns; residuals of four rows are on their way together.
#define SUMS_ROW (TILE_N + 8)  // floats; eight more keep a warp's pairs out of each other's banks
#define KEEP_PAIR(row, column, x, y) *(float2*)((float*)tiles + (row) * SUMS_ROW + (column)) = MAKE_FLOAT2(x, y)
#define ROWS_AT_ONCE (THREADS / (TILE_N / 4))
#define STORE_KEPT()                                                                                              \
  BARRIER();                                                                                                      \
  const int kept_column = THREAD_X % (TILE_N / 4) * 4, own_row = THREAD_X / (TILE_N / 4);                         \
  const float4 own_scale = scale_of(scale, flags, n, n0 + kept_column);                                           \
  const float4 own_bias = bias_of(bias, flags, n, n0 + kept_column);                                              \
  _Pragma("unroll 1") for (int e = 0; e < TILE_M; e += 4 * ROWS_AT_ONCE) {                                        \
    float4 own_residual[4];                                                                                       \
    _Pragma("unroll") for (int u = 0; u < 4; ++u) own_residual[u] =                                               \
        residual_of(residual, flags, m, n, m0 + e + u * ROWS_AT_ONCE + own_row, n0 + kept_column);                \
    _Pragma("unroll") for (int u = 0; u < 4; ++u) {                                                               \
      const int kept_row = e + u * ROWS_AT_ONCE + own_row;                                                        \
      store_four(c, flags, m, n, m0 + kept_row, n0 + kept_column,                                                 \
                 *(const float4*)((const float*)tiles + kept_row * SUMS_ROW + kept_column), own_scale, own_bias,  \
                 own_residual[u]);                                                                                \
    }                                                                                                             \
  }

#endif
