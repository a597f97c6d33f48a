// Integer arithmetic and logic: one loop over lanes each.
#include "softgpu/ptx/int_lanes.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

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
// add{c}{.cc}, sub{c}{.cc}, mad{c}.lo/.hi{.cc}: flags 1 takes CC.CF, 2 sets it. A subtraction adds the complement, as
// the device does: the flag is clear after a borrow. Compilers ask for a borrow with addc (128-bit division does).
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
    if constexpr (Which == Carry::sub) right = ~right;
    U with = Which == Carry::sub && !(in.flags & 1) ? 1 : carry_in >> l & 1;
    U first = left + right;
    U value = first + with;
    bool out = first < left || value < first;
    result[l] = value;
    carry_out |= u32(out) << l;
  }
  T* d = x.reg<T>(in.r[0]);
  for (u32 l = 0; l < kLanes; ++l) {
    if (x.mask >> l & 1) d[l] = T(result[l]);
  }
  if (in.flags & 2) set_predicate(x, in.r[7], carry_out);
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
    default: {
      Handler handler = find_bits(op, type);
      return handler != nullptr ? handler : find_move(op, type);
    }
  }
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
