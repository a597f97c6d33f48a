// Lanes take their turn in order; each is a true atomic of the host, since other blocks run on other threads.
#include "softgpu/ptx/ops_atomic.h"

#include <type_traits>

#include "softgpu/ptx/address.h"
#include "softgpu/ptx/half.h"

namespace nm::softgpu::ptx {
namespace {

using NM_PTX_ISA::BFloatFormat;
using NM_PTX_ISA::HalfFormat;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using u128 = unsigned __int128;

// The 16-byte swap needs an instruction that the plain x86-64 of 2003 lacks; every processor since has it.
u128 swap16(u128* at, u128 expected, u128 desired) {
  u64 low = static_cast<u64>(expected), high = static_cast<u64>(expected >> 64);
  asm volatile("lock cmpxchg16b %0"
               : "+m"(*at), "+a"(low), "+d"(high)
               : "b"(static_cast<u64>(desired)), "c"(static_cast<u64>(desired >> 64))
               : "cc", "memory");
  return static_cast<u128>(high) << 64 | low;
}

template <class U, class F>
U update(u64 address, F f) {
  U* at = reinterpret_cast<U*>(address);
  if constexpr (sizeof(U) == 16) {
    u128 old = *at;
    for (;;) {
      u128 seen = swap16(at, old, f(old));
      if (seen == old) return old;
      old = seen;
    }
  } else {
    U old = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(at, &old, f(old), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
    }
    return old;
  }
}

// T: how operands are compared and added; U: the unsigned of its size.
template <class T, class U, Atomic Which>
U apply(u64 address, U b, U c) {
  U* at = reinterpret_cast<U*>(address);
  if constexpr (sizeof(U) != 16) {
    if constexpr (Which == Atomic::add && std::is_integral_v<T>) return __atomic_fetch_add(at, b, __ATOMIC_SEQ_CST);
    if constexpr (Which == Atomic::and_) return __atomic_fetch_and(at, b, __ATOMIC_SEQ_CST);
    if constexpr (Which == Atomic::or_) return __atomic_fetch_or(at, b, __ATOMIC_SEQ_CST);
    if constexpr (Which == Atomic::xor_) return __atomic_fetch_xor(at, b, __ATOMIC_SEQ_CST);
    if constexpr (Which == Atomic::exch) return __atomic_exchange_n(at, b, __ATOMIC_SEQ_CST);
  }
  return update<U>(address, [=](U old) -> U {
    T left = __builtin_bit_cast(T, old), right = __builtin_bit_cast(T, b);
    if constexpr (Which == Atomic::add) return __builtin_bit_cast(U, static_cast<T>(left + right));
    if constexpr (Which == Atomic::min) return right < left ? b : old;
    if constexpr (Which == Atomic::max) return right > left ? b : old;
    if constexpr (Which == Atomic::inc) return old >= b ? 0 : old + 1;
    if constexpr (Which == Atomic::dec) return old == 0 || old > b ? b : old - 1;
    if constexpr (Which == Atomic::cas) return old == b ? c : old;
    return b;
  });
}

template <class T, class U, Atomic Which>
void atomic(Exec& x, const Inst& in) {
  x.spin_hint = true;
  if (!NM_PTX_ISA::addresses(x, in, in.r[4], sizeof(U), true)) return;
  const U* b = x.reg<U>(in.r[1]);
  const U* c = Which == Atomic::cas ? x.reg<U>(in.r[2]) : b;
  U old[kLanes];
  for (u32 m = x.mask; m; m &= m - 1) {
    u32 l = static_cast<u32>(std::countr_zero(m));
    old[l] = apply<T, U, Which>(x.address[l], b[l], c[l]);
  }
  if (in.r[0] == kNoRef) return;
  U* d = x.reg<U>(in.r[0]);
  for (u32 m = x.mask; m; m &= m - 1) {
    u32 l = static_cast<u32>(std::countr_zero(m));
    d[l] = old[l];
  }
}

template <class F, Atomic Which>
u16 half_value(u16 a, u16 b) {
  float fa = NM_PTX_ISA::widen<F>(a), fb = NM_PTX_ISA::widen<F>(b);
  if constexpr (Which == Atomic::add) return NM_PTX_ISA::narrow_float<F>(fa + fb);
  if (fa != fa) return b;
  if (fb != fb) return a;
  return (Which == Atomic::min ? fb < fa : fb > fa) ? b : a;
}

template <class F, class U, Atomic Which>
void half(Exec& x, const Inst& in) {
  x.spin_hint = true;
  if (!NM_PTX_ISA::addresses(x, in, in.r[4], sizeof(U), true)) return;
  const U* b = x.reg<U>(in.r[1]);
  for (u32 m = x.mask; m; m &= m - 1) {
    u32 l = static_cast<u32>(std::countr_zero(m));
    U right = b[l];
    U old = update<U>(x.address[l], [=](U left) -> U {
      u32 low = half_value<F, Which>(u16(left), u16(right));
      if constexpr (sizeof(U) == 2)
        return static_cast<U>(low);
      else
        return static_cast<U>(low | static_cast<u32>(half_value<F, Which>(u16(left >> 16), u16(right >> 16))) << 16);
    });
    if (in.r[0] != kNoRef) x.reg<U>(in.r[0])[l] = old;
  }
}

template <class T, class U>
Handler bitwise(Atomic op) {
  switch (op) {
    case Atomic::and_:
      return atomic<T, U, Atomic::and_>;
    case Atomic::or_:
      return atomic<T, U, Atomic::or_>;
    case Atomic::xor_:
      return atomic<T, U, Atomic::xor_>;
    case Atomic::exch:
      return atomic<T, U, Atomic::exch>;
    case Atomic::cas:
      return atomic<T, U, Atomic::cas>;
    default:
      return nullptr;
  }
}
template <class T, class U>
Handler arithmetic(Atomic op) {
  switch (op) {
    case Atomic::add:
      return atomic<T, U, Atomic::add>;
    case Atomic::min:
      return atomic<T, U, Atomic::min>;
    case Atomic::max:
      return atomic<T, U, Atomic::max>;
    case Atomic::inc:
      return std::is_unsigned_v<T> ? atomic<T, U, Atomic::inc> : nullptr;
    case Atomic::dec:
      return std::is_unsigned_v<T> ? atomic<T, U, Atomic::dec> : nullptr;
    default:
      return bitwise<U, U>(op);
  }
}
template <class F, class U>
Handler halves(Atomic op) {
  switch (op) {
    case Atomic::add:
      return half<F, U, Atomic::add>;
    case Atomic::min:
      return half<F, U, Atomic::min>;
    case Atomic::max:
      return half<F, U, Atomic::max>;
    default:
      return nullptr;
  }
}

}  // namespace

Handler find_atomic(Atomic op, Type type) {
  switch (type) {
    case Type::b16:
    case Type::u16:
      return op == Atomic::cas    ? atomic<u16, u16, Atomic::cas>
             : op == Atomic::exch ? atomic<u16, u16, Atomic::exch>
                                  : nullptr;
    case Type::b32:
      return bitwise<u32, u32>(op);
    case Type::b64:
      return bitwise<u64, u64>(op);
    case Type::b128:
      return op == Atomic::cas    ? atomic<u128, u128, Atomic::cas>
             : op == Atomic::exch ? atomic<u128, u128, Atomic::exch>
                                  : nullptr;
    case Type::u32:
      return arithmetic<u32, u32>(op);
    case Type::s32:
      return arithmetic<int32_t, u32>(op);
    case Type::u64:
      return arithmetic<u64, u64>(op);
    case Type::s64:
      return arithmetic<int64_t, u64>(op);
    case Type::f32:
      return op == Atomic::add    ? atomic<float, u32, Atomic::add>
             : op == Atomic::exch ? atomic<u32, u32, Atomic::exch>
                                  : nullptr;
    case Type::f64:
      return op == Atomic::add    ? atomic<double, u64, Atomic::add>
             : op == Atomic::exch ? atomic<u64, u64, Atomic::exch>
                                  : nullptr;
    case Type::f16:
      return halves<HalfFormat, u16>(op);
    case Type::bf16:
      return halves<BFloatFormat, u16>(op);
    case Type::f16x2:
      return halves<HalfFormat, u32>(op);
    case Type::bf16x2:
      return halves<BFloatFormat, u32>(op);
    default:
      return nullptr;
  }
}

}  // namespace nm::softgpu::ptx
