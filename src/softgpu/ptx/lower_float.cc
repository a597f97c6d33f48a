// Floating-point arithmetic: f32, f64, f16, bf16 and their pairs.
#include "softgpu/ptx/lower.h"

namespace nm::softgpu::ptx {
namespace {

bool half_type(Type t) { return t == Type::f16 || t == Type::bf16 || t == Type::f16x2 || t == Type::bf16x2; }

struct Modes {
  Round round = Round::rn;
  uint32_t flags = 0;
  bool relu = false;
};

Modes take_modes(Words& w) {
  Modes modes;
  if (w.take("rz"))
    modes.round = Round::rz;
  else if (w.take("rm"))
    modes.round = Round::rm;
  else if (w.take("rp"))
    modes.round = Round::rp;
  else
    w.take("rn");
  w.take("approx");
  w.take("full");
  if (w.take("ftz")) modes.flags |= kFtz;
  if (w.take("sat")) modes.flags |= kSat;
  modes.relu = w.take("relu");
  return modes;
}

bool compute(Lowering& low, Words& w, Op op, size_t sources, const Modes& modes) {
  const Type type = w.take_type();
  if (!low.arity(w, sources + 1, sources + 1)) return false;
  const bool half = half_type(type);
  Handler handler = half ? finders().half(op, type, modes.flags) : finders().real(op, type, modes.flags);
  if (handler == nullptr) return low.fail("this form is not supported for ." + std::string(name_of(type)));
  if (half && modes.round != Round::rn)
    return low.fail("this rounding is not supported for ." + std::string(name_of(type)));
  Ref r[4] = {};
  r[0] = low.destination(w[0], type);
  if (r[0] == kNoRef) return false;
  for (size_t i = 1; i <= sources; ++i) {
    r[i] = low.source(w[i], type);
    if (r[i] == kNoRef) return false;
  }
  Inst& in = low.emit(modes.round == Round::rn ? handler : rounded);
  in.inner = handler;
  in.mode = static_cast<uint8_t>(modes.round);
  in.flags = static_cast<uint8_t>(modes.flags);
  for (size_t i = 0; i <= sources; ++i) in.r[i] = r[i];
  return true;
}

// min and max of floats, with two operands.
bool extreme(Lowering& low, Words& w, bool max) {
  Modes modes;
  if (w.take("ftz")) modes.flags |= kFtz;
  const bool nan = w.take("NaN"), sign = w.take("xorsign");
  if (sign) w.take("abs");
  if (w.size() != 3) return low.fail("two operands are supported");
  constexpr Op kOps[2][4] = {{Op::fmin, Op::fmin_nan, Op::fmin_xs, Op::fmin_nan_xs},
                             {Op::fmax, Op::fmax_nan, Op::fmax_xs, Op::fmax_nan_xs}};
  return compute(low, w, kOps[max][nan + 2 * sign], 2, modes);
}

// testp.op.type p, a: comparisons of the magnitude against constants.
bool test_property(Lowering& low, Words& w) {
  const Type type = w.take_type();
  if ((type != Type::f32 && type != Type::f64) || !low.arity(w, 2, 2)) return low.fail("testp is for .f32 and .f64");
  const bool single = type == Type::f32;
  const uint32_t bytes = single ? 4 : 8;
  const uint64_t infinity = single ? 0x7f800000 : 0x7ff0000000000000,
                 smallest = single ? 0x00800000 : 0x0010000000000000;
  const Ref p = low.predicate_destination(w[0]), a = low.source(w[1], type);
  if (p == kNoRef || a == kNoRef) return false;
  const Ref magnitude = low.scratch(bytes, 8), other = low.scratch_predicate(0);
  const Ref sign_off = low.constant(single ? 0x7fffffff : 0x7fffffffffffffff, bytes);
  const Type bits = unsigned_of(bytes);
  Inst& mask = low.emit_helper(finders().integer(Op::and_, bits));
  mask.r[0] = magnitude;
  mask.r[1] = a;
  mask.r[2] = sign_off;
  auto test = [&](Ref to, Compare how, uint64_t value, bool and_other) {
    const Ref limit = low.constant(value, bytes);
    Inst& in = low.emit(finders().compare(how, bits, false));
    in.r[0] = to;
    in.r[2] = magnitude;
    in.r[3] = limit;
    if (and_other) {
      in.r[4] = other;
      in.flags = kCombineAnd;
    }
  };
  if (w.take("finite"))
    test(p, Compare::lt, infinity, false);
  else if (w.take("infinite"))
    test(p, Compare::eq, infinity, false);
  else if (w.take("number"))
    test(p, Compare::le, infinity, false);
  else if (w.take("notanumber"))
    test(p, Compare::gt, infinity, false);
  else if (w.take("normal")) {
    test(other, Compare::ge, smallest, false);
    test(p, Compare::lt, infinity, true);
  } else if (w.take("subnormal")) {
    test(other, Compare::gt, 0, false);
    test(p, Compare::lt, smallest, true);
  } else {
    return low.fail("no property");
  }
  return true;
}

}  // namespace

bool lower_float(Lowering& low, Words& w, bool& known) {
  const std::string_view op = w.in().op;
  known = true;
  if (op == "testp") return test_property(low, w);
  if (op == "copysign") {  // the sign of a, the magnitude of b
    return compute(low, w, Op::fcopysign, 2, {});
  }
  if (op == "min" || op == "max") return extreme(low, w, op == "max");
  struct Plain {
    std::string_view name;
    Op op;
    size_t sources;
  };
  constexpr Plain kPlain[] = {
      {"add", Op::fadd, 2},     {"sub", Op::fsub, 2},   {"mul", Op::fmul, 2}, {"div", Op::fdiv, 2},
      {"mad", Op::ffma, 3},     {"fma", Op::ffma, 3},   {"rcp", Op::frcp, 1}, {"sqrt", Op::fsqrt, 1},
      {"rsqrt", Op::frsqrt, 1}, {"sin", Op::fsin, 1},   {"cos", Op::fcos, 1}, {"lg2", Op::flg2, 1},
      {"ex2", Op::fex2, 1},     {"tanh", Op::ftanh, 1}, {"abs", Op::fabs, 1}, {"neg", Op::fneg, 1}};
  for (const Plain& plain : kPlain) {
    if (plain.name != op) continue;
    Modes modes = take_modes(w);
    Op which = plain.op;
    if (modes.relu) {
      if (which != Op::ffma) return low.fail(".relu is for fma");
      which = Op::fma_relu;
    }
    return compute(low, w, which, plain.sources, modes);
  }
  known = false;
  return false;
}

}  // namespace nm::softgpu::ptx
