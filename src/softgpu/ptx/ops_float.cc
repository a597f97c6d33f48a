// f32 and f64 arithmetic and special functions. Results that are NaN become the canonical NaN in f32, as on the device.
// Rounding modes other than nearest are rounded.cc's: it sets MXCSR around the handlers found here.
#include <cmath>

#include "softgpu/ptx/lanes.h"
#include "softgpu/ptx/ops.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

using u32 = uint32_t;
using u64 = uint64_t;

template <class T>
struct BitsOf;
template <>
struct BitsOf<float> {
  using type = u32;
};
template <>
struct BitsOf<double> {
  using type = u64;
};
template <class T>
using Bits = typename BitsOf<T>::type;
template <class T>
constexpr Bits<T> kSign = Bits<T>(1) << (sizeof(T) * 8 - 1);

template <class T>
NM_INLINE Bits<T> bits(T v) {
  return __builtin_bit_cast(Bits<T>, v);
}
template <class T>
NM_INLINE T real(Bits<T> v) {
  return __builtin_bit_cast(T, v);
}

template <u32 Flags>
NM_INLINE double take(double v) {
  return v;
}
template <u32 Flags>
NM_INLINE float take(float v) {
  if constexpr (Flags & kFtz) return real<float>((bits(v) & 0x7f800000) == 0 ? bits(v) & 0x80000000 : bits(v));
  return v;
}
template <u32 Flags>
NM_INLINE double give(double v) {
  if constexpr (Flags & kSat) v = v > 0 ? (v < 1 ? v : 1) : 0;
  return v;
}
template <u32 Flags>
NM_INLINE float give(float v) {
  v = take<Flags>(v);
  if constexpr (Flags & kSat) return v > 0 ? (v < 1 ? v : 1) : 0;
  return real<float>(v != v ? 0x7fffffff : bits(v));
}

template <class F, class T, u32 Flags>
void unary(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[1]);
  set_lanes<T>(x, in.r[0], [=](u32 l) { return give<Flags>(F::f(take<Flags>(a[l]))); });
}
template <class F, class T, u32 Flags>
void binary(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[1]);
  const T* b = x.reg<T>(in.r[2]);
  set_lanes<T>(x, in.r[0], [=](u32 l) { return give<Flags>(F::f(take<Flags>(a[l]), take<Flags>(b[l]))); });
}
template <class T, u32 Flags, bool Relu>
void fused(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[1]);
  const T* b = x.reg<T>(in.r[2]);
  const T* c = x.reg<T>(in.r[3]);
  set_lanes<T>(x, in.r[0], [=](u32 l) {
    T v;
    if constexpr (sizeof(T) == 4)
      v = __builtin_fmaf(take<Flags>(a[l]), take<Flags>(b[l]), take<Flags>(c[l]));
    else
      v = __builtin_fma(a[l], b[l], c[l]);
    return give<Flags>(v);
  });
}

struct Add {
  template <class T>
  NM_INLINE static T f(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  NM_INLINE static T f(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  NM_INLINE static T f(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  NM_INLINE static T f(T a, T b) {
    return a / b;
  }
};
struct Rcp {
  template <class T>
  NM_INLINE static T f(T a) {
    return 1 / a;
  }
};
struct Sqrt {
  NM_INLINE static float f(float a) { return __builtin_sqrtf(a); }
  NM_INLINE static double f(double a) { return __builtin_sqrt(a); }
};
struct Rsqrt {
  NM_INLINE static float f(float a) { return static_cast<float>(1 / __builtin_sqrt(static_cast<double>(a))); }
  NM_INLINE static double f(double a) { return 1 / __builtin_sqrt(a); }
};
struct Sin {
  template <class T>
  NM_INLINE static T f(T a) {
    return ::sinf(a);
  }
};
struct Cos {
  template <class T>
  NM_INLINE static T f(T a) {
    return ::cosf(a);
  }
};
struct Lg2 {
  template <class T>
  NM_INLINE static T f(T a) {
    return ::log2f(a);
  }
};
struct Ex2 {
  template <class T>
  NM_INLINE static T f(T a) {
    return ::exp2f(a);
  }
};
struct Tanh {
  template <class T>
  NM_INLINE static T f(T a) {
    return ::tanhf(a);
  }
};

// One NaN: the other operand. -0 is less than +0.
template <bool Max, bool NaN, bool XorSign>
struct Extreme {
  template <class T>
  NM_INLINE static T f(T a, T b) {
    Bits<T> sign = 0;
    if constexpr (XorSign) {
      sign = (bits(a) ^ bits(b)) & kSign<T>;
      a = real<T>(bits(a) & ~kSign<T>);
      b = real<T>(bits(b) & ~kSign<T>);
    }
    T equal = real<T>(Max ? bits(a) & bits(b) : bits(a) | bits(b));
    T v = (Max ? a > b : a < b) ? a : a == b ? equal : b;
    if constexpr (NaN) {
      v = a != a ? a : b != b ? b : v;
    } else {
      v = b != b ? a : v;
    }
    if constexpr (XorSign) v = v != v ? v : real<T>(bits(v) | sign);
    return v;
  }
};

// Sign manipulation keeps NaN payloads.
template <class T, u32 Flags, int Which>
void sign(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[1]);
  const T* b = Which == 2 ? x.reg<T>(in.r[2]) : nullptr;
  set_lanes<T>(x, in.r[0], [=](u32 l) {
    Bits<T> v = bits(take<Flags>(a[l]));
    if constexpr (Which == 0) v &= ~kSign<T>;
    if constexpr (Which == 1) v ^= kSign<T>;
    if constexpr (Which == 2) v = (bits(b[l]) & ~kSign<T>) | (v & kSign<T>);
    return real<T>(v);
  });
}

#define VARIANTS(F, ...)                                                   \
  (type == Type::f64 ? (flags & kSat ? nullptr : F<__VA_ARGS__ double, 0>) \
   : flags == 0      ? F<__VA_ARGS__ float, 0>                             \
   : flags == kFtz   ? F<__VA_ARGS__ float, kFtz>                          \
   : flags == kSat   ? F<__VA_ARGS__ float, kSat>                          \
                     : F<__VA_ARGS__ float, kFtz | kSat>)
#define COMMA ,
#define SINGLE(F) (type != Type::f32 ? nullptr : flags & kFtz ? unary<F, float, kFtz> : unary<F, float, 0>)
#define EXTREME(...)                                             \
  (type == Type::f64 ? binary<Extreme<__VA_ARGS__>, double, 0>   \
   : flags & kFtz    ? binary<Extreme<__VA_ARGS__>, float, kFtz> \
                     : binary<Extreme<__VA_ARGS__>, float, 0>)
#define SIGN(N) (type == Type::f64 ? sign<double, 0, N> : flags & kFtz ? sign<float, kFtz, N> : sign<float, 0, N>)

}  // namespace

Handler find_real(Op op, Type type, uint32_t flags) {
  if (type != Type::f32 && type != Type::f64) return nullptr;
  switch (op) {
    case Op::fadd:
      return VARIANTS(binary, Add COMMA);
    case Op::fsub:
      return VARIANTS(binary, Sub COMMA);
    case Op::fmul:
      return VARIANTS(binary, Mul COMMA);
    case Op::fdiv:
      return VARIANTS(binary, Div COMMA);
    case Op::frcp:
      return VARIANTS(unary, Rcp COMMA);
    case Op::fsqrt:
      return VARIANTS(unary, Sqrt COMMA);
    case Op::frsqrt:
      return VARIANTS(unary, Rsqrt COMMA);
    case Op::ffma:
      if (type == Type::f64) return flags & kSat ? nullptr : fused<double, 0, false>;
      switch (flags) {
        case 0:
          return fused<float, 0, false>;
        case kFtz:
          return fused<float, kFtz, false>;
        case kSat:
          return fused<float, kSat, false>;
        default:
          return fused<float, kFtz | kSat, false>;
      }
    case Op::fmin:
      return EXTREME(false, false, false);
    case Op::fmax:
      return EXTREME(true, false, false);
    case Op::fmin_nan:
      return EXTREME(false, true, false);
    case Op::fmax_nan:
      return EXTREME(true, true, false);
    case Op::fmin_xs:
      return EXTREME(false, false, true);
    case Op::fmax_xs:
      return EXTREME(true, false, true);
    case Op::fmin_nan_xs:
      return EXTREME(false, true, true);
    case Op::fmax_nan_xs:
      return EXTREME(true, true, true);
    case Op::fabs:
      return SIGN(0);
    case Op::fneg:
      return SIGN(1);
    case Op::fcopysign:
      return SIGN(2);
    case Op::fsin:
      return SINGLE(Sin);
    case Op::fcos:
      return SINGLE(Cos);
    case Op::flg2:
      return SINGLE(Lg2);
    case Op::fex2:
      return SINGLE(Ex2);
    case Op::ftanh:
      return SINGLE(Tanh);
    default:
      return nullptr;
  }
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
