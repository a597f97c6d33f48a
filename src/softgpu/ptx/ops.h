// Finding the handler of an operation. The files that the warp's speed depends on are compiled twice, for plain x86-64
// and for AVX2 with FMA; finders() picks by what this processor has. A null handler: no such combination.
#pragma once

#include "softgpu/ptx/code.h"
#include "softgpu/ptx/types.h"

namespace nm::softgpu::ptx {

enum class Op : uint16_t {
  // integers; r[0] = op(r[1], r[2], r[3])
  add,
  sub,
  add_sat,
  sub_sat,
  mul_lo,
  mul_hi,
  mul_wide,
  mad_lo,
  mad_hi,
  mad_hi_sat,
  mad_wide,
  mul24_lo,
  mul24_hi,
  mad24_lo,
  mad24_hi,
  div,
  rem,
  abs,
  neg,
  min,
  max,
  min_relu,
  max_relu,
  sad,
  and_,
  or_,
  xor_,
  not_,
  cnot,
  shl,
  shr,
  popc,
  clz,
  brev,
  bfind,
  bfind_shift,
  bfe,
  bfi,
  bmsk_clamp,
  bmsk_wrap,
  szext_clamp,
  szext_wrap,
  fns,
  lop3,
  shf_l_clamp,
  shf_l_wrap,
  shf_r_clamp,
  shf_r_wrap,
  prmt,
  prmt_f4e,
  prmt_b4e,
  prmt_rc8,
  prmt_ecl,
  prmt_ecr,
  prmt_rc16,
  dp4a_uu,
  dp4a_us,
  dp4a_su,
  dp4a_ss,
  dp2a_lo_uu,
  dp2a_lo_us,
  dp2a_lo_su,
  dp2a_lo_ss,
  dp2a_hi_uu,
  dp2a_hi_us,
  dp2a_hi_su,
  dp2a_hi_ss,
  // with CC.CF in r[7]; flags: 1 takes it, 2 sets it
  add_carry,
  sub_carry,
  mad_lo_carry,
  mad_hi_carry,
  mov,
  selp,
  select_halves,
  slct_s,
  slct_f,
  pred_mov,
  pred_and,
  pred_or,
  pred_xor,
  pred_not,
  // floats
  fadd,
  fsub,
  fmul,
  ffma,
  fdiv,
  frcp,
  fsqrt,
  frsqrt,
  fmin,
  fmax,
  fmin_nan,
  fmax_nan,
  fmin_xs,
  fmax_xs,
  fmin_nan_xs,
  fmax_nan_xs,
  fabs,
  fneg,
  fcopysign,
  fsin,
  fcos,
  flg2,
  fex2,
  ftanh,
  fma_relu,
};

// Variants of float operations.
enum FloatFlags : uint32_t { kFtz = 1, kSat = 2 };

// Comparisons: setp, set. The unordered ones hold when an operand is NaN.
enum class Compare : uint8_t { eq, ne, lt, le, gt, ge, equ, neu, ltu, leu, gtu, geu, num, nan };

// What inst.flags of setp says: r[2], r[3] compared; combined with predicate r[4].
enum CompareFlags : uint8_t { kCombineAnd = 1, kCombineOr = 2, kCombineXor = 3, kCombineMask = 3, kCombineNot = 4 };

// A conversion; imm holds it, packed.
enum class IntegerRound : uint8_t { none, rni, rzi, rmi, rpi };
struct ConvertPlan {
  Type to = Type::none, from = Type::none;
  uint8_t to_bytes = 0, from_bytes = 0;  // of the registers
  Round round = Round::rn;
  IntegerRound integer = IntegerRound::none;
  bool ftz : 1 = false, sat : 1 = false, relu : 1 = false, finite : 1 = false, away : 1 = false;
  uint8_t pad = 0;
};
static_assert(sizeof(ConvertPlan) == 8);

// inst.flags of loads and stores.
enum MemoryFlags : uint8_t { kSpinHint = 1, kUniformParam = 2, kFrameParam = 4 };

struct Finders {
  Handler (*integer)(Op op, Type type);
  Handler (*real)(Op op, Type type, uint32_t flags);
  Handler (*half)(Op op, Type type, uint32_t flags);
  Handler (*compare)(Compare compare, Type type, bool ftz);  // setp: r[0], r[1] (may be kNoRef) predicates
  Handler (*convert)(const ConvertPlan& plan);
  Handler (*load)(Type type, uint32_t register_bytes);
  Handler (*store)(Type type, uint32_t register_bytes);
};
const Finders& finders();

// Runs inst.inner with the MXCSR rounding mode of inst.mode.
void rounded(Exec& x, const Inst& in);

}  // namespace nm::softgpu::ptx
