// variants: sp
// Training a transformer, in single precision, a kernel an operation: forward, backward, AdamW. The matrix products
// are ai_matmul.cl's.
#include "ai_bf16.h"

#define THREADS 256

#define BLOCK_SUM(value, result)                                          \
  BARRIER();                                                              \
  part[THREAD_X] = (value);                                               \
  BARRIER();                                                              \
  for (int step = THREADS / 2; step > 0; step /= 2) {                     \
    if (THREAD_X < step) part[THREAD_X] += part[THREAD_X + step];         \
    BARRIER();                                                            \
  }                                                                       \
  result = part[0]

// A row a block: the token's row of the table and the position's.
KERNEL void embed(GLOBAL const float* RESTRICT p, GLOBAL const int* RESTRICT token, GLOBAL float* RESTRICT x, int table,
                  int positions, int length, int width) {
  const long row = (long)BLOCK_X * width;
  const long from = table + (long)token[BLOCK_X] * width, at = positions + (long)(BLOCK_X % length) * width;
  for (int i = THREAD_X; i < width; i += THREADS_X) x[row + i] = p[from + i] + p[at + i];
}

// out = (x - mean) / deviation * gain; `normed` keeps it before the gain, `scales` 1 / deviation.
KERNEL void MAX_THREADS(THREADS)
    layer_norm(GLOBAL const float* RESTRICT x, GLOBAL const float* RESTRICT p, int gain, GLOBAL float* RESTRICT out,
               GLOBAL float* RESTRICT normed, GLOBAL float* RESTRICT scales, int width) {
  SHARED float part[THREADS];
  const long row = (long)BLOCK_X * width;
  float sum = 0, mean, square = 0, variance;
  for (int i = THREAD_X; i < width; i += THREADS) sum += x[row + i];
  BLOCK_SUM(sum, mean);
  mean /= (float)width;
  for (int i = THREAD_X; i < width; i += THREADS) square = FMA(x[row + i] - mean, x[row + i] - mean, square);
  BLOCK_SUM(square, variance);
  const float scale = 1.0f / SQRT(variance / (float)width + 1e-5f);
  for (int i = THREAD_X; i < width; i += THREADS) {
    const float v = (x[row + i] - mean) * scale;
    normed[row + i] = v;
    out[row + i] = v * p[gain + i];
  }
  if (THREAD_X == 0) scales[BLOCK_X] = scale;
}
// dx = keep * dx + what comes through the norm from dy.
KERNEL void MAX_THREADS(THREADS)
    layer_norm_back(GLOBAL const float* RESTRICT dy, GLOBAL const float* RESTRICT normed,
                    GLOBAL const float* RESTRICT scales, GLOBAL const float* RESTRICT p, int gain,
                    GLOBAL float* RESTRICT dx, int width, float keep) {
  SHARED float part[THREADS];
  const long row = (long)BLOCK_X * width;
  float s0 = 0, s1 = 0, mean, slope;
  for (int i = THREAD_X; i < width; i += THREADS) {
    const float d = dy[row + i] * p[gain + i];
    s0 += d;
    s1 = FMA(d, normed[row + i], s1);
  }
  BLOCK_SUM(s0, mean);
  BLOCK_SUM(s1, slope);
  mean /= (float)width, slope /= (float)width;
  for (int i = THREAD_X; i < width; i += THREADS) {
    const float d = (dy[row + i] * p[gain + i] - mean - normed[row + i] * slope) * scales[BLOCK_X];
    dx[row + i] = keep == 0.0f ? d : dx[row + i] + d;
  }
}
// The gain's gradient: BLOCKS_Y parts of the rows, whose sums gain_finish adds.
KERNEL void MAX_THREADS(THREADS)
    gain_back(GLOBAL const float* RESTRICT dy, GLOBAL const float* RESTRICT normed, GLOBAL float* RESTRICT parts,
              int rows, int width) {
  const int column = GLOBAL_X;
  if (column >= width) return;
  float sum = 0;
#pragma unroll 4
  for (int r = BLOCK_Y; r < rows; r += BLOCKS_Y)
    sum = FMA(dy[(long)r * width + column], normed[(long)r * width + column], sum);
  parts[BLOCK_Y * width + column] = sum;
}
KERNEL void MAX_THREADS(THREADS)
    gain_finish(GLOBAL const float* RESTRICT parts, GLOBAL float* RESTRICT g, int gain, int count, int width) {
  const int column = GLOBAL_X;
  if (column >= width) return;
  float sum = 0;
  for (int i = 0; i < count; ++i) sum += parts[i * width + column];
  g[gain + column] = sum;
}

KERNEL void gelu_forward(GLOBAL const float* RESTRICT x, GLOBAL float* RESTRICT y, int n) {
  const int i = GLOBAL_X;
  if (i < n) y[i] = gelu(x[i]);
}
KERNEL void gelu_back(GLOBAL const float* RESTRICT x, GLOBAL float* RESTRICT d, int n) {
  const int i = GLOBAL_X;
  if (i >= n) return;
  const float v = x[i], h = tanh_exp(0.7978845608028654f * (v + 0.044715f * v * v * v));
  const float slope = 0.7978845608028654f * (1.0f + 3.0f * 0.044715f * v * v);
  d[i] *= 0.5f * (1.0f + h) + 0.5f * v * (1.0f - h * h) * slope;
}

// Row BLOCK_X of scores, of which the first (BLOCK_X % length) + 1 count, to weights; the others become 0.
KERNEL void MAX_THREADS(THREADS) softmax(GLOBAL float* RESTRICT s, int length) {
  SHARED float part[THREADS];
  GLOBAL float* const row = s + (long)BLOCK_X * length;
  const int t = THREAD_X, count = BLOCK_X % length + 1;
  float most = -1e30f, sum = 0, total;
  for (int j = t; j < count; j += THREADS) most = most > row[j] ? most : row[j];
  part[t] = most;
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step) part[t] = part[t] > part[t + step] ? part[t] : part[t + step];
    BARRIER();
  }
  most = part[0];
  for (int j = t; j < count; j += THREADS) {
    row[j] = EXP(row[j] - most);
    sum += row[j];
  }
  BLOCK_SUM(sum, total);
  for (int j = t; j < length; j += THREADS) row[j] = j < count ? row[j] / total : 0.0f;
}
// d = w * (d - sum of w d): the gradient of the scores from that of the weights w.
KERNEL void MAX_THREADS(THREADS) softmax_back(GLOBAL const float* RESTRICT w, GLOBAL float* RESTRICT d, int length) {
  SHARED float part[THREADS];
  const long row = (long)BLOCK_X * length;
  float sum = 0, total;
  for (int j = THREAD_X; j < length; j += THREADS) sum = FMA(w[row + j], d[row + j], sum);
  BLOCK_SUM(sum, total);
  for (int j = THREAD_X; j < length; j += THREADS) d[row + j] = w[row + j] * (d[row + j] - total);
}

// losses[row] = -log of the target's weight among the logits, which become the gradient of their mean.
KERNEL void MAX_THREADS(THREADS)
    cross_entropy(GLOBAL float* RESTRICT logits, GLOBAL const int* RESTRICT target, GLOBAL float* RESTRICT losses,
                  int vocabulary, float share) {
  SHARED float part[THREADS];
  GLOBAL float* const row = logits + (long)BLOCK_X * vocabulary;
  const int t = THREAD_X, right = target[BLOCK_X];
  float most = -1e30f, sum = 0, total;
  for (int j = t; j < vocabulary; j += THREADS) most = most > row[j] ? most : row[j];
  part[t] = most;
  BARRIER();
  for (int step = THREADS / 2; step > 0; step /= 2) {
    if (t < step) part[t] = part[t] > part[t + step] ? part[t] : part[t + step];
    BARRIER();
  }
  most = part[0];
  for (int j = t; j < vocabulary; j += THREADS) sum += EXP(row[j] - most);
  BLOCK_SUM(sum, total);
  if (t == 0) losses[BLOCK_X] = LOG(total) - (row[right] - most);
  BARRIER();
  for (int j = t; j < vocabulary; j += THREADS)
    row[j] = (EXP(row[j] - most) / total - (j == right ? 1.0f : 0.0f)) * share;
}
// out[0] = the mean of n numbers; one block.
KERNEL void MAX_THREADS(THREADS) mean(GLOBAL const float* RESTRICT x, GLOBAL float* RESTRICT out, int n) {
  SHARED float part[THREADS];
  float sum = 0, total;
  for (int i = THREAD_X; i < n; i += THREADS) sum += x[i];
  BLOCK_SUM(sum, total);
  if (THREAD_X == 0) out[0] = total / (float)n;
}
// out[block] = a part of the sum of squares.
KERNEL void MAX_THREADS(THREADS) squares(GLOBAL const float* RESTRICT x, GLOBAL float* RESTRICT out, int n) {
  SHARED float part[THREADS];
  float sum = 0, total;
  for (int i = GLOBAL_X; i < n; i += BLOCKS_X * THREADS) sum = FMA(x[i], x[i], sum);
  BLOCK_SUM(sum, total);
  if (THREAD_X == 0) out[BLOCK_X] = total;
}

// Gradients of the tables. A block has a token of the vocabulary and looks for the rows that it stands in: no atomic
// operation, and so the same sum each time.
KERNEL void embed_back(GLOBAL const float* RESTRICT dx, GLOBAL const int* RESTRICT token, GLOBAL float* RESTRICT g,
                       int table, int rows, int width) {
  for (int i = THREAD_X; i < width; i += THREADS_X) {
    float sum = 0;
    for (int r = 0; r < rows; ++r) {
      if (token[r] == BLOCK_X) sum += dx[(long)r * width + i];
    }
    g[table + (long)BLOCK_X * width + i] = sum;
  }
}
KERNEL void positions_back(GLOBAL const float* RESTRICT dx, GLOBAL float* RESTRICT g, int table, int batch, int length,
                           int width) {
  const int i = GLOBAL_X;
  if (i >= length * width) return;
  float sum = 0;
  for (int b = 0; b < batch; ++b) sum += dx[(long)b * length * width + i];
  g[table + i] = sum;
}

// AdamW, betas 0.9 and 0.999; `unbias1` and `unbias2` are 1 / (1 - beta^step).
KERNEL void adamw(GLOBAL float* RESTRICT p, GLOBAL const float* RESTRICT g, GLOBAL float* RESTRICT m,
                  GLOBAL float* RESTRICT v, int n, float rate, float decay, float unbias1, float unbias2) {
  for (int i = GLOBAL_X; i < n; i += BLOCKS_X * THREADS_X) {
    const float gradient = g[i];
    const float m1 = FMA(0.9f, m[i], 0.1f * gradient), v1 = FMA(0.999f, v[i], 0.001f * gradient * gradient);
    m[i] = m1, v[i] = v1;
    p[i] = p[i] - rate * (m1 * unbias1 / (SQRT(v1 * unbias2) + 1e-8f) + decay * p[i]);
  }
}
KERNEL void add_scaled(GLOBAL const float* RESTRICT x, GLOBAL const float* RESTRICT y, GLOBAL float* RESTRICT out,
                       float scale, int n) {
  for (int i = GLOBAL_X; i < n; i += BLOCKS_X * THREADS_X) out[i] = FMA(scale, y[i], x[i]);
}
