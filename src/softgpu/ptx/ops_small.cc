#include "softgpu/ptx/ops_small.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "softgpu/ptx/half.h"
#include "softgpu/ptx/types.h"

namespace nm::softgpu::ptx {
namespace {

template <class F>
void each(uint32_t mask, F f) {
  for (; mask; mask &= mask - 1) f(static_cast<uint32_t>(std::countr_zero(mask)));
}

struct Fp8 {
  int mantissa, bias, least;  // bits; exponent bias; exponent of the smallest normal number
  double largest;
};
constexpr Fp8 kE4m3{3, 7, -6, 448}, kE5m2{2, 15, -14, 57344};

const Fp8& format(const Inst& in) { return static_cast<Type>(in.mode) == Type::e4m3x2 ? kE4m3 : kE5m2; }

// To nearest even; what is too large becomes the largest number.
uint32_t encode(const Fp8& f, double v, bool relu) {
  if (v != v) return 0x7f;
  const uint32_t sign = std::signbit(v) ? 0x80 : 0;
  if (relu && sign) return 0;
  double size = std::fabs(v);
  if (size >= f.largest) size = f.largest;
  int exponent = size == 0 ? f.least : std::max(std::ilogb(size), f.least);
  size = std::ldexp(std::nearbyint(std::ldexp(size, f.mantissa - exponent)), exponent - f.mantissa);
  if (size > f.largest) size = f.largest;
  if (size < std::ldexp(1.0, f.least)) return sign | static_cast<uint32_t>(std::ldexp(size, f.mantissa - f.least));
  exponent = std::ilogb(size);
  const uint32_t fraction = static_cast<uint32_t>(std::ldexp(size, f.mantissa - exponent)) - (1u << f.mantissa);
  return sign | static_cast<uint32_t>(exponent + f.bias) << f.mantissa | fraction;
}

double decode(const Fp8& f, uint32_t code) {
  const uint32_t body = code & 0x7f, fraction = body & ((1u << f.mantissa) - 1);
  const int exponent = static_cast<int>(body >> f.mantissa);
  double size;
  if (f.mantissa == 3 ? body == 0x7f : body > 0x7c)
    size = std::nan("");
  else if (f.mantissa == 2 && body == 0x7c)
    size = HUGE_VAL;
  else if (exponent == 0)
    size = std::ldexp(fraction, f.least - f.mantissa);
  else
    size = std::ldexp((1u << f.mantissa) + fraction, exponent - f.bias - f.mantissa);
  return code & 0x80 ? -size : size;
}

}  // namespace

void fp8_from_f32(Exec& x, const Inst& in) {
  each(x.mask, [&](uint32_t l) {
    const uint32_t high = encode(format(in), x.reg<float>(in.r[1])[l], in.flags & 1);
    const uint32_t low = encode(format(in), x.reg<float>(in.r[2])[l], in.flags & 1);
    x.reg<uint16_t>(in.r[0])[l] = static_cast<uint16_t>(high << 8 | low);
  });
}

void fp8_from_f16x2(Exec& x, const Inst& in) {
  each(x.mask, [&](uint32_t l) {
    const uint32_t v = x.reg<uint32_t>(in.r[1])[l];
    const uint32_t high = encode(format(in), NM_PTX_ISA::from_half(static_cast<uint16_t>(v >> 16)), in.flags & 1);
    const uint32_t low = encode(format(in), NM_PTX_ISA::from_half(static_cast<uint16_t>(v)), in.flags & 1);
    x.reg<uint16_t>(in.r[0])[l] = static_cast<uint16_t>(high << 8 | low);
  });
}

void f16x2_from_fp8(Exec& x, const Inst& in) {
  auto half = [&](uint32_t code) -> uint32_t {
    const double v = decode(format(in), code);
    return in.flags & 1 && v < 0 ? 0 : NM_PTX_ISA::narrow<NM_PTX_ISA::HalfFormat>(v, Round::rn);
  };
  each(x.mask, [&](uint32_t l) {
    const uint32_t v = x.reg<uint16_t>(in.r[1])[l];
    x.reg<uint32_t>(in.r[0])[l] = half(v >> 8) << 16 | half(v & 0xff);
  });
}

void absolute_differences(Exec& x, const Inst& in) {
  const uint32_t width = in.size * 8, part = (1u << width) - 1;
  each(x.mask, [&](uint32_t l) {
    const uint32_t a = x.reg<uint32_t>(in.r[1])[l], b = x.reg<uint32_t>(in.r[2])[l];
    uint32_t packed = 0, sum = x.reg<uint32_t>(in.r[3])[l];
    for (uint32_t at = 0; at < 32; at += width) {
      const uint32_t left = a >> at & part, right = b >> at & part;
      const uint32_t difference = left > right ? left - right : right - left;
      packed |= difference << at;
      sum += difference;
    }
    x.reg<uint32_t>(in.r[0])[l] = in.flags & 1 ? sum : packed;
  });
}

void pack_saturated(Exec& x, const Inst& in) {
  const uint32_t width = in.size * 8, part = (1u << width) - 1;
  const int64_t least = in.flags & 1 ? -(int64_t{1} << (width - 1)) : 0;
  const int64_t largest = in.flags & 1 ? (int64_t{1} << (width - 1)) - 1 : part;
  auto saturated = [&](Ref ref, uint32_t l) {
    const uint32_t v = x.reg<uint32_t>(ref)[l];
    const int64_t number = in.flags & 2 ? int64_t{static_cast<int32_t>(v)} : int64_t{v};
    return static_cast<uint32_t>(std::clamp(number, least, largest)) & part;
  };
  each(x.mask, [&](uint32_t l) {
    const uint32_t above = in.r[3] == kNoRef || width == 16 ? 0 : x.reg<uint32_t>(in.r[3])[l] << 2 * width;
    x.reg<uint32_t>(in.r[0])[l] = above | saturated(in.r[1], l) << width | saturated(in.r[2], l);
  });
}

}  // namespace nm::softgpu::ptx
