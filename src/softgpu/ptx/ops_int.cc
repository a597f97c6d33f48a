// Integer and bit operations: one loop over lanes each.
#include "softgpu/ptx/lanes.h"
#include "softgpu/ptx/ops.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;
using u128 = unsigned __int128;
using s128 = __int128;

template <class T>
struct WideOf;
template <>
struct WideOf<u16> {
  using type = u32;
};
template <>
struct WideOf<s16> {
  using type = s32;
};
template <>
struct WideOf<u32> {
  using type = u64;
};
template <>
struct WideOf<s32> {
  using type = s64;
};
template <>
struct WideOf<u64> {
  using type = u128;
};
template <>
struct WideOf<s64> {
  using type = s128;
};
template <class T>
using Wide = typename WideOf<T>::type;
template <class T>
constexpr bool kSigned = T(-1) < T(0);
template <class T>
constexpr u32 kBits = sizeof(T) * 8;

template <class F, class D, class A>
void unary(Exec& x, const Inst& in) {
  const A* a = x.reg<A>(in.r[1]);
  set_lanes<D>(x, in.r[0], [=](u32 l) { return F::template f<D>(a[l]); });
}
template <class F, class D, class A, class B>
void binary(Exec& x, const Inst& in) {
  const A* a = x.reg<A>(in.r[1]);
  const B* b = x.reg<B>(in.r[2]);
  set_lanes<D>(x, in.r[0], [=](u32 l) { return F::template f<D>(a[l], b[l]); });
}
template <class F, class D, class A, class B, class C>
void ternary(Exec& x, const Inst& in) {
  const A* a = x.reg<A>(in.r[1]);
  const B* b = x.reg<B>(in.r[2]);
  const C* c = x.reg<C>(in.r[3]);
  set_lanes<D>(x, in.r[0], [=](u32 l) { return F::template f<D>(a[l], b[l], c[l]); });
}

#define OP1(NAME, ...)          \
  struct NAME {                 \
    template <class D, class A> \
    NM_INLINE static D f(A a) { \
      __VA_ARGS__               \
    }                           \
  };
#define OP2(NAME, ...)                   \
  struct NAME {                          \
    template <class D, class A, class B> \
    NM_INLINE static D f(A a, B b) {     \
      __VA_ARGS__                        \
    }                                    \
  };
#define OP3(NAME, ...)                            \
  struct NAME {                                   \
    template <class D, class A, class B, class C> \
    NM_INLINE static D f(A a, B b, C c) {         \
      __VA_ARGS__                                 \
    }                                             \
  };

OP2(Add, return a + b;)
OP2(Sub, return a - b;)
OP2(AddSat, s64 r = s64(a) + s64(b); return r > 2147483647 ? 2147483647 : r < -2147483648ll ? -2147483648ll : r;)
OP2(SubSat, s64 r = s64(a) - s64(b); return r > 2147483647 ? 2147483647 : r < -2147483648ll ? -2147483648ll : r;)
OP2(MulLo, return D(u64(a) * u64(b));)
OP2(MulHi, return D((Wide<A>(a) * Wide<A>(b)) >> kBits<A>);)
OP2(MulWide, return D(a) * D(b);)
OP3(MadLo, return D(u64(a) * u64(b) + u64(c));)
OP3(MadHi, return D((Wide<A>(a) * Wide<A>(b)) >> kBits<A>) + c;)
OP3(MadHiSat, s64 r = ((s64(a) * s64(b)) >> 32) + s64(c); return r > 2147483647      ? 2147483647
                                                                 : r < -2147483648ll ? -2147483648ll
                                                                                     : r;)
OP3(MadWide, return D(a) * D(b) + c;)
template <class T>
NM_INLINE s64 low24(T v) {
  return kSigned<T> ? s64(s32(u32(v) << 8) >> 8) : s64(v & 0xffffff);
}
OP2(Mul24Lo, return D(low24(a) * low24(b));)
OP2(Mul24Hi, return D((low24(a) * low24(b)) >> 16);)
OP3(Mad24Lo, return D(low24(a) * low24(b) + s64(c));)
OP3(Mad24Hi, return D(((low24(a) * low24(b)) >> 16) + s64(c));)
// What the hardware answers for a zero divisor is all ones; the remainder then is the dividend.
OP2(Div, if (b == 0) return D(-1); if (kSigned<A> && b == B(-1)) return D(0) - a; return a / b;)
OP2(Rem, if (b == 0) return a; if (kSigned<A> && b == B(-1)) return 0; return a % b;)
OP1(Abs, return a < 0 ? D(0) - a : a;)
OP1(Neg, return D(0) - a;)
OP2(Min, return a < b ? a : b;)
OP2(Max, return a > b ? a : b;)
OP2(MinRelu, D m = a < b ? a : b; return m < 0 ? 0 : m;)
OP2(MaxRelu, D m = a > b ? a : b; return m < 0 ? 0 : m;)
OP3(Sad, return c + (a < b ? b - a : a - b);)
OP2(And, return a & b;)
OP2(Or, return a | b;)
OP2(Xor, return a ^ b;)
OP1(Not, return ~a;)
OP1(Cnot, return a == 0 ? 1 : 0;)
OP2(Shl, return b >= kBits<A> ? D(0) : D(u64(a) << b);)
OP2(Shr, return b >= kBits<A> ? D(kSigned<A> ? a >> (kBits<A> - 1) : 0) : D(a >> b);)
OP1(Popc, return __builtin_popcountll(a);)
OP1(Clz, return a == 0 ? kBits<A> : __builtin_clzll(u64(a)) - (64 - kBits<A>);)
OP1(Brev, u64 v = a; v = (v >> 1 & 0x5555555555555555) | (v & 0x5555555555555555) << 1;
    v = (v >> 2 & 0x3333333333333333) | (v & 0x3333333333333333) << 2;
    v = (v >> 4 & 0x0f0f0f0f0f0f0f0f) | (v & 0x0f0f0f0f0f0f0f0f) << 4; v = __builtin_bswap64(v);
    return D(v >> (64 - kBits<A>));)
template <class A>
NM_INLINE u32 top_bit(A a) {
  u64 v = kSigned<A> && a < 0 ? u64(~a) : u64(a);
  if (sizeof(A) == 4) v &= 0xffffffff;
  return v == 0 ? ~0u : 63 - __builtin_clzll(v);
}
OP1(Bfind, return top_bit(a);)
OP1(BfindShift, u32 t = top_bit(a); return t == ~0u ? t : kBits<A> - 1 - t;)
OP3(Bfe, u32 pos = b & 255; u32 len = c & 255; u32 last = kBits<A> - 1; if (len == 0) return 0; u64 wide = u64(s64(a));
    if (!kSigned<A>) wide = u64(a); u32 end = pos + len - 1 > last ? last : pos + len - 1;
    u64 sign = kSigned<A> ? (wide >> end & 1) : 0; if (pos > last) return D(sign ? ~u64(0) : 0);
    u32 have = end - pos + 1; u64 keep = have >= 64 ? ~u64(0) : (u64(1) << have) - 1; u64 field = (wide >> pos) & keep;
    return D(sign ? field | ~keep : field);)
template <class T>
void bfi(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[1]);
  const T* b = x.reg<T>(in.r[2]);
  const u32* p = x.reg<u32>(in.r[3]);
  const u32* n = x.reg<u32>(in.r[4]);
  set_lanes<T>(x, in.r[0], [=](u32 l) {
    u32 pos = p[l] & 255, len = n[l] & 255;
    u64 keep = len >= 64 ? ~u64(0) : (u64(1) << len) - 1;
    u64 field = pos >= kBits<T> ? 0 : T(keep << pos);
    u64 value = pos >= kBits<T> ? 0 : u64(a[l]) << pos;
    return T((b[l] & ~field) | (value & field));
  });
}
template <bool Clamp>
NM_INLINE u32 bit_mask(u32 pos, u32 len) {
  if (!Clamp) {
    pos &= 31;
    len &= 31;
  }
  if (pos >= 32 || len == 0) return 0;
  u64 keep = len >= 32 ? ~u64(0) : (u64(1) << len) - 1;
  return u32(keep << pos);
}
OP2(BmskClamp, return bit_mask<true>(a, b);)
OP2(BmskWrap, return bit_mask<false>(a, b);)
template <bool Clamp, class A>
NM_INLINE A extend(A a, u32 n) {
  if (!Clamp) n &= 31;
  if (n >= 32) return a;
  if (n == 0) return 0;
  u32 keep = (u32(1) << n) - 1;
  bool sign = kSigned<A> && (u32(a) >> (n - 1) & 1);
  return A(sign ? u32(a) | ~keep : u32(a) & keep);
}
OP2(SzextClamp, return extend<true>(a, b);)
OP2(SzextWrap, return extend<false>(a, b);)
OP3(Fns, s32 base = s32(b & 31); s32 offset = s32(c); u32 mask = a;
    if (offset == 0) return mask >> base & 1 ? u32(base) : ~0u; s32 step = offset > 0 ? 1 : -1;
    s32 left = offset > 0 ? offset : -offset;
    for (s32 at = base; at >= 0 && at < 32; at += step) if ((mask >> at & 1) && --left == 0) return u32(at);
    return ~0u;)
OP3(ShfLClamp, u32 n = c > 32 ? 32 : c; u64 v = u64(b) << 32 | a; return u32((v << n) >> 32);)
OP3(ShfLWrap, u32 n = c & 31; u64 v = u64(b) << 32 | a; return u32((v << n) >> 32);)
OP3(ShfRClamp, u32 n = c > 32 ? 32 : c; u64 v = u64(b) << 32 | a; return u32(v >> n);)
OP3(ShfRWrap, u32 n = c & 31; u64 v = u64(b) << 32 | a; return u32(v >> n);)
NM_INLINE u32 pick(u64 bytes, u32 selector) {
  u32 byte = bytes >> (selector & 7) * 8 & 255;
  return selector & 8 ? (byte & 128 ? 255 : 0) : byte;
}
OP3(Prmt, u64 v = u64(b) << 32 | a;
    return pick(v, c & 15) | pick(v, c >> 4 & 15) << 8 | pick(v, c >> 8 & 15) << 16 | pick(v, c >> 12 & 15) << 24;)
NM_INLINE u32 four(u32 a, u32 b, u32 s0, u32 s1, u32 s2, u32 s3) {
  u64 v = u64(b) << 32 | a;
  return pick(v, s0 & 7) | pick(v, s1 & 7) << 8 | pick(v, s2 & 7) << 16 | pick(v, s3 & 7) << 24;
}
OP3(PrmtF4e, u32 s = c & 3; return four(a, b, s, s + 1, s + 2, s + 3);)
OP3(PrmtB4e, u32 s = c & 3; return four(a, b, s, s + 7, s + 6, s + 5);)
OP3(PrmtRc8, u32 s = c & 3; return four(a, b, s, s, s, s);)
OP3(PrmtEcl, u32 s = c & 3; return four(a, b, s, s > 1 ? s : 1, s > 2 ? s : 2, 3);)
OP3(PrmtEcr, u32 s = c & 3; return four(a, b, 0, s < 1 ? s : 1, s < 2 ? s : 2, s);)
OP3(PrmtRc16, u32 s = (c & 1) * 2; return four(a, b, s, s + 1, s, s + 1);)

template <class TA, class TB>
struct Dp4a {
  template <class D, class A, class B, class C>
  NM_INLINE static D f(A a, B b, C c) {
    u32 sum = c;
    for (u32 i = 0; i < 4; ++i) sum += u32(s32(TA(a >> i * 8)) * s32(TB(b >> i * 8)));
    return sum;
  }
};
template <class TA, class TB, bool High>
struct Dp2a {
  template <class D, class A, class B, class C>
  NM_INLINE static D f(A a, B b, C c) {
    u32 sum = c;
    for (u32 i = 0; i < 2; ++i) sum += u32(s32(TA(a >> i * 16)) * s32(TB(b >> (i + High * 2) * 8)));
    return sum;
  }
};

void lop3(Exec& x, const Inst& in) {
  const u32* a = x.reg<u32>(in.r[1]);
  const u32* b = x.reg<u32>(in.r[2]);
  const u32* c = x.reg<u32>(in.r[3]);
  u32 m[8];
  for (u32 i = 0; i < 8; ++i) m[i] = in.imm >> i & 1 ? ~0u : 0;
  auto value = [=](u32 l) {
    u32 hi = (c[l] & ((b[l] & m[7]) | (~b[l] & m[5]))) | (~c[l] & ((b[l] & m[6]) | (~b[l] & m[4])));
    u32 lo = (c[l] & ((b[l] & m[3]) | (~b[l] & m[1]))) | (~c[l] & ((b[l] & m[2]) | (~b[l] & m[0])));
    return (a[l] & hi) | (~a[l] & lo);
  };
  if (in.r[4] != kNoRef) {  // lop3.BoolOp d|p, a, b, c, lut, q
    u32 bits = pack_lanes([=](u32 l) { return value(l) != 0; });
    u32 q = *x.reg<u32>(in.r[5]) ^ (in.flags & kCombineNot ? ~0u : 0);
    u32 combined = (in.flags & kCombineMask) == kCombineAnd ? bits & q : bits | q;
    if (in.r[0] != kNoRef) set_lanes<u32>(x, in.r[0], value);
    set_predicate(x, in.r[4], combined);
    return;
  }
  set_lanes<u32>(x, in.r[0], value);
}

// add{c}{.cc}, sub{c}{.cc}, mad{c}.lo/.hi{.cc}: flags 1 takes CC.CF, 2 sets it. A borrow is kept as a set flag.
enum class Carry { add, sub, mad_lo, mad_hi };
template <class T, Carry Which>
void carry(Exec& x, const Inst& in) {
  using U = std::conditional_t<sizeof(T) == 4, u32, u64>;
  const T* a = x.reg<T>(in.r[1]);
  const T* b = x.reg<T>(in.r[2]);
  const T* c = Which == Carry::mad_lo || Which == Carry::mad_hi ? x.reg<T>(in.r[3]) : nullptr;
  u32 carry_in = in.flags & 1 ? *x.reg<u32>(in.r[7]) : 0;
  u32 carry_out = 0;
  U result[kLanes];
  for (u32 l = 0; l < kLanes; ++l) {
    U left, right;
    if constexpr (Which == Carry::add || Which == Carry::sub) {
      left = a[l];
      right = b[l];
    } else {
      Wide<T> product = Wide<T>(a[l]) * Wide<T>(b[l]);
      left = Which == Carry::mad_lo ? U(product) : U(product >> kBits<T>);
      right = c[l];
    }
    U with = carry_in >> l & 1;
    U value;
    bool out;
    if constexpr (Which == Carry::sub) {
      U first = left - right;
      value = first - with;
      out = left < right || first < with;
    } else {
      U first = left + right;
      value = first + with;
      out = first < left || value < first;
    }
    result[l] = value;
    carry_out |= u32(out) << l;
  }
  T* d = x.reg<T>(in.r[0]);
  for (u32 l = 0; l < kLanes; ++l) {
    if (x.mask >> l & 1) d[l] = T(result[l]);
  }
  if (in.flags & 2) set_predicate(x, in.r[7], carry_out);
}

template <class T>
void mov(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[1]);
  set_lanes<T>(x, in.r[0], [=](u32 l) { return a[l]; });
}
template <class T>
void selp(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[1]);
  const T* b = x.reg<T>(in.r[2]);
  u32 p = *x.reg<u32>(in.r[3]) ^ (in.flags & 1 ? ~0u : 0);
  set_lanes<T>(x, in.r[0], [=](u32 l) { return p >> l & 1 ? a[l] : b[l]; });
}
// Halves that are imm where the predicates r[1] (low) and r[2] hold.
void select_halves(Exec& x, const Inst& in) {
  u32 p = *x.reg<u32>(in.r[1]), q = *x.reg<u32>(in.r[2]);
  u32 value = u32(in.imm);
  set_lanes<u32>(x, in.r[0], [=](u32 l) { return (p >> l & 1 ? value : 0) | (q >> l & 1 ? value << 16 : 0); });
}
template <class T, class C>
void slct(Exec& x, const Inst& in) {
  const T* a = x.reg<T>(in.r[1]);
  const T* b = x.reg<T>(in.r[2]);
  const C* c = x.reg<C>(in.r[3]);
  set_lanes<T>(x, in.r[0], [=](u32 l) { return c[l] >= 0 ? a[l] : b[l]; });
}
template <Op Which>
void predicate(Exec& x, const Inst& in) {
  u32 a = *x.reg<u32>(in.r[1]) ^ (in.flags & 1 ? ~0u : 0);
  u32 b = in.r[2] == kNoRef ? 0 : *x.reg<u32>(in.r[2]) ^ (in.flags & 2 ? ~0u : 0);
  u32 value = Which == Op::pred_mov   ? a
              : Which == Op::pred_not ? ~a
              : Which == Op::pred_and ? a & b
              : Which == Op::pred_or  ? a | b
                                      : a ^ b;
  set_predicate(x, in.r[0], value);
}

// Two 16-bit halves.
template <class F, class T>
void packed2(Exec& x, const Inst& in) {
  const u32* a = x.reg<u32>(in.r[1]);
  const u32* b = x.reg<u32>(in.r[2]);
  set_lanes<u32>(x, in.r[0], [=](u32 l) {
    u32 low = u16(F::template f<T>(T(a[l]), T(b[l])));
    u32 high = u16(F::template f<T>(T(a[l] >> 16), T(b[l] >> 16)));
    return low | high << 16;
  });
}

// F over the six arithmetic types.
#define BY_TYPE(MAKE)   \
  switch (type) {       \
    case Type::u16:     \
      return MAKE(u16); \
    case Type::s16:     \
      return MAKE(s16); \
    case Type::u32:     \
      return MAKE(u32); \
    case Type::s32:     \
      return MAKE(s32); \
    case Type::u64:     \
      return MAKE(u64); \
    case Type::s64:     \
      return MAKE(s64); \
    default:            \
      return nullptr;   \
  }
#define BY_BITS(MAKE)      \
  switch (size_of(type)) { \
    case 2:                \
      return MAKE(u16);    \
    case 4:                \
      return MAKE(u32);    \
    case 8:                \
      return MAKE(u64);    \
    default:               \
      return nullptr;      \
  }

Handler wide(Op op, Type type) {
#define MUL(A, D) return op == Op::mul_wide ? binary<MulWide, D, A, A> : ternary<MadWide, D, A, A, D>
  switch (type) {
    case Type::u16:
      MUL(u16, u32);
    case Type::s16:
      MUL(s16, s32);
    case Type::u32:
      MUL(u32, u64);
    case Type::s32:
      MUL(s32, s64);
    default:
      return nullptr;
  }
#undef MUL
}

Handler packed(Op op, Type type) {
#define HALVES(T)                   \
  op == Op::add   ? packed2<Add, T> \
  : op == Op::sub ? packed2<Sub, T> \
  : op == Op::min ? packed2<Min, T> \
  : op == Op::max ? packed2<Max, T> \
                  : nullptr
  if (type == Type::u16x2) return HALVES(u16);
  if (op == Op::min_relu) return packed2<MinRelu, s16>;
  if (op == Op::max_relu) return packed2<MaxRelu, s16>;
  return HALVES(s16);
#undef HALVES
}

Handler bits32(Op op) {
#define T3(F) return ternary<F, u32, u32, u32, u32>
  switch (op) {
    case Op::lop3:
      return lop3;
    case Op::fns:
      T3(Fns);
    case Op::shf_l_clamp:
      T3(ShfLClamp);
    case Op::shf_l_wrap:
      T3(ShfLWrap);
    case Op::shf_r_clamp:
      T3(ShfRClamp);
    case Op::shf_r_wrap:
      T3(ShfRWrap);
    case Op::prmt:
      T3(Prmt);
    case Op::prmt_f4e:
      T3(PrmtF4e);
    case Op::prmt_b4e:
      T3(PrmtB4e);
    case Op::prmt_rc8:
      T3(PrmtRc8);
    case Op::prmt_ecl:
      T3(PrmtEcl);
    case Op::prmt_ecr:
      T3(PrmtEcr);
    case Op::prmt_rc16:
      T3(PrmtRc16);
    case Op::bmsk_clamp:
      return binary<BmskClamp, u32, u32, u32>;
    case Op::bmsk_wrap:
      return binary<BmskWrap, u32, u32, u32>;
#define DOT(SUFFIX, A8, B8, A16)                              \
  case Op::dp4a_##SUFFIX:                                     \
    return ternary<Dp4a<A8, B8>, u32, u32, u32, u32>;         \
  case Op::dp2a_lo_##SUFFIX:                                  \
    return ternary<Dp2a<A16, B8, false>, u32, u32, u32, u32>; \
  case Op::dp2a_hi_##SUFFIX:                                  \
    return ternary<Dp2a<A16, B8, true>, u32, u32, u32, u32>;
      DOT(uu, u8, u8, u16)
      DOT(us, u8, s8, u16)
      DOT(su, s8, u8, s16)
      DOT(ss, s8, s8, s16)
#undef DOT
    default:
      return nullptr;
  }
#undef T3
}

}  // namespace

Handler find_integer(Op op, Type type) {
  if (type == Type::u16x2 || type == Type::s16x2) return packed(op, type);
  uint32_t size = size_of(type);
  switch (op) {
#define M(T) (binary<Add, T, T, T>)
    case Op::add:
      BY_BITS(M)
#undef M
#define M(T) (binary<Sub, T, T, T>)
    case Op::sub:
      BY_BITS(M)
#undef M
#define M(T) (binary<MulLo, T, T, T>)
    case Op::mul_lo:
      BY_BITS(M)
#undef M
#define M(T) (ternary<MadLo, T, T, T, T>)
    case Op::mad_lo:
      BY_BITS(M)
#undef M
#define M(T) (binary<MulHi, T, T, T>)
    case Op::mul_hi:
      BY_TYPE(M)
#undef M
#define M(T) (ternary<MadHi, T, T, T, T>)
    case Op::mad_hi:
      BY_TYPE(M)
#undef M
#define M(T) (binary<Div, T, T, T>)
    case Op::div:
      BY_TYPE(M)
#undef M
#define M(T) (binary<Rem, T, T, T>)
    case Op::rem:
      BY_TYPE(M)
#undef M
#define M(T) (binary<Min, T, T, T>)
    case Op::min:
      BY_TYPE(M)
#undef M
#define M(T) (binary<Max, T, T, T>)
    case Op::max:
      BY_TYPE(M)
#undef M
#define M(T) (ternary<Sad, T, T, T, T>)
    case Op::sad:
      BY_TYPE(M)
#undef M
#define M(T) (unary<Abs, T, T>)
    case Op::abs:
      BY_TYPE(M)
#undef M
#define M(T) (unary<Neg, T, T>)
    case Op::neg:
      BY_TYPE(M)
#undef M
#define M(T) (binary<And, T, T, T>)
    case Op::and_:
      BY_BITS(M)
#undef M
#define M(T) (binary<Or, T, T, T>)
    case Op::or_:
      BY_BITS(M)
#undef M
#define M(T) (binary<Xor, T, T, T>)
    case Op::xor_:
      BY_BITS(M)
#undef M
#define M(T) (unary<Not, T, T>)
    case Op::not_:
      BY_BITS(M)
#undef M
#define M(T) (unary<Cnot, T, T>)
    case Op::cnot:
      BY_BITS(M)
#undef M
#define M(T) (binary<Shl, T, T, u32>)
    case Op::shl:
      BY_BITS(M)
#undef M
#define M(T) (binary<Shr, T, T, u32>)
    case Op::shr:
      if (is_signed(type)) BY_TYPE(M)
      BY_BITS(M)
#undef M
    case Op::add_sat:
      return type == Type::s32 ? binary<AddSat, s32, s32, s32> : nullptr;
    case Op::sub_sat:
      return type == Type::s32 ? binary<SubSat, s32, s32, s32> : nullptr;
    case Op::mad_hi_sat:
      return type == Type::s32 ? ternary<MadHiSat, s32, s32, s32, s32> : nullptr;
    case Op::min_relu:
      return type == Type::s32 ? binary<MinRelu, s32, s32, s32> : nullptr;
    case Op::max_relu:
      return type == Type::s32 ? binary<MaxRelu, s32, s32, s32> : nullptr;
    case Op::mul_wide:
    case Op::mad_wide:
      return wide(op, type);
    case Op::mul24_lo:
      return type == Type::s32   ? binary<Mul24Lo, s32, s32, s32>
             : type == Type::u32 ? binary<Mul24Lo, u32, u32, u32>
                                 : nullptr;
    case Op::mul24_hi:
      return type == Type::s32   ? binary<Mul24Hi, s32, s32, s32>
             : type == Type::u32 ? binary<Mul24Hi, u32, u32, u32>
                                 : nullptr;
    case Op::mad24_lo:
      return type == Type::s32   ? ternary<Mad24Lo, s32, s32, s32, s32>
             : type == Type::u32 ? ternary<Mad24Lo, u32, u32, u32, u32>
                                 : nullptr;
    case Op::mad24_hi:
      return type == Type::s32   ? ternary<Mad24Hi, s32, s32, s32, s32>
             : type == Type::u32 ? ternary<Mad24Hi, u32, u32, u32, u32>
                                 : nullptr;
    case Op::popc:
      return size == 4 ? unary<Popc, u32, u32> : size == 8 ? unary<Popc, u32, u64> : nullptr;
    case Op::clz:
      return size == 4 ? unary<Clz, u32, u32> : size == 8 ? unary<Clz, u32, u64> : nullptr;
    case Op::brev:
      return size == 4 ? unary<Brev, u32, u32> : size == 8 ? unary<Brev, u64, u64> : nullptr;
    case Op::bfind:
    case Op::bfind_shift: {
      bool shift = op == Op::bfind_shift;
      switch (type) {
        case Type::u32:
          return shift ? unary<BfindShift, u32, u32> : unary<Bfind, u32, u32>;
        case Type::s32:
          return shift ? unary<BfindShift, u32, s32> : unary<Bfind, u32, s32>;
        case Type::u64:
          return shift ? unary<BfindShift, u32, u64> : unary<Bfind, u32, u64>;
        case Type::s64:
          return shift ? unary<BfindShift, u32, s64> : unary<Bfind, u32, s64>;
        default:
          return nullptr;
      }
    }
    case Op::bfe:
      switch (type) {
        case Type::u32:
          return ternary<Bfe, u32, u32, u32, u32>;
        case Type::s32:
          return ternary<Bfe, s32, s32, u32, u32>;
        case Type::u64:
          return ternary<Bfe, u64, u64, u32, u32>;
        case Type::s64:
          return ternary<Bfe, s64, s64, u32, u32>;
        default:
          return nullptr;
      }
    case Op::bfi:
      return size == 4 ? bfi<u32> : size == 8 ? bfi<u64> : nullptr;
    case Op::szext_clamp:
      return type == Type::s32 ? binary<SzextClamp, s32, s32, u32> : binary<SzextClamp, u32, u32, u32>;
    case Op::szext_wrap:
      return type == Type::s32 ? binary<SzextWrap, s32, s32, u32> : binary<SzextWrap, u32, u32, u32>;
    // Signed products differ in the high word alone.
    case Op::add_carry:
      return size == 4 ? carry<u32, Carry::add> : size == 8 ? carry<u64, Carry::add> : nullptr;
    case Op::sub_carry:
      return size == 4 ? carry<u32, Carry::sub> : size == 8 ? carry<u64, Carry::sub> : nullptr;
    case Op::mad_lo_carry:
      return size == 4 ? carry<u32, Carry::mad_lo> : size == 8 ? carry<u64, Carry::mad_lo> : nullptr;
    case Op::mad_hi_carry:
      return type == Type::s32   ? carry<s32, Carry::mad_hi>
             : type == Type::s64 ? carry<s64, Carry::mad_hi>
             : size == 4         ? carry<u32, Carry::mad_hi>
             : size == 8         ? carry<u64, Carry::mad_hi>
                                 : nullptr;
    case Op::mov:
      return size == 16 ? mov<u128> : size == 2 ? mov<u16> : size == 4 ? mov<u32> : size == 8 ? mov<u64> : nullptr;
    case Op::selp:
      return size == 2 ? selp<u16> : size == 4 ? selp<u32> : size == 8 ? selp<u64> : nullptr;
    case Op::select_halves:
      return select_halves;
    case Op::slct_s:
      return size == 2 ? slct<u16, s32> : size == 4 ? slct<u32, s32> : size == 8 ? slct<u64, s32> : nullptr;
    case Op::slct_f:
      return size == 2 ? slct<u16, float> : size == 4 ? slct<u32, float> : size == 8 ? slct<u64, float> : nullptr;
    case Op::pred_mov:
      return predicate<Op::pred_mov>;
    case Op::pred_and:
      return predicate<Op::pred_and>;
    case Op::pred_or:
      return predicate<Op::pred_or>;
    case Op::pred_xor:
      return predicate<Op::pred_xor>;
    case Op::pred_not:
      return predicate<Op::pred_not>;
    default:
      return bits32(op);
  }
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
