// variants: d64 d128
// apis: cuda
// target: sm_90a
// The attention of ai_attention.cl on Hopper's tensor cores. A block's two warpgroups have 64 queries each and walk over
// tiles of 128 keys: while one is at its exponentials, the other multiplies. The weights go into the second product from
// the registers that the first left them in.
#include "ai_bf16.h"
#define WGMMA_N 128
#include "ai_wgmma.h"

#ifdef VARIANT_d64
#define D 64
#else
#define D 128
#endif
#define THREADS 256
#define TILE 128
#define PIECES (D / 8)              // of 16 bytes, a row
#define HALF_BYTES (TILE * 128)     // 64 columns of a tile: rows of 128 bytes
#define TILE_BYTES (D / 64 * HALF_BYTES)

extern __attribute__((shared, aligned(1024))) uint4 tiles[];

DEVICE uint place(int row, int piece) {
  return (uint)(piece / 8 * HALF_BYTES + row * 128 + (((piece & 7) ^ (row & 7)) << 4));
}
DEVICE float quad_shuffle(float x, int mask) {
  float y;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(y) : "f"(x), "r"(mask));
  return y;
}
DEVICE float larger(float x, float y) { return x > y ? x : y; }

// Sixteen columns of the heads: 32 bytes further within 64 columns, HALF_BYTES (1,024 pieces) to the next 64.
#define SCORES_STEP(offset) \
  "add.s64 ta, %64, " offset ";\nadd.s64 tb, %65, " offset ";\n" \
  "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES_64 "}, ta, tb, 1, 1, 1, 0, 0;\n"
DEVICE void add_scores(float* s, ulong q, ulong k) {
  asm volatile(
      "{\n.reg .b64 ta, tb;\nwgmma.fence.sync.aligned;\n"
      SCORES_STEP("0") SCORES_STEP("2") SCORES_STEP("4") SCORES_STEP("6")
#if D == 128
      SCORES_STEP("1024") SCORES_STEP("1026") SCORES_STEP("1028") SCORES_STEP("1030")
#endif
      "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n}"
      : SUMS_64(s, 0)
      : "l"(q), "l"(k)
      : "memory");
}

// Values are rows of keys, of which the product wants columns: the instruction turns them. Eight keys are 1,024 bytes,
// sixteen 128 pieces; the next 64 columns lie HALF_BYTES further.
#if D == 64
#define O_SUMS(o) SUMS_32(o, 0)
#define VALUES_OPCODE "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" NAMES_32 "}, "
#define VALUES_STEP(offset, p) "add.s64 tb, %64, " offset ";\n" VALUES_OPCODE p ", tb, 1, 1, 1, 1;\n"
#define P0 "{%32, %33, %34, %35}"
#define P1 "{%36, %37, %38, %39}"
#define P2 "{%40, %41, %42, %43}"
#define P3 "{%44, %45, %46, %47}"
#define P4 "{%48, %49, %50, %51}"
#define P5 "{%52, %53, %54, %55}"
#define P6 "{%56, %57, %58, %59}"
#define P7 "{%60, %61, %62, %63}"
#else
#define O_SUMS(o) SUMS_64(o, 0)
#define VALUES_OPCODE "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES_64 "}, "
#define VALUES_STEP(offset, p) "add.s64 tb, %96, " offset ";\n" VALUES_OPCODE p ", tb, 1, 1, 1, 1;\n"
#define P0 "{%64, %65, %66, %67}"
#define P1 "{%68, %69, %70, %71}"
#define P2 "{%72, %73, %74, %75}"
#define P3 "{%76, %77, %78, %79}"
#define P4 "{%80, %81, %82, %83}"
#define P5 "{%84, %85, %86, %87}"
#define P6 "{%88, %89, %90, %91}"
#define P7 "{%92, %93, %94, %95}"
#endif
#define R4(p, i) "r"(p[i]), "r"(p[(i) + 1]), "r"(p[(i) + 2]), "r"(p[(i) + 3])
#define R16(p, i) R4(p, i), R4(p, (i) + 4), R4(p, (i) + 8), R4(p, (i) + 12)
DEVICE void add_values(float* o, const uint* p, ulong v) {
  asm volatile(
      "{\n.reg .b64 tb;\nwgmma.fence.sync.aligned;\n"
      VALUES_STEP("0", P0) VALUES_STEP("128", P1) VALUES_STEP("256", P2) VALUES_STEP("384", P3)
      VALUES_STEP("512", P4) VALUES_STEP("640", P5) VALUES_STEP("768", P6) VALUES_STEP("896", P7)
      "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n}"
      : O_SUMS(o)
      : R16(p, 0), R16(p, 16), "l"(v)
      : "memory");
}

KERNEL void MAX_THREADS(THREADS)
    attention(const ushort* RESTRICT q, const ushort* RESTRICT k, const ushort* RESTRICT v, ushort* RESTRICT out,
              int length, int group, int q_stride, int kv_stride, int out_stride, int q_offset, int k_offset,
              int v_offset, float scale, int causal) {
  const int t = THREAD_X, lane = t & 31, warp = t >> 5;
  const int q0 = (BLOCKS_X - 1 - BLOCK_X) * TILE, head = BLOCK_Y;
  const long batch = (long)BLOCK_Z * length;
  const uint base = shared_address(tiles), keys = base + TILE_BYTES, values = keys + 2 * TILE_BYTES;
  const ushort* const q_rows = q + batch * q_stride + q_offset + head * D;
  const ushort* const k_rows = k + batch * kv_stride + k_offset + head / group * D;
  const ushort* const v_rows = v + batch * kv_stride + v_offset + head / group * D;
  const int last = causal && q0 + TILE < length ? q0 + TILE : length;
  const int tiles_k = (last + TILE - 1) / TILE;

  const int piece = t % PIECES, row = t / PIECES;
#define COPY_ROWS(to, from, stride, first)                                                            \
  _Pragma("unroll") for (int i = 0; i < TILE * PIECES / THREADS; ++i) {                               \
    const int r = row + i * (THREADS / PIECES), at = (first) + r < length ? (first) + r : length - 1; \
    copy_async_full((to) + place(r, piece), (from) + (long)at * (stride) + piece * 8);                \
  }
  COPY_ROWS(base, q_rows, q_stride, q0);
  COPY_ROWS(keys, k_rows, kv_stride, 0);
  COPY_ROWS(values, v_rows, kv_stride, 0);
  copy_commit();

  float o[D / 2], most[2] = {-1e30f, -1e30f}, sum[2] = {0, 0};
#pragma unroll
  for (int i = 0; i < D / 2; ++i) o[i] = 0;
  const float scale2 = scale * 1.4426950408889634f;  // the exponentials are of base two
  const ulong queries = tile_descriptor(base + (uint)((warp >> 2) * 64 * 128));

#pragma unroll 1
  for (int tile = 0; tile < tiles_k; ++tile) {
    // The tile is here for all, and all have finished with the one before.
    COPY_WAIT(0);
    fence_for_wgmma();
    BARRIER();
    if (tile + 1 < tiles_k) {
      const uint stage = (uint)((tile + 1) & 1) * TILE_BYTES;
      COPY_ROWS(keys + stage, k_rows, kv_stride, (tile + 1) * TILE);
      COPY_ROWS(values + stage, v_rows, kv_stride, (tile + 1) * TILE);
    }
    copy_commit();
    const uint stage = (uint)(tile & 1) * TILE_BYTES;
    float s[TILE / 2];
#pragma unroll
    for (int i = 0; i < TILE / 2; ++i) s[i] = 0;
    add_scores(s, queries, tile_descriptor(keys + stage));
    // Keys that a query may not see, and those beyond the end.
    if ((tile + 1) * TILE > (causal ? q0 : length)) {
#pragma unroll
      for (int i = 0; i < TILE / 2; ++i) {
        const int key = tile * TILE + i / 4 * 8 + (lane & 3) * 2 + (i & 1);
        const int query = q0 + warp * 16 + (lane >> 2) + (i >> 1 & 1) * 8;
        if (key >= length || (causal && key > query)) s[i] = -1e30f;
      }
    }
    uint p[TILE / 4];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float m = most[h];
#pragma unroll
      for (int j = 0; j < TILE / 8; ++j) m = larger(m, larger(s[4 * j + 2 * h], s[4 * j + 2 * h + 1]));
      m = larger(m, quad_shuffle(m, 1));
      m = larger(m, quad_shuffle(m, 2));
      const float shrink = nm_exp2((most[h] - m) * scale2), shift = m * scale2;
      most[h] = m;
      float part = 0;
#pragma unroll
      for (int j = 0; j < TILE / 8; ++j) {
        const float x = nm_exp2(nm_fma(s[4 * j + 2 * h], scale2, -shift));
        const float y = nm_exp2(nm_fma(s[4 * j + 2 * h + 1], scale2, -shift));
        part += x + y;
        // The left operand of keys 16 n …: two registers of columns 16 n …, two of columns 16 n + 8 ….
        p[j / 2 * 4 + (j & 1) * 2 + h] = bf16_pair(x, y);
      }
      sum[h] = sum[h] * shrink + part;
#pragma unroll
      for (int j = 0; j < D / 8; ++j) o[4 * j + 2 * h] *= shrink, o[4 * j + 2 * h + 1] *= shrink;
    }
    // From 64 columns to the next: HALF_BYTES.
    const ulong columns = (ulong)((values + stage) >> 4) | ((ulong)(HALF_BYTES >> 4) << 16) | (64ul << 32) | (1ul << 62);
    add_values(o, p, columns);
  }

#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float total = sum[h];
    total += quad_shuffle(total, 1);
    total += quad_shuffle(total, 2);
    const float inverse = 1.0f / total;
    const int query = q0 + warp * 16 + (lane >> 2) + h * 8;
    if (query < length) {
      uint* const to = (uint*)(out + (batch + query) * out_stride + head * D + (lane & 3) * 2);
#pragma unroll
      for (int j = 0; j < D / 8; ++j) to[j * 4] = bf16_pair(o[4 * j + 2 * h] * inverse, o[4 * j + 2 * h + 1] * inverse);
    }
  }
}
