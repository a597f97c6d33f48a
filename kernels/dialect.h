// One language for two compilers: OpenCL C 1.2, and clang's CUDA for the device, which compiles these files as C++.
// A kernel source keeps to what both have: C without templates, vectors made by MAKE_*, address spaces by name.
//
// A source is compiled once a variant (its first line says which: "// variants: sp dp"), each time with VARIANT_<name>
// defined. In the variants sp and dp REAL is float or double.
#ifndef NM_DIALECT_H
#define NM_DIALECT_H

#ifdef VARIANT_dp
#define REAL_IS_DOUBLE 1
#endif

#ifdef __OPENCL_VERSION__

#ifdef REAL_IS_DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
#define KERNEL __kernel
#define DEVICE
#define GLOBAL __global      // of a pointer to the device's memory
#define SHARED __local       // of an array in a kernel, and of a pointer to it in a DEVICE function
#define SHARED_POINTER __local
#define CONSTANT __constant  // of a table in the source
#define RESTRICT restrict
#define MAX_THREADS(n) __attribute__((reqd_work_group_size(n, 1, 1)))
#define MAX_THREADS_2D(x, y) __attribute__((reqd_work_group_size(x, y, 1)))
#define MAX_THREADS_BLOCKS(n, blocks) MAX_THREADS(n)  // so many blocks fit a multiprocessor: a bound for the registers
#define THREAD_X ((int)get_local_id(0))
#define THREAD_Y ((int)get_local_id(1))
#define THREAD_Z ((int)get_local_id(2))
#define THREADS_X ((int)get_local_size(0))
#define THREADS_Y ((int)get_local_size(1))
#define BLOCK_X ((int)get_group_id(0))
#define BLOCK_Y ((int)get_group_id(1))
#define BLOCK_Z ((int)get_group_id(2))
#define BLOCKS_X ((int)get_num_groups(0))
#define BLOCKS_Y ((int)get_num_groups(1))
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE)
#define BARRIER_ALL() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)  // global memory too, within the block
#define FMA(a, b, c) fma(a, b, c)
#define SQRT(x) sqrt(x)
#define RSQRT(x) rsqrt(x)
#define EXP(x) exp(x)
#define LOG(x) log(x)
#define ATOMIC_ADD_INT(p, v) atomic_add(p, v)
#define ATOMIC_MIN_INT(p, v) atomic_min(p, v)
#define ATOMIC_CAS_INT(p, expected, v) atomic_cmpxchg(p, expected, v)
#define MAKE_FLOAT2(x, y) ((float2)(x, y))
#define MAKE_FLOAT4(x, y, z, w) ((float4)(x, y, z, w))
#define MAKE_DOUBLE2(x, y) ((double2)(x, y))
#define MAKE_DOUBLE4(x, y, z, w) ((double4)(x, y, z, w))
#define AS_UINT(f) as_uint(f)
#define AS_FLOAT(u) as_float(u)

#else  // clang, CUDA, device only

#define KERNEL extern "C" __attribute__((global))
#define DEVICE static inline __attribute__((device, always_inline))
#define GLOBAL
// `used`: or clang takes a variable whose address goes nowhere for one that no barrier changes, and reads it too early.
#define SHARED static __attribute__((shared, used))
#define SHARED_POINTER
#define CONSTANT static const __attribute__((constant))
#define RESTRICT __restrict__
#define MAX_THREADS(n) __attribute__((launch_bounds(n)))
#define MAX_THREADS_2D(x, y) __attribute__((launch_bounds((x) * (y))))
#define MAX_THREADS_BLOCKS(n, blocks) __attribute__((launch_bounds(n, blocks)))
#define THREAD_X __nvvm_read_ptx_sreg_tid_x()
#define THREAD_Y __nvvm_read_ptx_sreg_tid_y()
#define THREAD_Z __nvvm_read_ptx_sreg_tid_z()
#define THREADS_X __nvvm_read_ptx_sreg_ntid_x()
#define THREADS_Y __nvvm_read_ptx_sreg_ntid_y()
#define BLOCK_X __nvvm_read_ptx_sreg_ctaid_x()
#define BLOCK_Y __nvvm_read_ptx_sreg_ctaid_y()
#define BLOCK_Z __nvvm_read_ptx_sreg_ctaid_z()
#define BLOCKS_X __nvvm_read_ptx_sreg_nctaid_x()
#define BLOCKS_Y __nvvm_read_ptx_sreg_nctaid_y()
// By assembly, not __syncthreads(): clang 14 believes that an intrinsic changes no SHARED variable whose address it
// knows to stay in the kernel, and moves loads of what other threads wrote to before the barrier.
#define BARRIER() __asm__ volatile("bar.sync 0;" ::: "memory")
#define BARRIER_ALL() BARRIER()
typedef unsigned int uint;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned long ulong;
typedef float float2 __attribute__((ext_vector_type(2)));
typedef float float4 __attribute__((ext_vector_type(4)));
typedef double double2 __attribute__((ext_vector_type(2)));
typedef double double4 __attribute__((ext_vector_type(4)));
typedef int int2 __attribute__((ext_vector_type(2)));
typedef int int4 __attribute__((ext_vector_type(4)));
typedef uint uint2 __attribute__((ext_vector_type(2)));
typedef uint uint4 __attribute__((ext_vector_type(4)));
#define NM_INLINE static inline __attribute__((device, always_inline))
NM_INLINE float nm_fma(float a, float b, float c) { return __nvvm_fma_rn_f(a, b, c); }
NM_INLINE double nm_fma(double a, double b, double c) { return __nvvm_fma_rn_d(a, b, c); }
NM_INLINE float nm_sqrt(float x) { return __nvvm_sqrt_rn_f(x); }
NM_INLINE double nm_sqrt(double x) { return __nvvm_sqrt_rn_d(x); }
NM_INLINE float nm_rsqrt(float x) { return 1.0f / nm_sqrt(x); }
NM_INLINE double nm_rsqrt(double x) { return 1.0 / nm_sqrt(x); }
// Range reduction and a polynomial: no library of the device is at hand. Within 2 ulp of the right value.
NM_INLINE double nm_exp(double x) {
  if (x > 709.7) return __builtin_huge_val();
  if (x < -745.0) return 0.0;
  const double k = __nvvm_floor_d(x * 1.4426950408889634074 + 0.5);
  const double r = nm_fma(-k, 1.90821492927058770002e-10, nm_fma(-k, 6.93147180369123816490e-01, x));
  double p = 1.0 / 6227020800.0;
  p = nm_fma(p, r, 1.0 / 479001600.0), p = nm_fma(p, r, 1.0 / 39916800.0), p = nm_fma(p, r, 1.0 / 3628800.0);
  p = nm_fma(p, r, 1.0 / 362880.0), p = nm_fma(p, r, 1.0 / 40320.0), p = nm_fma(p, r, 1.0 / 5040.0);
  p = nm_fma(p, r, 1.0 / 720.0), p = nm_fma(p, r, 1.0 / 120.0), p = nm_fma(p, r, 1.0 / 24.0);
  p = nm_fma(p, r, 1.0 / 6.0), p = nm_fma(p, r, 0.5), p = nm_fma(p, r, 1.0), p = nm_fma(p, r, 1.0);
  // Two factors, so that a subnormal result is reached without an overflow on the way.
  const int whole = (int)k, half = whole / 2;
  const double a = __builtin_bit_cast(double, (long)(half + 1023) << 52);
  const double b = __builtin_bit_cast(double, (long)(whole - half + 1023) << 52);
  return p * a * b;
}
NM_INLINE float nm_exp(float x) {
  if (x > 88.72f) return __builtin_huge_valf();
  if (x < -103.9f) return 0.0f;
  const float k = __nvvm_floor_f(x * 1.44269504f + 0.5f);
  const float r = nm_fma(-k, 1.42860677e-6f, nm_fma(-k, 0.693145752f, x));
  float p = 1.0f / 5040.0f;
  p = nm_fma(p, r, 1.0f / 720.0f), p = nm_fma(p, r, 1.0f / 120.0f), p = nm_fma(p, r, 1.0f / 24.0f);
  p = nm_fma(p, r, 1.0f / 6.0f), p = nm_fma(p, r, 0.5f), p = nm_fma(p, r, 1.0f), p = nm_fma(p, r, 1.0f);
  const int whole = (int)k, half = whole / 2;
  return p * __builtin_bit_cast(float, (half + 127) << 23) * __builtin_bit_cast(float, (whole - half + 127) << 23);
}
NM_INLINE double nm_log(double x) {
  if (!(x > 0.0)) return x == 0.0 ? -__builtin_huge_val() : __builtin_nan("");
  int e = 0;
  if (x < 2.2250738585072014e-308) x *= 18014398509481984.0, e = -54;
  long bits = __builtin_bit_cast(long, x);
  e += (int)(bits >> 52) - 1023;
  double m = __builtin_bit_cast(double, (bits & 0xfffffffffffffL) | 0x3ff0000000000000L);
  if (m > 1.4142135623730951) m *= 0.5, e += 1;
  const double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = 1.0 / 21.0;
  p = nm_fma(p, z, 1.0 / 19.0), p = nm_fma(p, z, 1.0 / 17.0), p = nm_fma(p, z, 1.0 / 15.0);
  p = nm_fma(p, z, 1.0 / 13.0), p = nm_fma(p, z, 1.0 / 11.0), p = nm_fma(p, z, 1.0 / 9.0);
  p = nm_fma(p, z, 1.0 / 7.0), p = nm_fma(p, z, 1.0 / 5.0), p = nm_fma(p, z, 1.0 / 3.0);
  p = nm_fma(p * z, s, s);
  return nm_fma((double)e, 6.93147180369123816490e-01, nm_fma((double)e, 1.90821492927058770002e-10, 2.0 * p));
}
NM_INLINE float nm_log(float x) { return (float)nm_log((double)x); }
#define FMA(a, b, c) nm_fma(a, b, c)
#define SQRT(x) nm_sqrt(x)
#define RSQRT(x) nm_rsqrt(x)
#define EXP(x) nm_exp(x)
#define LOG(x) nm_log(x)
#define ATOMIC_ADD_INT(p, v) __atomic_fetch_add(p, v, __ATOMIC_RELAXED)
#define ATOMIC_MIN_INT(p, v) __atomic_fetch_min(p, v, __ATOMIC_RELAXED)
NM_INLINE int nm_cas(int* p, int expected, int v) {
  __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
#define ATOMIC_CAS_INT(p, expected, v) nm_cas(p, expected, v)
#define MAKE_FLOAT2(x, y) (float2{x, y})
#define MAKE_FLOAT4(x, y, z, w) (float4{x, y, z, w})
#define MAKE_DOUBLE2(x, y) (double2{x, y})
#define MAKE_DOUBLE4(x, y, z, w) (double4{x, y, z, w})
#define AS_UINT(f) __builtin_bit_cast(uint, f)
#define AS_FLOAT(u) __builtin_bit_cast(float, u)

#endif

#define GLOBAL_X (BLOCK_X * THREADS_X + THREAD_X)
#define GLOBAL_Y (BLOCK_Y * THREADS_Y + THREAD_Y)

#ifdef REAL_IS_DOUBLE
#define REAL double
#define REAL2 double2
#define REAL4 double4
#define MAKE_REAL2 MAKE_DOUBLE2
#define MAKE_REAL4 MAKE_DOUBLE4
#else
#define REAL float
#define REAL2 float2
#define REAL4 float4
#define MAKE_REAL2 MAKE_FLOAT2
#define MAKE_REAL4 MAKE_FLOAT4
#endif

#endif
