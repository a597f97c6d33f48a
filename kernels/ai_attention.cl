// variants: d64 d128
// Attention without its matrix: out = softmax(scale * Q K^T) V for every head, in bf16. A block keeps a tile of queries
// and walks over tiles of keys; the row's maximum and sum are kept up as it goes, and what was summed so far is scaled
// when the maximum grows. Row r of batch b lies at (b * length + r) * stride, a head's D numbers together; `group`
// heads of queries share one head of keys and values.
//
// On the tensor cores (CUDA) a warp has 32 queries: each fragment of K and V that it reads is used twice, or else shared
// memory would be the bound. The sums of Q K^T are, in their registers, already the left operand of P V.
#include "ai_bf16.h"

#ifdef VARIANT_d64
#define D 64
#else
#define D 128
#endif

#ifndef __OPENCL_VERSION__

#define THREADS 128
#define TILE_Q 128
#define TILE_K 64
#define ROW (D * 2)      // bytes
#define PIECES (D / 8)   // of 16 bytes, a row
#define STAGE_BYTES (TILE_K * ROW)

extern __attribute__((shared)) uint4 tiles[];

DEVICE uint swizzled(int row, int piece) { return (uint)(row * ROW + ((piece ^ (row & 7)) << 4)); }
// Largest and sum over the four lanes that hold a row.
DEVICE float quad_shuffle(float x, int mask) {
  float y;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(y) : "f"(x), "r"(mask));
  return y;
}
DEVICE float larger(float x, float y) { return x > y ? x : y; }

KERNEL void MAX_THREADS(THREADS)
    attention(const ushort* RESTRICT q, const ushort* RESTRICT k, const ushort* RESTRICT v, ushort* RESTRICT out,
              int length, int group, int q_stride, int kv_stride, int out_stride, int q_offset, int k_offset,
              int v_offset, float scale, int causal) {
  const int t = THREAD_X, lane = t & 31, warp = t >> 5;
  // The longest rows first: with a causal mask the last tiles have the most to do.
  const int q0 = (BLOCKS_X - 1 - BLOCK_X) * TILE_Q, head = BLOCK_Y;
  const long batch = (long)BLOCK_Z * length;
  const uint base = shared_address(tiles);
  const uint keys = base + TILE_Q * ROW, values = keys + 2 * STAGE_BYTES;
  const ushort* const q_rows = q + batch * q_stride + q_offset + head * D;
  const ushort* const k_rows = k + batch * kv_stride + k_offset + head / group * D;
  const ushort* const v_rows = v + batch * kv_stride + v_offset + head / group * D;
  const int last = causal && q0 + TILE_Q < length ? q0 + TILE_Q : length;
  const int tiles_k = (last + TILE_K - 1) / TILE_K;

  const int piece = t % PIECES, row = t / PIECES;
#define COPY_ROWS(to, from, stride, first, count)                                                           \
  _Pragma("unroll") for (int i = 0; i < (count) * PIECES / THREADS; ++i) {                                  \
    const int r = row + i * (THREADS / PIECES), at = (first) + r < length ? (first) + r : length - 1;       \
    copy_async_full((to) + swizzled(r, piece), (from) + (long)at * (stride) + piece * 8);                   \
  }
  COPY_ROWS(base, q_rows, q_stride, q0, TILE_Q);
  COPY_ROWS(keys, k_rows, kv_stride, 0, TILE_K);
  COPY_ROWS(values, v_rows, kv_stride, 0, TILE_K);
  copy_commit();

  float o[2][D / 8][4], most[2][2], sum[2][2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    most[i][0] = most[i][1] = -1e30f;
    sum[i][0] = sum[i][1] = 0;
#pragma unroll
    for (int j = 0; j < D / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) o[i][j][e] = 0;
    }
  }
  const float scale2 = scale * 1.4426950408889634f;  // the exponentials are of base two

  for (int tile = 0; tile < tiles_k; ++tile) {
    COPY_WAIT(0);
    BARRIER();
    if (tile + 1 < tiles_k) {
      const uint stage = (uint)((tile + 1) & 1) * STAGE_BYTES;
      COPY_ROWS(keys + stage, k_rows, kv_stride, (tile + 1) * TILE_K, TILE_K);
      COPY_ROWS(values + stage, v_rows, kv_stride, (tile + 1) * TILE_K, TILE_K);
    }
    copy_commit();
    const uint k_tile = keys + (uint)(tile & 1) * STAGE_BYTES, v_tile = values + (uint)(tile & 1) * STAGE_BYTES;

    float s[2][TILE_K / 8][4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int j = 0; j < TILE_K / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) s[i][j][e] = 0;
      }
    }
#pragma unroll
    for (int d = 0; d < D / 16; ++d) {
      uint a[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i)
        load_matrices(a[i], base + swizzled(warp * 32 + i * 16 + (lane & 15), d * 2 + (lane >> 4)));
#pragma unroll
      for (int j = 0; j < TILE_K / 16; ++j) {
        uint b[4];
        load_matrices(b, k_tile + swizzled(j * 16 + (lane & 7) + (lane >> 4) * 8, d * 2 + ((lane >> 3) & 1)));
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          mma_bf16(s[i][2 * j], a[i], b[0], b[1]);
          mma_bf16(s[i][2 * j + 1], a[i], b[2], b[3]);
        }
      }
    }
    // Keys that a query may not see, and those beyond the end.
    if ((tile + 1) * TILE_K > (causal ? q0 : length)) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < TILE_K / 8; ++j) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int key = tile * TILE_K + j * 8 + (lane & 3) * 2 + (e & 1);
            const int query = q0 + warp * 32 + i * 16 + (lane >> 2) + (e >> 1) * 8;
            if (key >= length || (causal && key > query)) s[i][j][e] = -1e30f;
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float m = most[i][h];
#pragma unroll
        for (int j = 0; j < TILE_K / 8; ++j) m = larger(m, larger(s[i][j][2 * h], s[i][j][2 * h + 1]));
        m = larger(m, quad_shuffle(m, 1));
        m = larger(m, quad_shuffle(m, 2));
        const float shrink = nm_exp2((most[i][h] - m) * scale2), shift = m * scale2;
        most[i][h] = m;
        float part = 0;
#pragma unroll
        for (int j = 0; j < TILE_K / 8; ++j) {
          const float x = nm_exp2(nm_fma(s[i][j][2 * h], scale2, -shift));
          const float y = nm_exp2(nm_fma(s[i][j][2 * h + 1], scale2, -shift));
          part += x + y;
          s[i][j][2 * h] = x, s[i][j][2 * h + 1] = y;
        }
        sum[i][h] = sum[i][h] * shrink + part;
#pragma unroll
        for (int j = 0; j < D / 8; ++j) o[i][j][2 * h] *= shrink, o[i][j][2 * h + 1] *= shrink;
      }
    }
#pragma unroll
    for (int j = 0; j < TILE_K / 16; ++j) {
      uint p[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        p[i][0] = bf16_pair(s[i][2 * j][0], s[i][2 * j][1]), p[i][1] = bf16_pair(s[i][2 * j][2], s[i][2 * j][3]);
        p[i][2] = bf16_pair(s[i][2 * j + 1][0], s[i][2 * j + 1][1]);
        p[i][3] = bf16_pair(s[i][2 * j + 1][2], s[i][2 * j + 1][3]);
      }
#pragma unroll
      for (int d = 0; d < D / 16; ++d) {
        uint b[4];
        load_matrices_transposed(b, v_tile + swizzled(j * 16 + (lane & 15), d * 2 + (lane >> 4)));
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          mma_bf16(o[i][2 * d], p[i], b[0], b[1]);
          mma_bf16(o[i][2 * d + 1], p[i], b[2], b[3]);
        }
      }
    }
  }

#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float total = sum[i][h];
      total += quad_shuffle(total, 1);
      total += quad_shuffle(total, 2);
      const float inverse = 1.0f / total;
      const int query = q0 + warp * 32 + i * 16 + (lane >> 2) + h * 8;
      if (query < length) {
        uint* const to = (uint*)(out + (batch + query) * out_stride + head * D + (lane & 3) * 2);
#pragma unroll
        for (int j = 0; j < D / 8; ++j)
          to[j * 4] = bf16_pair(o[i][j][2 * h] * inverse, o[i][j][2 * h + 1] * inverse);
      }
    }
  }
}

#else  // OpenCL: a query a thread

#define THREADS 64
#define TILE_K 8  // with heads of 128 all of a block's shared memory is 42 KiB

KERNEL void MAX_THREADS(THREADS)
    attention(GLOBAL const ushort* RESTRICT q, GLOBAL const ushort* RESTRICT k, GLOBAL const ushort* RESTRICT v,
              GLOBAL ushort* RESTRICT out, int length, int group, int q_stride, int kv_stride, int out_stride,
              int q_offset, int k_offset, int v_offset, float scale, int causal) {
  SHARED float queries[D * THREADS];  // by columns: a thread reads its own
  SHARED float weights[TILE_K * THREADS];
  SHARED float keys[TILE_K * D];
  SHARED float values[TILE_K * D] __attribute__((aligned(16)));
  const int t = THREAD_X, head = BLOCK_Y, q0 = BLOCK_X * THREADS, query = q0 + t;
  const long batch = (long)BLOCK_Z * length;
  const int own = query < length ? query : length - 1;
  for (int d = 0; d < D; ++d)
    queries[d * THREADS + t] = bf16_to_float(q[(batch + own) * q_stride + q_offset + head * D + d]);
  float4 o[D / 4];
  float most = -1e30f, sum = 0;
#pragma unroll
  for (int d = 0; d < D / 4; ++d) o[d] = MAKE_FLOAT4(0.0f, 0.0f, 0.0f, 0.0f);
  const float scale2 = scale * 1.4426950408889634f;
  const int last = causal && q0 + THREADS < length ? q0 + THREADS : length;
  for (int first = 0; first < last; first += TILE_K) {
    BARRIER();
    for (int i = t; i < TILE_K * D; i += THREADS) {
      const int at = first + i / D < length ? first + i / D : length - 1;
      keys[i] = bf16_to_float(k[(batch + at) * kv_stride + k_offset + head / group * D + i % D]);
      values[i] = bf16_to_float(v[(batch + at) * kv_stride + v_offset + head / group * D + i % D]);
    }
    BARRIER();
    float s[TILE_K], m = most;
#pragma unroll
    for (int j = 0; j < TILE_K; ++j) s[j] = 0;
    for (int d = 0; d < D; ++d) {
      const float x = queries[d * THREADS + t];
#pragma unroll
      for (int j = 0; j < TILE_K; ++j) s[j] = FMA(x, keys[j * D + d], s[j]);
    }
#pragma unroll
    for (int j = 0; j < TILE_K; ++j) {
      if (first + j >= length || (causal && first + j > query)) s[j] = -1e30f;
      m = m > s[j] ? m : s[j];
    }
    const float shrink = EXP2((most - m) * scale2);
    most = m;
    sum *= shrink;
#pragma unroll
    for (int j = 0; j < TILE_K; ++j) {
      s[j] = EXP2((s[j] - m) * scale2), sum += s[j];
      weights[j * THREADS + t] = s[j];
    }
#pragma unroll
    for (int d = 0; d < D / 4; ++d) o[d] *= shrink;
#pragma unroll 2
    for (int j = 0; j < TILE_K; ++j) {
      SHARED_POINTER const float4* const value = (SHARED_POINTER const float4*)(values + j * D);
      const float weight = weights[j * THREADS + t];
#pragma unroll
      for (int d = 0; d < D / 4; ++d) o[d] += weight * value[d];
    }
  }
  if (query < length) {
    const float inverse = 1.0f / sum;
    GLOBAL uint2* const to = (GLOBAL uint2*)(out + (batch + query) * out_stride + head * D);
#pragma unroll
    for (int d = 0; d < D / 4; ++d)
      to[d] = (uint2)(bf16_pair(o[d].x * inverse, o[d].y * inverse), bf16_pair(o[d].z * inverse, o[d].w * inverse));
  }
}

#endif
