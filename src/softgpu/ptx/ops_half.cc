// f16 and bf16 arithmetic, scalar and packed in pairs. Sums and products of two 11-bit mantissas round correctly by way
// of f32 (24 bits are more than twice 11 plus 2); fma goes by way of f64 with a sticky bit.
#include "softgpu/ptx/half.h"
#include "softgpu/ptx/lanes.h"
#include "softgpu/ptx/ops.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;

template <class F>
NM_INLINE u16 flush(u16 h) {
  return (h & F::kInfinity) == 0 ? h & 0x8000 : h;
}

// One element: operands already flushed if need be.
template <class F, Op Which>
NM_INLINE u16 compute(u16 a, u16 b, u16 c) {
  float fa = widen<F>(a), fb = widen<F>(b);
  if constexpr (Which == Op::fadd) return narrow_float<F>(fa + fb);
  if constexpr (Which == Op::fsub) return narrow_float<F>(fa - fb);
  if constexpr (Which == Op::fmul) return narrow_float<F>(fa * fb);
  if constexpr (Which == Op::ffma || Which == Op::fma_relu) return fused_narrow<F>(fa, fb, widen<F>(c));
  if constexpr (Which == Op::fabs) return a & 0x7fff;
  if constexpr (Which == Op::fneg) return a ^ 0x8000;
  if constexpr (Which == Op::fex2) return narrow_float<F>(::exp2f(fa));
  if constexpr (Which == Op::ftanh) return narrow_float<F>(::tanhf(fa));
  constexpr bool kXor =
      Which == Op::fmin_xs || Which == Op::fmax_xs || Which == Op::fmin_nan_xs || Which == Op::fmax_nan_xs;
  constexpr bool kMax = Which == Op::fmax || Which == Op::fmax_nan || Which == Op::fmax_xs || Which == Op::fmax_nan_xs;
  constexpr bool kNaN =
      Which == Op::fmin_nan || Which == Op::fmax_nan || Which == Op::fmin_nan_xs || Which == Op::fmax_nan_xs;
  u16 sign = (a ^ b) & 0x8000;
  if (kXor) {
    fa = __builtin_fabsf(fa);
    fb = __builtin_fabsf(fb);
    a &= 0x7fff;
    b &= 0x7fff;
  }
  bool na = fa != fa, nb = fb != fb;
  u16 result;
  if (na || nb)
    result = kNaN || (na && nb) ? F::kNaN : na ? b : a;
  else
    result = fa == fb ? (kMax ? a & b : a | b) : (kMax ? fa > fb : fa < fb) ? a : b;
  if (kXor && (result & 0x7fff) <= F::kInfinity) result |= sign;
  return result;
}

template <class F, Op Which>
NM_INLINE u16 element(u16 a, u16 b, u16 c, u32 flags) {
  if (flags & kFtz) a = flush<F>(a), b = flush<F>(b), c = flush<F>(c);
  u16 v = compute<F, Which>(a, b, c);
  if (flags & kFtz) v = flush<F>(v);
  if (flags & kSat) {
    float f = widen<F>(v);
    v = f > 0 ? (f < 1 ? v : narrow_float<F>(1.0f)) : 0;
  }
  if constexpr (Which == Op::fma_relu) v = (v & 0x7fff) > F::kInfinity ? F::kNaN : v & 0x8000 ? 0 : v;
  return v;
}

constexpr bool unary(Op op) { return op == Op::fabs || op == Op::fneg || op == Op::fex2 || op == Op::ftanh; }

// flags are the instruction's: kFtz and kSat of Inst::flags. Relu of min and max is bit 4.
template <class F, Op Which>
void scalar(Exec& x, const Inst& in) {
  const u16* a = x.reg<u16>(in.r[1]);
  const u16* b = unary(Which) ? a : x.reg<u16>(in.r[2]);
  const u16* c = Which == Op::ffma || Which == Op::fma_relu ? x.reg<u16>(in.r[3]) : a;
  u32 flags = in.flags;
  set_lanes<u16>(x, in.r[0], [=](u32 l) { return element<F, Which>(a[l], b[l], c[l], flags); });
}
template <class F, Op Which>
void packed(Exec& x, const Inst& in) {
  const u32* a = x.reg<u32>(in.r[1]);
  const u32* b = unary(Which) ? a : x.reg<u32>(in.r[2]);
  const u32* c = Which == Op::ffma || Which == Op::fma_relu ? x.reg<u32>(in.r[3]) : a;
  u32 flags = in.flags;
  set_lanes<u32>(x, in.r[0], [=](u32 l) {
    u32 low = element<F, Which>(u16(a[l]), u16(b[l]), u16(c[l]), flags);
    u32 high = element<F, Which>(u16(a[l] >> 16), u16(b[l] >> 16), u16(c[l] >> 16), flags);
    return low | high << 16;
  });
}

}  // namespace

Handler find_half(Op op, Type type, uint32_t) {
#define FORMS(OP)                        \
  case OP:                               \
    switch (type) {                      \
      case Type::f16:                    \
        return scalar<HalfFormat, OP>;   \
      case Type::bf16:                   \
        return scalar<BFloatFormat, OP>; \
      case Type::f16x2:                  \
        return packed<HalfFormat, OP>;   \
      case Type::bf16x2:                 \
        return packed<BFloatFormat, OP>; \
      default:                           \
        return nullptr;                  \
    }
  switch (op) {
    FORMS(Op::fadd)
    FORMS(Op::fsub)
    FORMS(Op::fmul)
    FORMS(Op::ffma)
    FORMS(Op::fma_relu)
    FORMS(Op::fabs)
    FORMS(Op::fneg)
    FORMS(Op::fmin)
    FORMS(Op::fmax)
    FORMS(Op::fmin_nan)
    FORMS(Op::fmax_nan)
    FORMS(Op::fmin_xs)
    FORMS(Op::fmax_xs)
    FORMS(Op::fmin_nan_xs)
    FORMS(Op::fmax_nan_xs)
    FORMS(Op::fex2)
    FORMS(Op::ftanh)
    default:
      return nullptr;
  }
#undef FORMS
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
