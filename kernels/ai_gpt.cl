// variants: sp
// The small operations of a language model, each a kernel as an eager framework has them: for one token in floats
// (decode), and for rows of many tokens in bf16 (prefill). Weights and the cache of keys and values are bf16.
#define THREADS 256
#include "ai_reduce.h"

DEVICE float dot_four(float4 x, float sum) {
  return FMA(x.w, x.w, FMA(x.z, x.z, FMA(x.y, x.y, FMA(x.x, x.x, sum))));
}

// One row a block: x / sqrt(mean of x^2) * gain. Four numbers a thread at a time; `width` a multiple of 4.
#define NORM(STORE)                                                                                        \
  SHARED float part[THREADS];                                                                              \
  const int fours = width / 4;                                                                             \
  GLOBAL const float4* const from = (GLOBAL const float4*)x + (long)BLOCK_X * fours;                       \
  GLOBAL const float4* const gains = (GLOBAL const float4*)gain;                                           \
  float square = 0, total;                                                                                 \
  _Pragma("unroll 4") for (int i = THREAD_X; i < fours; i += THREADS) square = dot_four(from[i], square);  \
  BLOCK_SUM(part, square, total);                                                                          \
  const float scale = 1.0f / SQRT(total / (float)width + 1e-5f);                                           \
  for (int i = THREAD_X; i < fours; i += THREADS) {                                                        \
    const float4 v = from[i], g = gains[i];                                                                \
    const float4 y = MAKE_FLOAT4(v.x * scale * g.x, v.y * scale * g.y, v.z * scale * g.z, v.w * scale * g.w); \
    STORE;                                                                                                 \
  }
KERNEL void MAX_THREADS(THREADS)
    rms_norm(GLOBAL const float* RESTRICT x, GLOBAL const float* RESTRICT gain, GLOBAL float* RESTRICT out, int width) {
  NORM(((GLOBAL float4*)out)[(long)BLOCK_X * fours + i] = y)
}
KERNEL void MAX_THREADS(THREADS)
    rms_norm_rows(GLOBAL const float* RESTRICT x, GLOBAL const float* RESTRICT gain, GLOBAL ushort* RESTRICT out,
                  int width) {
  NORM(GLOBAL uint* const to = (GLOBAL uint*)out + ((long)BLOCK_X * fours + i) * 2; to[0] = bf16_pair(y.x, y.y);
       to[1] = bf16_pair(y.z, y.w))
}

// x[row] = the embedding of token[row]; a block a row.
KERNEL void embed(GLOBAL const int* RESTRICT token, GLOBAL const ushort* RESTRICT table, GLOBAL float* RESTRICT x,
                  int width) {
  const long row = (long)BLOCK_X * width, from = (long)token[BLOCK_X] * width;
  for (int i = THREAD_X; i < width; i += THREADS_X) x[row + i] = bf16_to_float(table[from + i]);
}

DEVICE float dot_eight(uint4 w, float4 a, float4 b, float sum) {
  sum = FMA(bf16_low(w.x), a.x, sum), sum = FMA(bf16_high(w.x), a.y, sum);
  sum = FMA(bf16_low(w.y), a.z, sum), sum = FMA(bf16_high(w.y), a.w, sum);
  sum = FMA(bf16_low(w.z), b.x, sum), sum = FMA(bf16_high(w.z), b.y, sum);
  sum = FMA(bf16_low(w.w), b.z, sum), sum = FMA(bf16_high(w.w), b.w, sum);
  return sum;
}

// y = W x: 32 threads have two rows of W, 128 threads eight. `k` a multiple of 8.
#define GEMV_THREADS 128
KERNEL void MAX_THREADS(GEMV_THREADS)
    gemv(GLOBAL const ushort* RESTRICT w, GLOBAL const float* RESTRICT x, GLOBAL float* RESTRICT y, int n, int k) {
  const int lane = THREAD_X & 31, warp = THREAD_X >> 5;
  const int row = (BLOCK_X * (GEMV_THREADS / 32) + warp) * 2;
  const int row0 = row < n ? row : n - 1, row1 = row + 1 < n ? row + 1 : n - 1;
  GLOBAL const ushort* const w0 = w + (long)row0 * k;
  GLOBAL const ushort* const w1 = w + (long)row1 * k;
  float s0 = 0, s1 = 0;
  int i = lane * 8;
  // Eight loads of W are on their way before the first is used.
  for (; i + 768 < k; i += 1024) {
    const uint4 a0 = *(GLOBAL const uint4*)(w0 + i), b0 = *(GLOBAL const uint4*)(w1 + i);
    const uint4 a1 = *(GLOBAL const uint4*)(w0 + i + 256), b1 = *(GLOBAL const uint4*)(w1 + i + 256);
    const uint4 a2 = *(GLOBAL const uint4*)(w0 + i + 512), b2 = *(GLOBAL const uint4*)(w1 + i + 512);
    const uint4 a3 = *(GLOBAL const uint4*)(w0 + i + 768), b3 = *(GLOBAL const uint4*)(w1 + i + 768);
#define DOT_BOTH(a, b, at)                                                                                        \
  {                                                                                                               \
    const float4 low = *(GLOBAL const float4*)(x + (at)), high = *(GLOBAL const float4*)(x + (at) + 4);           \
    s0 = dot_eight(a, low, high, s0);                                                                             \
    s1 = dot_eight(b, low, high, s1);                                                                             \
  }
    DOT_BOTH(a0, b0, i);
    DOT_BOTH(a1, b1, i + 256);
    DOT_BOTH(a2, b2, i + 512);
    DOT_BOTH(a3, b3, i + 768);
  }
  for (; i < k; i += 256) {
    const uint4 a0 = *(GLOBAL const uint4*)(w0 + i), b0 = *(GLOBAL const uint4*)(w1 + i);
    DOT_BOTH(a0, b0, i);
  }
#ifdef __OPENCL_VERSION__
  SHARED float part[2 * GEMV_THREADS];
  part[THREAD_X] = s0, part[GEMV_THREADS + THREAD_X] = s1;
  BARRIER();
  for (int step = 16; step > 0; step /= 2) {
    if (lane < step) {
      part[THREAD_X] += part[THREAD_X + step];
      part[GEMV_THREADS + THREAD_X] += part[GEMV_THREADS + THREAD_X + step];
    }
    BARRIER();
  }
  s0 = part[warp * 32], s1 = part[GEMV_THREADS + warp * 32];
#else
#pragma unroll
  for (int step = 16; step > 0; step /= 2) s0 += shuffled(s0, step), s1 += shuffled(s1, step);
#endif
  if (lane == 0 && row < n) y[row] = s0;
  if (lane == 1 && row + 1 < n) y[row + 1] = s1;
}

// Turns pairs (i, i + half) of every head by the position's angles; a thread a pair.
KERNEL void rope(GLOBAL float* RESTRICT x, GLOBAL const float2* RESTRICT turns, GLOBAL const int* RESTRICT position,
                 int heads, int width) {
  const int half_width = width / 2, i = GLOBAL_X;
  if (i >= heads * half_width) return;
  const float2 turn = turns[position[0] * half_width + i % half_width];
  const int at = i / half_width * width + i % half_width;
  const float a = x[at], b = x[at + half_width];
  x[at] = a * turn.x - b * turn.y;
  x[at + half_width] = a * turn.y + b * turn.x;
}
// The same for rows 0, 1, … of as many positions, in bf16; BLOCK_Y is the row.
KERNEL void rope_rows(GLOBAL ushort* RESTRICT x, GLOBAL const float2* RESTRICT turns, int heads, int width) {
  const int half_width = width / 2, i = GLOBAL_X, position = BLOCK_Y;
  if (i >= heads * half_width) return;
  const float2 turn = turns[position * half_width + i % half_width];
  const long at = (long)position * heads * width + i / half_width * width + i % half_width;
  const float a = bf16_to_float(x[at]), b = bf16_to_float(x[at + half_width]);
  x[at] = float_to_bf16(a * turn.x - b * turn.y);
  x[at + half_width] = float_to_bf16(a * turn.y + b * turn.x);
}

KERNEL void append(GLOBAL const float* RESTRICT x, GLOBAL ushort* RESTRICT cache, GLOBAL const int* RESTRICT position,
                   int width) {
  const int i = GLOBAL_X;
  if (i < width) cache[(long)position[0] * width + i] = float_to_bf16(x[i]);
}

// One query a head (a block) against all positions so far; at most MAX_POSITIONS. `width` 64 or 128.
#define MAX_POSITIONS 4096
KERNEL void MAX_THREADS(THREADS)
    attend(GLOBAL const float* RESTRICT q, GLOBAL const ushort* RESTRICT keys, GLOBAL const ushort* RESTRICT values,
           GLOBAL float* RESTRICT out, GLOBAL const int* RESTRICT position, int group, int kv_heads, int width,
           float scale) {
  SHARED float score[MAX_POSITIONS];
  SHARED float part[THREADS];
  SHARED float sums[8 * THREADS];
  const int t = THREAD_X, head = BLOCK_X, count = position[0] + 1, stride = kv_heads * width;
  GLOBAL const ushort* const k = keys + head / group * width;
  GLOBAL const ushort* const v = values + head / group * width;
  GLOBAL const float* const query = q + head * width;
  float most = -1e30f;
  for (int j = t; j < count; j += THREADS) {
    float s = 0;
#pragma unroll 8
    for (int d = 0; d < width; d += 8) {
      s = dot_eight(*(GLOBAL const uint4*)(k + (long)j * stride + d), *(GLOBAL const float4*)(query + d),
                    *(GLOBAL const float4*)(query + d + 4), s);
    }
    s *= scale;
    score[j] = s;
    most = most > s ? most : s;
  }
  BLOCK_REDUCE(part, most, most, LARGER);
  float sum = 0, total;
  for (int j = t; j < count; j += THREADS) {
    const float p = EXP2((score[j] - most) * 1.4426950408889634f);
    score[j] = p;
    sum += p;
  }
  BLOCK_SUM(part, sum, total);
  // A thread has eight neighbouring columns of every so many-th position.
  const int eights = width / 8, parts = THREADS / eights, column = t % eights * 8;
  float4 low = MAKE_FLOAT4(0.0f, 0.0f, 0.0f, 0.0f), high = low;
#define ADD_WEIGHTED(p, words)                                                                      \
  low.x = FMA(p, bf16_low(words.x), low.x), low.y = FMA(p, bf16_high(words.x), low.y);                  \
  low.z = FMA(p, bf16_low(words.y), low.z), low.w = FMA(p, bf16_high(words.y), low.w);                  \
  high.x = FMA(p, bf16_low(words.z), high.x), high.y = FMA(p, bf16_high(words.z), high.y);              \
  high.z = FMA(p, bf16_low(words.w), high.z), high.w = FMA(p, bf16_high(words.w), high.w)
  int j = t / eights;
  for (; j + 7 * parts < count; j += 8 * parts) {
    uint4 w[8];
#pragma unroll
    for (int e = 0; e < 8; ++e) w[e] = *(GLOBAL const uint4*)(v + (long)(j + e * parts) * stride + column);
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      const float p = score[j + e * parts];
      ADD_WEIGHTED(p, w[e]);
    }
  }
  for (; j < count; j += parts) {
    const uint4 w = *(GLOBAL const uint4*)(v + (long)j * stride + column);
    const float p = score[j];
    ADD_WEIGHTED(p, w);
  }
  SHARED_POINTER float* const own = sums + t / eights * width + column;
  own[0] = low.x, own[1] = low.y, own[2] = low.z, own[3] = low.w;
  own[4] = high.x, own[5] = high.y, own[6] = high.z, own[7] = high.w;
  BARRIER();
  if (t < width) {
    float s = 0;
#pragma unroll 8
    for (int i = 0; i < parts; ++i) s += sums[i * width + t];
    out[head * width + t] = s / total;
  }
}

KERNEL void add(GLOBAL float* RESTRICT x, GLOBAL const float* RESTRICT y, int n) {
  const int i = GLOBAL_X;
  if (i < n) x[i] += y[i];
}
KERNEL void silu_times(GLOBAL const float* RESTRICT gate, GLOBAL const float* RESTRICT up, GLOBAL float* RESTRICT out,
                       int n) {
  const int i = GLOBAL_X;
  if (i < n) out[i] = silu(gate[i]) * up[i];
}
// Eight numbers a thread.
KERNEL void silu_times_rows(GLOBAL const uint4* RESTRICT gate, GLOBAL const uint4* RESTRICT up,
                            GLOBAL uint4* RESTRICT out, int n) {
  const int i = GLOBAL_X;
  if (i >= n) return;
  const uint4 g = gate[i], u = up[i];
  out[i] = MAKE_UINT4(bf16_pair(silu(bf16_low(g.x)) * bf16_low(u.x), silu(bf16_high(g.x)) * bf16_high(u.x)),
                      bf16_pair(silu(bf16_low(g.y)) * bf16_low(u.y), silu(bf16_high(g.y)) * bf16_high(u.y)),
                      bf16_pair(silu(bf16_low(g.z)) * bf16_low(u.z), silu(bf16_high(g.z)) * bf16_high(u.z)),
                      bf16_pair(silu(bf16_low(g.w)) * bf16_low(u.w), silu(bf16_high(g.w)) * bf16_high(u.w)));
}

// token = where the largest logit is, the first of equals; the position moves on. One block; `n` a multiple of 4.
#define ARGMAX_THREADS 1024
KERNEL void MAX_THREADS(ARGMAX_THREADS)
    argmax(GLOBAL const float* RESTRICT logits, GLOBAL int* RESTRICT token, GLOBAL int* RESTRICT position, int n) {
  SHARED float best[ARGMAX_THREADS];
  SHARED int where[ARGMAX_THREADS];
  const int t = THREAD_X;
  float most = -1e30f;
  int at = 0;
#pragma unroll 8
  for (int i = t; i < n / 4; i += ARGMAX_THREADS) {
    const float4 x = ((GLOBAL const float4*)logits)[i];
    if (x.x > most) most = x.x, at = i * 4;
    if (x.y > most) most = x.y, at = i * 4 + 1;
    if (x.z > most) most = x.z, at = i * 4 + 2;
    if (x.w > most) most = x.w, at = i * 4 + 3;
  }
  best[t] = most, where[t] = at;
  BARRIER();
  for (int step = ARGMAX_THREADS / 2; step > 0; step /= 2) {
    if (t < step && (best[t + step] > best[t] || (best[t + step] == best[t] && where[t + step] < where[t]))) {
      best[t] = best[t + step], where[t] = where[t + step];
    }
    BARRIER();
  }
  if (t == 0) token[0] = where[0], position[0] += 1;
}
