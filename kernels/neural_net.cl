// variants: sp
// NeuralNet: stochastic gradient descent of a net of 784 inputs, 30 hidden units and 10 outputs, all sigmoid, with the
// squared error as its cost, on batches of 10 samples. Two launches a batch: the hidden units' answers need a sum over
// the whole image, and everything after that is so little work that each block does the output layer for itself.
#include "dialect.h"

#define INPUTS 784
#define HIDDEN 30
#define OUTPUTS 10
#define BATCH 10
#define PIECES (INPUTS / 4)  // of four inputs; a thread has one
#define THREADS 224
#define FOLD 22  // threads that add up a sample's pieces

DEVICE float sigmoid(float z) { return 1.0f / (1.0f + EXP(-z)); }

// A block a hidden unit: its answer to each sample of the batch, hidden[sample][unit]. w1[unit][input].
KERNEL void MAX_THREADS(THREADS)
    nn_hidden(GLOBAL const float* RESTRICT images, int first, GLOBAL const float* RESTRICT w1,
              GLOBAL const float* RESTRICT b1, GLOBAL float* RESTRICT hidden) {
  SHARED float part[BATCH][PIECES + 1];
  SHARED float folded[BATCH][FOLD + 1];
  const int t = THREAD_X, unit = BLOCK_X;
  GLOBAL const float4* x = (GLOBAL const float4*)(images + (ulong)first * INPUTS);
  if (t < PIECES) {
    const float4 w = ((GLOBAL const float4*)w1)[unit * PIECES + t];
#pragma unroll
    for (int s = 0; s < BATCH; ++s) {
      const float4 v = x[s * PIECES + t];
      part[s][t] = FMA(w.x, v.x, w.y * v.y) + FMA(w.z, v.z, w.w * v.w);
    }
  }
  BARRIER();
  const int sample = t / FOLD, piece = t % FOLD;
  float sum = 0;
  if (sample < BATCH) {
#pragma unroll
    for (int i = 0; i < (PIECES + FOLD - 1) / FOLD; ++i) {
      if (piece + i * FOLD < PIECES) sum += part[sample][piece + i * FOLD];
    }
    folded[sample][piece] = sum;
  }
  BARRIER();
  if (t < BATCH) {
    float z = b1[unit];
    for (int i = 0; i < FOLD; ++i) z += folded[t][i];
    hidden[t * HIDDEN + unit] = sigmoid(z);
  }
}

// A block a hidden unit: the outputs' errors, from them the unit's, and one step down the gradient for the weights into
// and out of the unit. What all blocks read, w2[output][unit] and b2, is written to a second place. rate is the learning
// rate over the batch's size.
KERNEL void MAX_THREADS(THREADS)
    nn_learn(GLOBAL const float* RESTRICT images, GLOBAL const int* RESTRICT digits, int first,
             GLOBAL const float* RESTRICT hidden, GLOBAL float* RESTRICT w1, GLOBAL float* RESTRICT b1,
             GLOBAL const float* RESTRICT w2, GLOBAL const float* RESTRICT b2, GLOBAL float* RESTRICT next_w2,
             GLOBAL float* RESTRICT next_b2, float rate) {
  SHARED float answer[BATCH][HIDDEN];
  SHARED float weight[OUTPUTS][HIDDEN];
  SHARED float output_error[BATCH][OUTPUTS];
  SHARED float error[BATCH];
  const int t = THREAD_X, unit = BLOCK_X;
  // Fetched at once, needed at the end.
  GLOBAL const float4* images4 = (GLOBAL const float4*)(images + (ulong)first * INPUTS);
  const int piece = t < PIECES ? t : 0;
  float4 x[BATCH];
#pragma unroll
  for (int s = 0; s < BATCH; ++s) x[s] = images4[s * PIECES + piece];
  float4 w = ((GLOBAL const float4*)w1)[unit * PIECES + piece];
  for (int i = t; i < BATCH * HIDDEN; i += THREADS) answer[i / HIDDEN][i % HIDDEN] = hidden[i];
  for (int i = t; i < OUTPUTS * HIDDEN; i += THREADS) weight[i / HIDDEN][i % HIDDEN] = w2[i];
  BARRIER();
  if (t < BATCH * OUTPUTS) {
    const int sample = t / OUTPUTS, output = t % OUTPUTS;
    float z = b2[output];
    for (int h = 0; h < HIDDEN; ++h) z = FMA(weight[output][h], answer[sample][h], z);
    const float y = sigmoid(z);
    output_error[sample][output] = (y - (digits[first + sample] == output ? 1.0f : 0.0f)) * y * (1 - y);
  }
  BARRIER();
  if (t < BATCH) {
    float sum = 0;
    for (int o = 0; o < OUTPUTS; ++o) sum = FMA(weight[o][unit], output_error[t][o], sum);
    error[t] = sum * answer[t][unit] * (1 - answer[t][unit]);
  }
  BARRIER();
  if (t < PIECES) {
    float4 slope = MAKE_FLOAT4(0, 0, 0, 0);
#pragma unroll
    for (int s = 0; s < BATCH; ++s) slope += error[s] * x[s];
    ((GLOBAL float4*)w1)[unit * PIECES + t] = w - rate * slope;
  }
  if (t < OUTPUTS) {
    float slope = 0, bias = 0;
    for (int s = 0; s < BATCH; ++s) {
      slope = FMA(output_error[s][t], answer[s][unit], slope);
      bias += output_error[s][t];
    }
    next_w2[t * HIDDEN + unit] = weight[t][unit] - rate * slope;
    if (unit == 0) next_b2[t] = b2[t] - rate * bias;
  }
  if (t == THREADS - 1) {
    float slope = 0;
    for (int s = 0; s < BATCH; ++s) slope += error[s];
    b1[unit] -= rate * slope;
  }
}
