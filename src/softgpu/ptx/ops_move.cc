// Moves, selections and logic of predicates.
#include "softgpu/ptx/int_lanes.h"

namespace nm::softgpu::ptx::NM_PTX_ISA {
namespace {

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

}  // namespace

Handler find_move(Op op, Type type) {
  const uint32_t size = size_of(type);
  switch (op) {
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
      return nullptr;
  }
}

}  // namespace nm::softgpu::ptx::NM_PTX_ISA
