// cvt. Frequent pairs have loops of their own; everything else goes through one of three canonical forms (s64, u64,
// f64), which hold every source exactly, so that there is one rounding.
#include <cmath>

#include "softgpu/ptx/half.h"
#include "softgpu/ptx/lanes.h"
#include "softgpu/ptx/ops.h"

#include <xmmintrin.h>

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s32 = int32_t;
using s64 = int64_t;

struct Canonical {
  enum class Form { s, u, f } form = Form::s;
  alignas(64) u64 bits[kLanes];
};

NM_INLINE float flushed(float v) {
  u32 bits = __builtin_bit_cast(u32, v);
  return __builtin_bit_cast(float, (bits & 0x7f800000) == 0 ? bits & 0x80000000 : bits);
}
NM_INLINE double as_double(u64 v) { return __builtin_bit_cast(double, v); }
NM_INLINE u64 as_bits(double v) { return __builtin_bit_cast(u64, v); }

u64 element(const Exec& x, Ref ref, u32 bytes, u32 l) {
  switch (bytes) {
    case 2:
      return x.reg<u16>(ref)[l];
    case 4:
      return x.reg<u32>(ref)[l];
    default:
      return x.reg<u64>(ref)[l];
  }
}

void read(const Exec& x, Ref ref, const ConvertPlan& plan, Canonical& out) {
  for (u32 l = 0; l < kLanes; ++l) out.bits[l] = element(x, ref, plan.from_bytes, l);
  switch (plan.from) {
    case Type::f32:
      for (u64& v : out.bits) {
        float f = __builtin_bit_cast(float, static_cast<u32>(v));
        v = as_bits(plan.ftz ? flushed(f) : f);
      }
      break;
    case Type::f16:
      for (u64& v : out.bits) v = as_bits(from_half(static_cast<u16>(v)));
      break;
    case Type::bf16:
      for (u64& v : out.bits) v = as_bits(from_bfloat(static_cast<u16>(v)));
      break;
    case Type::f64:
      break;
    default: {
      u32 unused = 64 - size_of(plan.from) * 8;
      out.form = is_signed(plan.from) ? Canonical::Form::s : Canonical::Form::u;
      for (u64& v : out.bits) v = is_signed(plan.from) ? u64(s64(v << unused) >> unused) : v << unused >> unused;
      return;
    }
  }
  out.form = Canonical::Form::f;
}

double to_integral(double v, IntegerRound how) {
  switch (how) {
    case IntegerRound::rni:
      return __builtin_nearbyint(v);
    case IntegerRound::rzi:
      return __builtin_trunc(v);
    case IntegerRound::rmi:
      return __builtin_floor(v);
    case IntegerRound::rpi:
      return __builtin_ceil(v);
    default:
      return v;
  }
}

// An integer from a number that is integral already; out of range saturates.
u64 integer_from(double v, const ConvertPlan& plan) {
  u32 width = size_of(plan.to) * 8;
  if (v != v) {
    bool zero = plan.from != Type::f64 && width != 64;
    return zero ? 0 : u64(1) << (width - 1);
  }
  if (is_signed(plan.to)) {
    double limit = __builtin_ldexp(1.0, static_cast<int>(width) - 1);
    if (v >= limit) return (u64(1) << (width - 1)) - 1;
    if (v <= -limit) return ~u64(0) << (width - 1);
    return u64(static_cast<s64>(v));
  }
  double limit = __builtin_ldexp(1.0, static_cast<int>(width));
  if (v >= limit) return width == 64 ? ~u64(0) : (u64(1) << width) - 1;
  if (v <= 0) return 0;
  return v >= 0x1p63 ? u64(static_cast<s64>(v - 0x1p63)) + (u64(1) << 63) : u64(static_cast<s64>(v));
}

u64 clamp_integer(u64 v, Canonical::Form form, Type to) {
  u32 width = size_of(to) * 8;
  if (is_signed(to)) {
    s64 high = s64((u64(1) << (width - 1)) - 1), low = -high - 1;
    if (form == Canonical::Form::u) return v > u64(high) ? u64(high) : v;
    s64 value = s64(v);
    return u64(value > high ? high : value < low ? low : value);
  }
  u64 high = width == 64 ? ~u64(0) : (u64(1) << width) - 1;
  if (form == Canonical::Form::s && s64(v) < 0) return 0;
  return v > high ? high : v;
}

// An integer as a double whose lost bits are kept as a sticky last bit: what is rounded again stays right.
double sticky_double(u64 v, Canonical::Form form) {
  bool negative = form == Canonical::Form::s && s64(v) < 0;
  u64 size = negative ? 0 - v : v;
  if (size >> 53) size = (size >> 11 | ((size & 0x7ff) != 0)) << 11;
  double result = static_cast<double>(size >> 11) * 2048.0 + static_cast<double>(size & 0x7ff);
  return negative ? -result : result;
}

u64 float_result(u64 v, Canonical::Form form, const ConvertPlan& plan) {
  double number;
  if (form != Canonical::Form::f) {
    if (plan.to == Type::f64)
      return as_bits(form == Canonical::Form::s ? static_cast<double>(s64(v)) : static_cast<double>(v));
    if (plan.to == Type::f32) {
      float f = form == Canonical::Form::s ? static_cast<float>(s64(v)) : static_cast<float>(v);
      if (plan.sat) f = f > 0 ? (f < 1 ? f : 1) : 0;
      return __builtin_bit_cast(u32, f);
    }
    number = sticky_double(v, form);
  } else {
    number = to_integral(as_double(v), plan.integer);
  }
  if (plan.sat) number = number > 0 ? (number < 1 ? number : 1) : 0;
  if (plan.relu) number = number != number ? number : number > 0 ? number : 0;
  switch (plan.to) {
    case Type::f64:
      return as_bits(number);
    case Type::f32: {
      float f = static_cast<float>(number);
      if (f != f) return 0x7fffffff;
      return __builtin_bit_cast(u32, plan.ftz ? flushed(f) : f);
    }
    case Type::tf32: {
      u32 bits = __builtin_bit_cast(u32, static_cast<float>(number));
      if ((bits & 0x7f800000) == 0x7f800000) return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fffffff : bits;
      if (plan.round == Round::rz) return bits & ~0x1fffu;
      return (bits + (plan.away ? 0x1000 : 0xfff + (bits >> 13 & 1))) & ~0x1fffu;
    }
    case Type::f16: {
      u16 h = narrow<HalfFormat>(number, plan.round);
      return plan.finite && (h & 0x7fff) == 0x7c00 ? h - 1 : h;
    }
    default: {
      u16 h = narrow<BFloatFormat>(number, plan.round);
      return plan.finite && (h & 0x7fff) == 0x7f80 ? h - 1 : h;
    }
  }
}

void write(const Exec& x, Ref ref, u32 bytes, const u64* v) {
  switch (bytes) {
    case 2:
      set_lanes<u16>(x, ref, [=](u32 l) { return u16(v[l]); });
      break;
    case 4:
      set_lanes<u32>(x, ref, [=](u32 l) { return u32(v[l]); });
      break;
    default:
      set_lanes<u64>(x, ref, [=](u32 l) { return v[l]; });
      break;
  }
}

struct RoundingMode {
  explicit RoundingMode(Round round) : saved(_mm_getcsr()) {
    if (round != Round::rn) _mm_setcsr((saved & ~0x6000u) | static_cast<u32>(round) << 13);
  }
  ~RoundingMode() { _mm_setcsr(saved); }
  u32 saved;
};

void general(Exec& x, const Inst& in) {
  ConvertPlan plan = __builtin_bit_cast(ConvertPlan, in.imm);
  Canonical source;
  read(x, in.r[1], plan, source);
  alignas(64) u64 result[kLanes];
  if (is_integer(plan.to)) {
    bool integral = source.form == Canonical::Form::f;
    u32 unused = 64 - size_of(plan.to) * 8;
    for (u32 l = 0; l < kLanes; ++l) {
      u64 v = source.bits[l];
      if (integral)
        v = integer_from(to_integral(as_double(v), plan.integer), plan);
      else if (plan.sat)
        v = clamp_integer(v, source.form, plan.to);
      result[l] = is_signed(plan.to) ? u64(s64(v << unused) >> unused) : v << unused >> unused;
    }
  } else {
    bool hardware = plan.to == Type::f32 || plan.to == Type::f64;
    RoundingMode mode(hardware && plan.integer == IntegerRound::none ? plan.round : Round::rn);
    asm volatile("" ::: "memory");
    for (u32 l = 0; l < kLanes; ++l) result[l] = float_result(source.bits[l], source.form, plan);
    asm volatile("" ::: "memory");
  }
  write(x, in.r[0], plan.to_bytes, result);
}

// cvt.f16x2.f32 d, a, b: a becomes the high half.
void pair(Exec& x, const Inst& in) {
  ConvertPlan plan = __builtin_bit_cast(ConvertPlan, in.imm);
  const float* a = x.reg<float>(in.r[1]);
  const float* b = x.reg<float>(in.r[2]);
  plan.to = plan.to == Type::f16x2 ? Type::f16 : Type::bf16;
  u32 result[kLanes];
  for (u32 l = 0; l < kLanes; ++l) {
    u64 high = float_result(as_bits(plan.ftz ? flushed(a[l]) : a[l]), Canonical::Form::f, plan);
    u64 low = float_result(as_bits(plan.ftz ? flushed(b[l]) : b[l]), Canonical::Form::f, plan);
    result[l] = u32(high << 16 | low);
  }
  const u32* r = result;
  set_lanes<u32>(x, in.r[0], [=](u32 l) { return r[l]; });
}

// Integers: read as R, seen as S, widened or cut to D.
template <class R, class S, class D>
void integer(Exec& x, const Inst& in) {
  const R* a = x.reg<R>(in.r[1]);
  set_lanes<D>(x, in.r[0], [=](u32 l) { return static_cast<D>(static_cast<S>(a[l])); });
}
template <class R, class S>
Handler integer_to(u32 bytes) {
  return bytes == 2 ? integer<R, S, u16> : bytes == 4 ? integer<R, S, u32> : bytes == 8 ? integer<R, S, u64> : nullptr;
}
template <class R>
Handler integer_from_register(Type from, u32 bytes) {
  switch (from) {
    case Type::u8:
      return integer_to<R, u8>(bytes);
    case Type::s8:
      return integer_to<R, int8_t>(bytes);
    case Type::u16:
      return integer_to<R, u16>(bytes);
    case Type::s16:
      return integer_to<R, int16_t>(bytes);
    case Type::u32:
      return integer_to<R, u32>(bytes);
    case Type::s32:
      return integer_to<R, s32>(bytes);
    case Type::u64:
      return integer_to<R, u64>(bytes);
    case Type::s64:
      return integer_to<R, s64>(bytes);
    default:
      return nullptr;
  }
}

void f32_from_s32(Exec& x, const Inst& in) {
  const s32* a = x.reg<s32>(in.r[1]);
  set_lanes<float>(x, in.r[0], [=](u32 l) { return static_cast<float>(a[l]); });
}
void f64_from_s32(Exec& x, const Inst& in) {
  const s32* a = x.reg<s32>(in.r[1]);
  set_lanes<double>(x, in.r[0], [=](u32 l) { return static_cast<double>(a[l]); });
}
void f64_from_f32(Exec& x, const Inst& in) {
  const float* a = x.reg<float>(in.r[1]);
  set_lanes<double>(x, in.r[0], [=](u32 l) { return static_cast<double>(a[l]); });
}
void f32_from_f16(Exec& x, const Inst& in) {
  const u16* a = x.reg<u16>(in.r[1]);
  set_lanes<float>(x, in.r[0], [=](u32 l) {
    float f = from_half(a[l]);
    return f != f ? __builtin_bit_cast(float, 0x7fffffff) : f;
  });
}
void f16_from_f32(Exec& x, const Inst& in) {
  const float* a = x.reg<float>(in.r[1]);
  set_lanes<u16>(x, in.r[0], [=](u32 l) { return half_from_float(a[l]); });
}
void f32_from_f64(Exec& x, const Inst& in) {
  const double* a = x.reg<double>(in.r[1]);
  set_lanes<float>(x, in.r[0], [=](u32 l) {
    float f = static_cast<float>(a[l]);
    return f != f ? __builtin_bit_cast(float, 0x7fffffff) : f;
  });
}
void s32_from_f32(Exec& x, const Inst& in) {
  const float* a = x.reg<float>(in.r[1]);
  set_lanes<s32>(x, in.r[0], [=](u32 l) {
    float f = a[l];
    f = f != f ? 0.0f : f;
    bool high = f >= 0x1p31f;
    float safe = f < 0x1p31f ? (f > -0x1p31f ? f : -0x1p31f) : 0.0f;
    s32 v = static_cast<s32>(safe);
    return high ? 2147483647 : v;
  });
}

}  // namespace

Handler find_convert(const ConvertPlan& p) {
  if (p.to == Type::f16x2 || p.to == Type::bf16x2) return p.from == Type::f32 ? pair : nullptr;
  bool plain = !p.ftz && !p.sat && !p.relu && !p.finite;
  if (is_integer(p.to) && is_integer(p.from) && !p.sat && size_of(p.to) == p.to_bytes) {
    if (p.from_bytes == 2) return integer_from_register<u16>(p.from, p.to_bytes);
    if (p.from_bytes == 4) return integer_from_register<u32>(p.from, p.to_bytes);
    if (p.from_bytes == 8) return integer_from_register<u64>(p.from, p.to_bytes);
  }
  bool nearest = plain && p.round == Round::rn && p.integer == IntegerRound::none;
  if (p.from == Type::s32 && p.from_bytes == 4 && p.to == Type::f64) return f64_from_s32;
  if (nearest && p.from == Type::s32 && p.from_bytes == 4 && p.to == Type::f32) return f32_from_s32;
  if (nearest && p.from == Type::f32 && p.to == Type::f64) return f64_from_f32;
  if (nearest && p.from == Type::f16 && p.to == Type::f32) return f32_from_f16;
  if (nearest && p.from == Type::f32 && p.to == Type::f16) return f16_from_f32;
  if (nearest && p.from == Type::f64 && p.to == Type::f32) return f32_from_f64;
  if (plain && p.from == Type::f32 && p.to == Type::s32 && p.to_bytes == 4 && p.integer == IntegerRound::rzi)
    return s32_from_f32;
  bool known = (is_integer(p.to) || is_float(p.to) || p.to == Type::tf32) && (is_integer(p.from) || is_float(p.from));
  return known ? general : nullptr;
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
