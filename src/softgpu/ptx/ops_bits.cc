// Bit counting, fields, permutations, dot products of packed bytes.
#include "softgpu/ptx/int_lanes.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

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

}  // namespace

Handler find_bits(Op op, Type type) {
  const uint32_t size = size_of(type);
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
    default:
      return nullptr;
  }
#undef T3
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
