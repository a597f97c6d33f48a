// What the deep-learning kernels share: bf16 as 16 bits of a ushort, sums over a row's threads, tanh and 2^x; and for
// CUDA the tensor cores' instructions, a line each.
#ifndef NM_AI_BF16_H
#define NM_AI_BF16_H
#include "dialect.h"

DEVICE float bf16_to_float(ushort b) { return AS_FLOAT((uint)b << 16); }
// The two halves of a word, the lower first in memory.
DEVICE float bf16_low(uint w) { return AS_FLOAT(w << 16); }
DEVICE float bf16_high(uint w) { return AS_FLOAT(w & 0xffff0000u); }
// To the nearest, ties to even; no NaN comes here.
DEVICE ushort float_to_bf16(float f) {
  const uint u = AS_UINT(f);
  return (ushort)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

#ifdef __OPENCL_VERSION__

#define EXP2(x) native_exp2(x)
#define ROUND_BARRIER() barrier(CLK_LOCAL_MEM_FENCE)
#define MAKE_UINT4(x, y, z, w) ((uint4)(x, y, z, w))
DEVICE uint bf16_pair(float low, float high) { return (uint)float_to_bf16(low) | ((uint)float_to_bf16(high) << 16); }

#else

#define MAKE_UINT4(x, y, z, w) (uint4{x, y, z, w})
DEVICE float nm_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#define EXP2(x) nm_exp2(x)
DEVICE uint bf16_pair(float low, float high) {
  uint pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

// Shared memory by its 32-bit address within the block.
DEVICE uint shared_address(const void* p) {
  return (uint)(unsigned long)(const __attribute__((address_space(3))) void*)p;
}
// 16 bytes from device memory into shared memory, behind the thread's back; `bytes` 0 writes zeros.
DEVICE void copy_async(uint to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
DEVICE void copy_async_full(uint to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
DEVICE void copy_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }
#define COPY_WAIT(n) asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory")

// Four 8 x 8 matrices of 16-bit (or 8 x 4 of 32-bit) elements; each lane names a row of one.
DEVICE void load_matrices(uint* r, uint address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
DEVICE void load_matrices_transposed(uint* r, uint address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
// c (16 x 8, float) += a (16 x 16 bf16, by rows) * b (16 x 8 bf16, by columns)
DEVICE void mma_bf16(float* c, const uint* a, uint b0, uint b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// The same with K = 8 and tf32.
DEVICE void mma_tf32(float* c, const uint* a, uint b0, uint b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif

DEVICE float tanh_exp(float x) {
  // 1 - 2 / (e^2x + 1); at both ends the exponential is 0 or infinite and the result right.
  return 1.0f - 2.0f / (EXP2(2.8853900817779268f * x) + 1.0f);
}
// GELU, the form with tanh.
DEVICE float gelu(float x) { return 0.5f * x * (1.0f + tanh_exp(0.7978845608028654f * (x + 0.044715f * x * x * x))); }
DEVICE float silu(float x) { return x / (1.0f + EXP2(-1.4426950408889634f * x)); }

// A number from -1 to 1 that the host makes as well (src/workload/ai/tensor.h): element i of the sequence `seed`.
DEVICE float hash_uniform(uint seed, uint i) {
  uint h = i * 0x9e3779b1u ^ seed;
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  h ^= h >> 16;
  return (float)((int)(h >> 8) - 8388608) * (1.0f / 8388608.0f);
}

#endif
