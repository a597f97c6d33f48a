// Loops over the lanes of a warp. Only for files compiled once an instruction set (NM_PTX_ISA): everything lives in
// that namespace and is inlined, so that no AVX2 code can end up in the plain variant.
#pragma once

#include "softgpu/ptx/exec.h"

#ifndef NM_PTX_ISA
#error "compile this file through ptx/CMakeLists.txt, which sets NM_PTX_ISA"
#endif

#define NM_INLINE [[gnu::always_inline]] inline

namespace nm::softgpu::ptx::NM_PTX_ISA {

// dst[lane] = f(lane) for the active lanes. f must not trap: it is computed for all of them.
template <class T, class F>
NM_INLINE void set_lanes(const Exec& x, Ref dst, F f) {
  T* d = x.reg<T>(dst);
  if (x.all()) {
#pragma GCC ivdep
    for (uint32_t l = 0; l < kLanes; ++l) d[l] = f(l);
    return;
  }
  T t[kLanes];
#pragma GCC ivdep
  for (uint32_t l = 0; l < kLanes; ++l) t[l] = f(l);
  uint32_t mask = x.mask;
#pragma GCC ivdep
  for (uint32_t l = 0; l < kLanes; ++l) d[l] = (mask >> l & 1) ? t[l] : d[l];
}

// Bit l of the result: f(l).
template <class F>
NM_INLINE uint32_t pack_lanes(F f) {
  alignas(32) uint8_t byte[kLanes];
#pragma GCC ivdep
  for (uint32_t l = 0; l < kLanes; ++l) byte[l] = f(l) ? 1 : 0;
  uint32_t bits = 0;
  for (uint32_t part = 0; part < 4; ++part) {
    uint64_t eight;
    __builtin_memcpy(&eight, byte + part * 8, 8);
    bits |= static_cast<uint32_t>(eight * 0x0102040810204080ull >> 56) << (part * 8);
  }
  return bits;
}

NM_INLINE void set_predicate(const Exec& x, Ref dst, uint32_t bits) {
  uint32_t* p = x.reg<uint32_t>(dst);
  *p = (*p & ~x.mask) | (bits & x.mask);
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
