// cvt.
#include <bit>

#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_small.h"

namespace nm::softgpu::ptx {
namespace {

bool fp8(Type type) { return type == Type::e4m3x2 || type == Type::e5m2x2; }

// cvt.rn.satfinite{.relu}.e4m3x2.f32 d, a, b;  .e4m3x2.f16x2 d, a;  cvt.rn{.relu}.f16x2.e4m3x2 d, a;
bool convert_fp8(Lowering& low, Words& w, Type from, Type to) {
  w.take("rn");
  const bool relu = w.take("relu");
  const bool narrowing = fp8(to);
  if (narrowing && !w.take("satfinite")) return low.fail(".satfinite is wanted");
  const bool pair = from == Type::f32;
  if (narrowing ? !pair && from != Type::f16x2 : to != Type::f16x2) return low.fail("this conversion is not supported");
  if (!low.arity(w, pair ? 3 : 2, pair ? 3 : 2)) return false;
  const Ref d = low.destination(w[0], narrowing ? Type::b16 : Type::b32);
  const Ref a = low.source(w[1], narrowing ? Type::b32 : Type::b16);
  const Ref b = pair ? low.source(w[2], Type::b32) : 0;
  if (d == kNoRef || a == kNoRef || b == kNoRef) return false;
  Inst& in = low.emit(!narrowing ? f16x2_from_fp8 : pair ? fp8_from_f32 : fp8_from_f16x2);
  in.r[0] = d;
  in.r[1] = a;
  in.r[2] = b;
  in.mode = static_cast<uint8_t>(narrowing ? to : from);
  in.flags = relu ? 1 : 0;
  return true;
}

// cvt.pack.sat.s8.s32.b32 d, a, b, c;  cvt.pack.sat.u16.s32 d, a, b;
bool convert_pack(Lowering& low, Words& w) {
  const bool third = w.take("b32");
  const Type from = w.take_type(), to = w.take_type();
  const bool bytes = to == Type::s8 || to == Type::u8, halves = to == Type::s16 || to == Type::u16;
  if (!w.take("sat") || (from != Type::s32 && from != Type::u32) || (!bytes && !halves) || bytes != third)
    return low.fail("this conversion is not supported");
  if (!low.arity(w, third ? 4 : 3, third ? 4 : 3)) return false;
  Inst in;
  in.r[0] = low.destination(w[0], Type::b32);
  for (size_t i = 1; i < w.size(); ++i) {
    in.r[i] = low.source(w[i], Type::b32);
    if (in.r[i] == kNoRef) return false;
  }
  if (in.r[0] == kNoRef) return false;
  Inst& out = low.emit(pack_saturated);
  for (int i = 0; i < 4; ++i) out.r[i] = in.r[i];
  out.size = static_cast<uint8_t>(size_of(to));
  out.flags = static_cast<uint8_t>((is_signed(to) ? 1 : 0) | (is_signed(from) ? 2 : 0));
  return true;
}

bool convert(Lowering& low, Words& w) {
  if (w.take("pack")) return convert_pack(low, w);
  const Type from = w.take_type(), to = w.take_type();
  if (fp8(from) || fp8(to)) return convert_fp8(low, w, from, to);
  if (from == Type::none || to == Type::none || is_bits(from) || is_bits(to)) {
    // .b32 as a type: cvt.rna.tf32.f32 has none; e4m3x2 and friends neither.
    return low.fail("two types are wanted");
  }
  ConvertPlan plan;
  plan.from = from;
  plan.to = to;
  if (w.take("rni"))
    plan.integer = IntegerRound::rni;
  else if (w.take("rzi"))
    plan.integer = IntegerRound::rzi;
  else if (w.take("rmi"))
    plan.integer = IntegerRound::rmi;
  else if (w.take("rpi"))
    plan.integer = IntegerRound::rpi;
  if (w.take("rz"))
    plan.round = Round::rz;
  else if (w.take("rm"))
    plan.round = Round::rm;
  else if (w.take("rp"))
    plan.round = Round::rp;
  else if (w.take("rna"))
    plan.away = true;
  else
    w.take("rn");
  plan.ftz = w.take("ftz");
  plan.sat = w.take("sat");
  plan.relu = w.take("relu");
  plan.finite = w.take("satfinite");
  if (is_float(from) && is_integer(to) && plan.integer == IntegerRound::none)
    return low.fail("an integer rounding is wanted");
  const bool pair = to == Type::f16x2 || to == Type::bf16x2;
  if (!low.arity(w, pair ? 3 : 2, pair ? 3 : 2)) return false;

  // Registers may be wider than the types, for integers.
  auto width = [&](const ast::Operand& op, Type type) {
    const uint32_t have = low.register_bytes(op), least = size_of(type) < 2 ? 2 : size_of(type);
    return have > least && is_integer(type) ? have : least;
  };
  plan.to_bytes = static_cast<uint8_t>(width(w[0], to));
  plan.from_bytes = static_cast<uint8_t>(width(w[1], from));
  const Ref d = low.destination(w[0], unsigned_of(plan.to_bytes));
  const Ref a = low.source(w[1], w[1].kind == ast::Operand::Kind::real ? from : unsigned_of(plan.from_bytes));
  const Ref b = pair ? low.source(w[2], Type::f32) : 0;
  if (d == kNoRef || a == kNoRef || b == kNoRef) return false;
  Handler handler = finders().convert(plan);
  if (handler == nullptr) return low.fail("this conversion is not supported");
  Inst& in = low.emit(handler);
  in.r[0] = d;
  in.r[1] = a;
  if (pair) in.r[2] = b;
  in.imm = std::bit_cast<uint64_t>(plan);
  return true;
}

}  // namespace

bool lower_convert(Lowering& low, Words& w, bool& known) {
  known = w.in().op == "cvt";
  return known && convert(low, w);
}

}  // namespace nm::softgpu::ptx
