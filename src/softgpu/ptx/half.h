// f16 and bf16 as numbers: conversions with every rounding that PTX has. Exact, without hardware support.
#pragma once

#include <cmath>
#include <cstdint>

#include "softgpu/ptx/code.h"
#include "softgpu/ptx/lanes.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {

// A 16-bit format: exponent bits E, mantissa bits M.
struct HalfFormat {
  static constexpr int E = 5, M = 10;
  static constexpr uint16_t kNaN = 0x7fff, kInfinity = 0x7c00;
};
struct BFloatFormat {
  static constexpr int E = 8, M = 7;
  static constexpr uint16_t kNaN = 0x7fff, kInfinity = 0x7f80;
};

NM_INLINE float from_bfloat(uint16_t h) { return __builtin_bit_cast(float, static_cast<uint32_t>(h) << 16); }

NM_INLINE float from_half(uint16_t h) {
  uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  uint32_t body = static_cast<uint32_t>(h & 0x7fff) << 13;
  // Scaling by 2^112 renormalises denormals too; infinities and NaN need their exponent afterwards.
  float scaled = __builtin_bit_cast(float, body) * 0x1p112f;
  uint32_t bits = (h & 0x7c00) == 0x7c00 ? body | 0x7f800000 : __builtin_bit_cast(uint32_t, scaled);
  return __builtin_bit_cast(float, bits | sign);
}

template <class F>
NM_INLINE float widen(uint16_t h) {
  if constexpr (F::E == 5)
    return from_half(h);
  else
    return from_bfloat(h);
}

// Rounds a double (which holds every f16, bf16, f32 exactly) once. NaN becomes the canonical NaN.
template <class F>
NM_INLINE uint16_t narrow(double v, Round round) {
  constexpr int kBias = (1 << (F::E - 1)) - 1;
  uint64_t bits = __builtin_bit_cast(uint64_t, v);
  uint16_t sign = static_cast<uint16_t>(bits >> 48 & 0x8000);
  uint64_t body = bits & 0x7fffffffffffffffull;
  if (body > 0x7ff0000000000000ull) return F::kNaN;
  if (body == 0x7ff0000000000000ull) return sign | F::kInfinity;
  if (body == 0) return sign;
  int exponent = static_cast<int>(body >> 52) - 1023;
  uint64_t mantissa = (body & 0xfffffffffffffull) | (body >> 52 ? 1ull << 52 : 0);
  if (body >> 52 == 0) exponent = -1022;
  int shift = 52 - F::M;
  if (exponent < 1 - kBias) shift += 1 - kBias - exponent;
  if (shift > 60) {
    shift = 60;
    mantissa = 1;  // only its being there matters
  }
  uint64_t kept = mantissa >> shift, rest = mantissa & ((1ull << shift) - 1), half = 1ull << (shift - 1);
  bool up = false;
  switch (round) {
    case Round::rn:
      up = rest > half || (rest == half && (kept & 1));
      break;
    case Round::rz:
      break;
    case Round::rm:
      up = rest != 0 && sign;
      break;
    case Round::rp:
      up = rest != 0 && !sign;
      break;
  }
  kept += up;
  uint32_t result;
  if (exponent < 1 - kBias) {
    result = static_cast<uint32_t>(kept);
  } else {
    result = static_cast<uint32_t>((static_cast<uint64_t>(exponent + kBias) << F::M) + (kept - (1ull << F::M)));
  }
  if (exponent > kBias || result >= F::kInfinity) {
    bool largest = round == Round::rz || (round == Round::rm && !sign) || (round == Round::rp && sign);
    result = largest ? F::kInfinity - 1 : F::kInfinity;
  }
  return sign | static_cast<uint16_t>(result);
}

// The quick way for the common case: f32 to f16, to nearest even.
NM_INLINE uint16_t half_from_float(float v) {
  uint32_t bits = __builtin_bit_cast(uint32_t, v);
  uint32_t sign = bits >> 16 & 0x8000;
  uint32_t body = bits & 0x7fffffff;
  uint32_t normal = (body + 0xfff + (body >> 13 & 1) - (112u << 23)) >> 13;
  // Adding 0.5 aligns a denormal's last place with the sum's, so that the addition rounds it.
  uint32_t denormal = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, body) + 0.5f) - 0x3f000000;
  uint32_t result = body < 0x38800000 ? denormal : normal;
  result = body >= 0x477ff000 ? 0x7c00 : result;
  result = body > 0x7f800000 ? 0x7fff : result;
  return static_cast<uint16_t>(body > 0x7f800000 ? result : result | sign);
}
NM_INLINE uint16_t bfloat_from_float(float v) {
  uint32_t bits = __builtin_bit_cast(uint32_t, v);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? 0x7fff : rounded);
}
template <class F>
NM_INLINE uint16_t narrow_float(float v) {
  if constexpr (F::E == 5)
    return half_from_float(v);
  else
    return bfloat_from_float(v);
}

// a*b+c rounded once: the double sum of an exact product gets its lost bits back as a sticky last bit.
template <class F>
NM_INLINE uint16_t fused_narrow(float a, float b, float c) {
  double product = static_cast<double>(a) * static_cast<double>(b), addend = c;
  double sum = product + addend;
  double part = sum - product;
  double lost = (product - (sum - part)) + (addend - part);
  uint64_t bits = __builtin_bit_cast(uint64_t, sum);
  if (lost != 0 && lost - lost == 0 && sum - sum == 0 && !(bits & 1)) {
    bits = (lost > 0) == (sum > 0) ? bits | 1 : bits - 1;
  }
  return narrow<F>(__builtin_bit_cast(double, bits), Round::rn);
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
