// What the threads of a CUDA warp can do with each other; OpenCL C 1.2 has none of it, and sees an empty file. Whoever
// calls one of these calls it with all 32 threads of the warp.
#ifndef NM_WARP_H
#define NM_WARP_H
#ifndef __OPENCL_VERSION__

#define WARP_ALL 0xffffffffu
#define WARP_SYNC() __nvvm_bar_warp_sync(WARP_ALL)
#define BALLOT(p) ((uint)__nvvm_vote_ballot_sync(WARP_ALL, p))
#define POPCOUNT(u) ((uint)__builtin_popcount(u))
#define LOWEST_BIT(u) __builtin_ctz(u)  // of what is not 0

NM_INLINE uint nm_shuffle(uint x, int lane) { return (uint)__nvvm_shfl_sync_idx_i32(WARP_ALL, (int)x, lane, 31); }
NM_INLINE uint nm_shuffle_up(uint x, int by) { return (uint)__nvvm_shfl_sync_up_i32(WARP_ALL, (int)x, by, 0); }
NM_INLINE uint nm_shuffle_xor(uint x, int by) { return (uint)__nvvm_shfl_sync_bfly_i32(WARP_ALL, (int)x, by, 31); }
NM_INLINE float nm_shuffle(float x, int lane) { return AS_FLOAT(nm_shuffle(AS_UINT(x), lane)); }
NM_INLINE float nm_shuffle_up(float x, int by) { return AS_FLOAT(nm_shuffle_up(AS_UINT(x), by)); }
NM_INLINE float nm_shuffle_xor(float x, int by) { return AS_FLOAT(nm_shuffle_xor(AS_UINT(x), by)); }
NM_INLINE double nm_double_of(uint high, uint low) { return __builtin_bit_cast(double, ((ulong)high << 32) | low); }
NM_INLINE double nm_shuffle(double x, int lane) {
  const ulong u = __builtin_bit_cast(ulong, x);
  return nm_double_of(nm_shuffle((uint)(u >> 32), lane), nm_shuffle((uint)u, lane));
}
NM_INLINE double nm_shuffle_up(double x, int by) {
  const ulong u = __builtin_bit_cast(ulong, x);
  return nm_double_of(nm_shuffle_up((uint)(u >> 32), by), nm_shuffle_up((uint)u, by));
}
NM_INLINE double nm_shuffle_xor(double x, int by) {
  const ulong u = __builtin_bit_cast(ulong, x);
  return nm_double_of(nm_shuffle_xor((uint)(u >> 32), by), nm_shuffle_xor((uint)u, by));
}
// The value of the thread `lane`; of the thread `by` before this one; of the thread whose number differs in the bits
// `by`.
#define SHUFFLE(x, lane) nm_shuffle(x, lane)
#define SHUFFLE_UP(x, by) nm_shuffle_up(x, by)
#define SHUFFLE_XOR(x, by) nm_shuffle_xor(x, by)

// Words by which blocks tell each other something: read from and written to memory, each in one piece.
NM_INLINE ulong nm_load_now(const ulong* p) { return *(const volatile ulong*)p; }
NM_INLINE uint nm_load_now(const uint* p) { return *(const volatile uint*)p; }
#define LOAD_NOW(p) nm_load_now(p)
#define STORE_NOW(p, v) (void)(*(volatile __typeof__(*(p))*)(p) = (v))

#endif
#endif
