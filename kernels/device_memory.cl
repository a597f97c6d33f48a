// variants: u32
// DeviceMemory: global memory and a block's shared memory, read and written. Whole words are added up, so sums are exact
// whatever their order.
#include "dialect.h"

#define THREADS 256
// Words between two threads of the strided kernels: 2 KiB, as SHOC has it.
#define CHUNK 512

DEVICE uint add_up(uint4 v) { return (v.x + v.y) + (v.z + v.w); }

// Four vectors a thread in flight, each warp's side by side.
KERNEL void MAX_THREADS(THREADS) read_coalesced(GLOBAL const uint4* RESTRICT in, GLOBAL uint* RESTRICT out, uint vectors,
                                                int repeats) {
  const uint stride = BLOCKS_X * THREADS;
  uint s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    uint i = GLOBAL_X;
    for (; i + 3 * stride < vectors; i += 4 * stride) {
      const uint4 a = in[i], b = in[i + stride], c = in[i + 2 * stride], d = in[i + 3 * stride];
      s0 += add_up(a), s1 += add_up(b), s2 += add_up(c), s3 += add_up(d);
    }
    for (; i < vectors; i += stride) s0 += add_up(in[i]);
  }
  out[GLOBAL_X] = (s0 + s1) + (s2 + s3);
}

// A thread reads a chunk of its own, word by word.
KERNEL void read_strided(GLOBAL const uint* RESTRICT in, GLOBAL uint* RESTRICT out, int repeats) {
  GLOBAL const uint* const mine = in + (ulong)GLOBAL_X * CHUNK;
  uint sum = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (int at = 0; at < CHUNK; at += 16) {
      _Pragma("unroll") for (int k = 0; k < 16; ++k) sum += mine[at + k];
    }
  }
  out[GLOBAL_X] = sum;
}

// Word w ends as w + salt + repeats - 1.
KERNEL void MAX_THREADS(THREADS) write_coalesced(GLOBAL uint4* RESTRICT out, uint vectors, uint salt, int repeats) {
  const uint stride = BLOCKS_X * THREADS;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (uint i = GLOBAL_X; i < vectors; i += stride) {
      const uint first = 4 * i + salt + repeat;
      uint4 v;
      v.x = first, v.y = first + 1, v.z = first + 2, v.w = first + 3;
      out[i] = v;
    }
  }
}

KERNEL void write_strided(GLOBAL uint* RESTRICT out, uint salt, int repeats) {
  const uint first = GLOBAL_X * CHUNK;
  GLOBAL uint* const mine = out + (ulong)GLOBAL_X * CHUNK;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (int at = 0; at < CHUNK; at += 16) {
      _Pragma("unroll") for (int k = 0; k < 16; ++k) mine[at + k] = first + at + k + salt + repeat;
    }
  }
}

// 512 vectors of shared memory; a turn reads eight, 32 apart, and moves on by `step`. Lanes of a warp read side by side.
KERNEL void MAX_THREADS(THREADS) read_local(GLOBAL const uint4* RESTRICT in, GLOBAL uint* RESTRICT out, int turns,
                                            int step) {
  SHARED uint4 buffer[512];
  const int t = THREAD_X;
  buffer[t] = in[t];
  buffer[t + THREADS] = in[t + THREADS];
  BARRIER();
  uint s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int at = t;
  for (int turn = 0; turn < turns; ++turn) {
    _Pragma("unroll") for (int k = 0; k < 8; ++k) {
      const uint4 v = buffer[at + 32 * k];
      s0 += v.x, s1 += v.y, s2 += v.z, s3 += v.w;
    }
    at = (at + step) & 255;
  }
  out[GLOBAL_X] = (s0 + 3 * s1) + (5 * s2 + 7 * s3);
}

// Eight vectors a turn, which say where they lie: whichever thread writes one last, it is the same.
KERNEL void MAX_THREADS(THREADS) write_local(GLOBAL uint* RESTRICT out, uint salt, int turns, int step) {
  SHARED uint4 buffer[512];
  const int t = THREAD_X;
  uint4 v;
  v.x = v.y = v.z = v.w = 0xffffffffu;
  buffer[t] = v;
  buffer[t + THREADS] = v;
  BARRIER();
  int at = t;
  v.y = salt, v.z = ~salt, v.w = salt >> 3;
  for (int turn = 0; turn < turns; ++turn) {
    _Pragma("unroll") for (int k = 0; k < 8; ++k) {
      v.x = at + 32 * k;
      buffer[at + 32 * k] = v;
    }
    at = (at + step) & 255;
  }
  BARRIER();
  const uint4 a = buffer[t], b = buffer[t + 224];
  out[GLOBAL_X] = (a.x + 3 * a.y) + (5 * a.z + 7 * a.w) + 11 * ((b.x + 3 * b.y) + (5 * b.z + 7 * b.w));
}
