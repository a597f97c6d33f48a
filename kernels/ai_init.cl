// variants: sp
// Random numbers made on the device, which the host can make again one by one: large weights need not be sent.
#include "ai_bf16.h"

KERNEL void random_bf16(GLOBAL ushort* RESTRICT out, uint n, uint seed, float scale) {
  for (uint i = (uint)GLOBAL_X; i < n; i += (uint)(BLOCKS_X * THREADS_X)) {
    out[i] = float_to_bf16(hash_uniform(seed, i) * scale);
  }
}
KERNEL void random_float(GLOBAL float* RESTRICT out, uint n, uint seed, float scale) {
  for (uint i = (uint)GLOBAL_X; i < n; i += (uint)(BLOCKS_X * THREADS_X)) out[i] = hash_uniform(seed, i) * scale;
}
