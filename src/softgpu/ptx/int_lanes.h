// What the integer handlers have in common: loops for one, two and three operands. As lanes.h, for files compiled once
// an instruction set.
#pragma once

#include "softgpu/ptx/lanes.h"
#include "softgpu/ptx/ops.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {

// ops_bits.cc, ops_move.cc: parts of find_integer; null for operations that are not theirs.
Handler find_bits(Op op, Type type);
Handler find_move(Op op, Type type);

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

}  // namespace
}  // namespace nm::softgpu::ptx::NM_PTX_ISA
