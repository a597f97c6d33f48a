// Integer, bit, predicate and data movement instructions.
#include <array>
#include <bit>
#include <unordered_map>

#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_small.h"
#include "softgpu/ptx/ops_warp.h"
#include "softgpu/ptx/vectors.h"

namespace nm::softgpu::ptx {
namespace {

using Kindly = ast::Operand::Kind;

bool plain(Lowering& low, Op op, Type handler_type, Type dst, std::initializer_list<Type> sources, Words& w,
           uint64_t imm = 0) {
  if (!low.arity(w, sources.size() + 1, sources.size() + 1)) return false;
  Handler handler = finders().integer(op, handler_type);
  if (handler == nullptr) return low.fail("type ." + std::string(name_of(handler_type)) + " is not supported here");
  Inst in;
  in.r[0] = low.destination(w[0], dst);
  size_t k = 1;
  for (Type type : sources) {
    in.r[k] = low.source(w[k], type);
    ++k;
  }
  for (size_t i = 0; i < k; ++i) {
    if (in.r[i] == kNoRef) return false;
  }
  Inst& out = low.emit(handler);
  for (size_t i = 0; i < k; ++i) out.r[i] = in.r[i];
  out.imm = imm;
  return true;
}

bool arithmetic_type(Type t) { return is_integer(t) && size_of(t) >= 2; }

bool logic_on_predicates(Lowering& low, Words& w, Op op, size_t operands) {
  if (!low.arity(w, operands + 1, operands + 1)) return false;
  bool na = false, nb = false;
  Inst in;
  in.r[0] = low.predicate_destination(w[0]);
  in.r[1] = low.predicate(w[1], na);
  if (operands == 2) in.r[2] = low.predicate(w[2], nb);
  if (in.r[0] == kNoRef || in.r[1] == kNoRef || (operands == 2 && in.r[2] == kNoRef))
    return low.fail("predicates are wanted");
  Inst& out = low.emit(finders().integer(op, Type::pred));
  for (int i = 0; i < 3; ++i) out.r[i] = in.r[i];
  out.flags = static_cast<uint8_t>((na ? 1 : 0) | (nb ? 2 : 0));
  return true;
}

bool logic(Lowering& low, Words& w, Op op, Op on_predicates, size_t operands) {
  const Type type = w.take_type();
  if (type == Type::pred) return logic_on_predicates(low, w, on_predicates, operands);
  if (type == Type::b8 || type == Type::b128) return low.fail("this width is not supported");
  if (operands == 1) return plain(low, op, type, type, {type}, w);
  return plain(low, op, type, type, {type, type}, w);
}

// add, sub, mul, mad and their carry forms, integer types only.
bool sum(Lowering& low, Words& w, bool subtract) {
  const bool carry_in = w.in().op.size() == 4;  // addc, subc
  const bool carry_out = w.take("cc");
  const bool sat = w.take("sat");
  const Type type = w.take_type();
  if (carry_in || carry_out) {
    if (!plain(low, subtract ? Op::sub_carry : Op::add_carry, type, type, {type, type}, w)) return false;
    Inst& in = low.out().code.back();
    in.r[7] = low.out().carry;
    in.flags = static_cast<uint8_t>((carry_in ? 1 : 0) | (carry_out ? 2 : 0));
    return true;
  }
  if (!arithmetic_type(type) && type != Type::u16x2 && type != Type::s16x2)
    return low.fail("this type is not supported");
  if (sat) return plain(low, subtract ? Op::sub_sat : Op::add_sat, type, type, {type, type}, w);
  return plain(low, subtract ? Op::sub : Op::add, type, type, {type, type}, w);
}

Type widened(Type type) {
  switch (type) {
    case Type::u16:
      return Type::u32;
    case Type::s16:
      return Type::s32;
    case Type::u32:
      return Type::u64;
    case Type::s32:
      return Type::s64;
    default:
      return Type::none;
  }
}

bool product(Lowering& low, Words& w, bool add) {
  const bool carry_in = w.in().op == "madc";
  const bool carry_out = w.take("cc");
  const bool sat = w.take("sat");
  const bool hi = w.take("hi"), wide = w.take("wide");
  const bool lo = w.take("lo");
  const Type type = w.take_type();
  if (!arithmetic_type(type) || hi + wide + lo != 1)
    return low.fail("one of .lo, .hi, .wide and an integer type are wanted");
  if (carry_in || carry_out) {
    if (wide) return low.fail(".wide has no carry");
    if (!plain(low, hi ? Op::mad_hi_carry : Op::mad_lo_carry, type, type, {type, type, type}, w)) return false;
    Inst& in = low.out().code.back();
    in.r[7] = low.out().carry;
    in.flags = static_cast<uint8_t>((carry_in ? 1 : 0) | (carry_out ? 2 : 0));
    return true;
  }
  if (wide) {
    const Type to = widened(type);
    if (to == Type::none) return low.fail("this type has no wide product");
    if (add) return plain(low, Op::mad_wide, type, to, {type, type, to}, w);
    return plain(low, Op::mul_wide, type, to, {type, type}, w);
  }
  if (sat)
    return add && hi ? plain(low, Op::mad_hi_sat, type, type, {type, type, type}, w)
                     : low.fail(".sat is for mad.hi.s32");
  if (add) return plain(low, hi ? Op::mad_hi : Op::mad_lo, type, type, {type, type, type}, w);
  return plain(low, hi ? Op::mul_hi : Op::mul_lo, type, type, {type, type}, w);
}

bool product24(Lowering& low, Words& w, bool add) {
  const bool hi = w.take("hi");
  if (!hi && !w.take("lo")) return low.fail(".lo or .hi is wanted");
  const Type type = w.take_type();
  if (add) return plain(low, hi ? Op::mad24_hi : Op::mad24_lo, type, type, {type, type, type}, w);
  return plain(low, hi ? Op::mul24_hi : Op::mul24_lo, type, type, {type, type}, w);
}

bool funnel(Lowering& low, Words& w) {
  const bool left = w.take("l");
  if (!left && !w.take("r")) return low.fail(".l or .r is wanted");
  const bool clamp = w.take("clamp");
  if (!clamp && !w.take("wrap")) return low.fail(".clamp or .wrap is wanted");
  if (w.take_type() != Type::b32) return low.fail("only .b32 is possible");
  const Op op = left ? (clamp ? Op::shf_l_clamp : Op::shf_l_wrap) : (clamp ? Op::shf_r_clamp : Op::shf_r_wrap);
  return plain(low, op, Type::b32, Type::b32, {Type::b32, Type::b32, Type::u32}, w);
}

bool permute(Lowering& low, Words& w) {
  Op op = Op::prmt;
  if (w.take("f4e"))
    op = Op::prmt_f4e;
  else if (w.take("b4e"))
    op = Op::prmt_b4e;
  else if (w.take("rc8"))
    op = Op::prmt_rc8;
  else if (w.take("ecl"))
    op = Op::prmt_ecl;
  else if (w.take("ecr"))
    op = Op::prmt_ecr;
  else if (w.take("rc16"))
    op = Op::prmt_rc16;
  if (w.take_type() != Type::b32) return low.fail("only .b32 is possible");
  return plain(low, op, Type::b32, Type::b32, {Type::b32, Type::b32, Type::b32}, w);
}

bool logic3(Lowering& low, Words& w) {
  const bool with_or = w.take("or"), with_and = w.take("and");
  if (w.take_type() != Type::b32) return low.fail("only .b32 is possible");
  const bool boolean = with_or || with_and;
  if (!low.arity(w, boolean ? 6 : 5, boolean ? 6 : 5)) return false;
  Inst in;
  uint64_t table = 0;
  bool negated = false;
  if (boolean) {
    if (w[0].kind != Kindly::pair) return low.fail("d|p is wanted");
    in.r[0] = low.destination_or_sink(w[0].items[0], Type::b32);
    in.r[4] = low.predicate_destination(w[0].items[1]);
    in.r[5] = low.predicate(w[5], negated);
    if (in.r[4] == kNoRef || in.r[5] == kNoRef) return low.fail("predicates are wanted");
  } else {
    in.r[0] = low.destination(w[0], Type::b32);
    if (in.r[0] == kNoRef) return false;
  }
  for (int i = 1; i <= 3; ++i) {
    in.r[i] = low.source(w[i], Type::b32);
    if (in.r[i] == kNoRef) return false;
  }
  if (!low.integer(w[4], table) || table > 255) return low.fail("the table has to be a number up to 255");
  Inst& out = low.emit(finders().integer(Op::lop3, Type::b32));
  for (int i = 0; i < 6; ++i) out.r[i] = in.r[i];
  out.imm = table;
  out.flags = static_cast<uint8_t>((with_and ? kCombineAnd : kCombineOr) | (negated ? kCombineNot : 0));
  return true;
}

bool dot_product(Lowering& low, Words& w) {
  const bool four = w.in().op == "dp4a";
  const bool hi = !four && w.take("hi");
  if (!four && !hi && !w.take("lo")) return low.fail(".lo or .hi is wanted");
  const Type b = w.take_type(), a = w.take_type();
  if ((a != Type::u32 && a != Type::s32) || (b != Type::u32 && b != Type::s32))
    return low.fail("two 32-bit types are wanted");
  constexpr Op kOps[3][4] = {{Op::dp4a_uu, Op::dp4a_us, Op::dp4a_su, Op::dp4a_ss},
                             {Op::dp2a_lo_uu, Op::dp2a_lo_us, Op::dp2a_lo_su, Op::dp2a_lo_ss},
                             {Op::dp2a_hi_uu, Op::dp2a_hi_us, Op::dp2a_hi_su, Op::dp2a_hi_ss}};
  const Op op = kOps[four ? 0 : hi ? 2 : 1][(a == Type::s32) * 2 + (b == Type::s32)];
  return plain(low, op, Type::b32, Type::b32, {Type::b32, Type::b32, Type::b32}, w);
}

bool move_one(Lowering& low, const ast::Operand& to, const ast::Operand& from, Type type) {
  Handler handler = finders().integer(Op::mov, type);
  if (handler == nullptr) return low.fail("this width is not supported");
  const Ref d = low.destination(to, type), s = low.source(from, type);
  if (d == kNoRef || s == kNoRef) return false;
  Inst& in = low.emit(handler);
  in.r[0] = d;
  in.r[1] = s;
  return true;
}

// mov.b64 {lo, hi}, %rd;  mov.b32 %r, {a, b};
bool move_vector(Lowering& low, Words& w, Type type) {
  const bool unpack = w[0].kind == Kindly::vector;
  const ast::Operand& vector = unpack ? w[0] : w[1];
  const ast::Operand& whole = unpack ? w[1] : w[0];
  const size_t count = vector.items.size();
  const uint32_t total = size_of(type);
  if ((count != 2 && count != 4) || whole.kind == Kindly::vector) return low.fail("unsupported vector");
  const uint32_t part = total / static_cast<uint32_t>(count);
  if (part * count != total || (part != 1 && part != 2 && part != 4 && part != 8))
    return low.fail("unsupported vector");
  const Ref big = unpack ? low.source(whole, type) : low.destination(whole, type);
  if (big == kNoRef) return false;
  Ref small[4] = {kNoRef, kNoRef, kNoRef, kNoRef};
  for (size_t i = 0; i < count; ++i) {
    if (unpack && vector.items[i].kind == Kindly::sink) continue;
    small[i] = unpack ? low.destination(vector.items[i], unsigned_of(part)) : low.source_bytes(vector.items[i], part);
    if (small[i] == kNoRef) return false;
  }
  Inst& in = low.emit(unpack ? unpack_vector : pack_vector);
  in.r[0] = big;
  for (size_t i = 0; i < count; ++i) in.r[i + 1] = small[i];
  in.count = static_cast<uint8_t>(count);
  in.size = static_cast<uint8_t>(part);
  return true;
}

bool move(Lowering& low, Words& w) {
  const Type type = w.take_type();
  if (!low.arity(w, 2, 2)) return false;
  if (type == Type::pred) return logic_on_predicates(low, w, Op::pred_mov, 1);
  if (w[0].kind == Kindly::vector || w[1].kind == Kindly::vector) return move_vector(low, w, type);
  if (w[1].kind == Kindly::name && (w[1].name.starts_with("%clock") || w[1].name.starts_with("%globaltimer"))) {
    const uint32_t bytes = size_of(type);
    const Ref d = low.destination(w[0], type);
    if (d == kNoRef || (bytes != 4 && bytes != 8)) return false;
    Inst& in = low.emit(read_clock);
    in.r[0] = d;
    in.size = static_cast<uint8_t>(bytes);
    in.mode = w[1].name.starts_with("%globaltimer") ? 1 : 0;
    in.flags = w[1].name.ends_with("_hi") ? 1 : 0;
    return true;
  }
  return move_one(low, w[0], w[1], type);
}

bool select(Lowering& low, Words& w) {
  const Type type = w.take_type();
  if (!low.arity(w, 4, 4)) return false;
  Handler handler = finders().integer(Op::selp, type);
  bool negated = false;
  const Ref d = low.destination(w[0], type), a = low.source(w[1], type), b = low.source(w[2], type),
            p = low.predicate(w[3], negated);
  if (handler == nullptr || d == kNoRef || a == kNoRef || b == kNoRef || p == kNoRef) return false;
  Inst& in = low.emit(handler);
  in.r[0] = d;
  in.r[1] = a;
  in.r[2] = b;
  in.r[3] = p;
  in.flags = negated ? 1 : 0;
  return true;
}

struct CompareName {
  std::string_view name;
  Compare compare;
  bool make_unsigned;
};
constexpr CompareName kCompares[] = {
    {"eq", Compare::eq, false},   {"ne", Compare::ne, false},   {"lt", Compare::lt, false},
    {"le", Compare::le, false},   {"gt", Compare::gt, false},   {"ge", Compare::ge, false},
    {"lo", Compare::lt, true},    {"ls", Compare::le, true},    {"hi", Compare::gt, true},
    {"hs", Compare::ge, true},    {"equ", Compare::equ, false}, {"neu", Compare::neu, false},
    {"ltu", Compare::ltu, false}, {"leu", Compare::leu, false}, {"gtu", Compare::gtu, false},
    {"geu", Compare::geu, false}, {"num", Compare::num, false}, {"nan", Compare::nan, false}};

// The comparison of setp and set: finds the handler and the combination; operands from `first` on.
bool comparison(Lowering& low, Words& w, Type type, size_t first, Inst& in, Handler& handler) {
  const CompareName* found = nullptr;
  for (const CompareName& candidate : kCompares) {
    if (!w.in().mods.empty() && w.in().mods[0] == candidate.name) found = &candidate;
  }
  if (found == nullptr) return low.fail("no comparison");
  w.take(found->name);
  const bool ftz = w.take("ftz");
  uint8_t combine = w.take("and") ? kCombineAnd : w.take("or") ? kCombineOr : w.take("xor") ? kCombineXor : 0;
  if (found->make_unsigned && is_signed(type)) return low.fail("this comparison is for unsigned types");
  handler = finders().compare(found->compare, type, ftz && type == Type::f32);
  if (handler == nullptr) return low.fail("this comparison does not exist for the type");
  if (!low.arity(w, first + 2 + (combine ? 1 : 0), first + 2 + (combine ? 1 : 0))) return false;
  in.r[2] = low.source(w[first], type);
  in.r[3] = low.source(w[first + 1], type);
  if (in.r[2] == kNoRef || in.r[3] == kNoRef) return false;
  bool negated = false;
  if (combine) {
    in.r[4] = low.predicate(w[first + 2], negated);
    if (in.r[4] == kNoRef) return false;
  }
  in.flags = static_cast<uint8_t>(combine | (negated ? kCombineNot : 0));
  return true;
}

bool emit_compare(Lowering& low, const Inst& in, Handler handler) {
  Inst& out = low.emit(handler);
  for (int i = 0; i < 5; ++i) out.r[i] = in.r[i];
  out.flags = in.flags;
  return true;
}

bool set_predicate(Lowering& low, Words& w) {
  const Type type = w.take_type();
  if (!low.arity(w, 3, 4)) return false;
  Inst in;
  Handler handler = nullptr;
  if (w[0].kind == Kindly::pair) {
    in.r[0] = low.predicate_destination(w[0].items[0]);
    in.r[1] = low.predicate_destination(w[0].items[1]);
  } else {
    in.r[0] = low.predicate_destination(w[0]);
  }
  return comparison(low, w, type, 1, in, handler) && emit_compare(low, in, handler);
}

// set.cmp.dtype.stype d, a, b: by way of a predicate.
bool set_register(Lowering& low, Words& w) {
  const Type type = w.take_type(), to = w.take_type();
  if (!low.arity(w, 3, 4)) return false;
  Inst in;
  Handler handler = nullptr;
  in.r[0] = low.scratch_predicate(0);
  const Ref d = low.destination(w[0], to);
  if (d == kNoRef || !comparison(low, w, type, 1, in, handler)) return false;
  if (type == Type::f16x2 || type == Type::bf16x2) {
    uint64_t one = to == Type::f16x2 ? 0x3c00 : to == Type::bf16x2 ? 0x3f80 : 0xffff;
    in.r[1] = low.scratch_predicate(1);
    emit_compare(low, in, handler);
    Inst& out = low.emit(finders().integer(Op::select_halves, Type::b32));
    out.r[0] = d;
    out.r[1] = in.r[0];
    out.r[2] = in.r[1];
    out.imm = one;
    return true;
  }
  uint64_t one = to == Type::f32 ? 0x3f800000 : to == Type::f16 ? 0x3c00 : to == Type::bf16 ? 0x3f80 : ~0ull;
  const uint32_t bytes = size_of(to);
  handler = emit_compare(low, in, handler) ? finders().integer(Op::selp, to) : nullptr;
  if (handler == nullptr) return low.fail("this result type is not supported");
  const Ref yes = low.constant(bytes == 8 ? one : one & ((1ull << bytes * 8) - 1), bytes), no = low.constant(0, bytes);
  Inst& out = low.emit(handler);
  out.r[0] = d;
  out.r[1] = yes;
  out.r[2] = no;
  out.r[3] = in.r[0];
  return true;
}

bool find_bit(Lowering& low, Words& w) {
  const bool shift = w.take("shiftamt");
  const Type type = w.take_type();
  return plain(low, shift ? Op::bfind_shift : Op::bfind, type, Type::u32, {type}, w);
}

bool mask_or_extend(Lowering& low, Words& w) {
  const bool clamp = w.take("clamp");
  if (!clamp && !w.take("wrap")) return low.fail(".clamp or .wrap is wanted");
  const Type type = w.take_type();
  if (size_of(type) != 4) return low.fail("a 32-bit type is wanted");
  const bool mask = w.in().op == "bmsk";
  const Op op = mask ? (clamp ? Op::bmsk_clamp : Op::bmsk_wrap) : (clamp ? Op::szext_clamp : Op::szext_wrap);
  return plain(low, op, type, type, {type, Type::u32}, w);
}

// vabsdiff4.u32.u32.u32{.add} d, a, b, c;
bool byte_differences(Lowering& low, Words& w) {
  const bool add = w.take("add");
  if (w.take_type() != Type::u32 || w.take_type() != Type::u32 || w.take_type() != Type::u32)
    return low.fail("only .u32.u32.u32 is supported");
  if (!low.arity(w, 4, 4)) return false;
  Ref r[4];
  for (size_t i = 0; i < 4; ++i) {
    r[i] = i == 0 ? low.destination(w[i], Type::u32) : low.source(w[i], Type::u32);
    if (r[i] == kNoRef) return false;
  }
  Inst& in = low.emit(absolute_differences);
  for (int i = 0; i < 4; ++i) in.r[i] = r[i];
  in.size = w.in().op == "vabsdiff4" ? 1 : 2;
  in.flags = add ? 1 : 0;
  return true;
}

// op.type d, a… with one type for all.
bool uniform(Lowering& low, Words& w, Op op, size_t sources) {
  const Type type = w.take_type();
  switch (sources) {
    case 1:
      return plain(low, op, type, type, {type}, w);
    case 2:
      return plain(low, op, type, type, {type, type}, w);
    default:
      return plain(low, op, type, type, {type, type, type}, w);
  }
}

bool integers_only(const Words& w) {
  // max.relu.s16x2 is written max.s16x2.relu, too.
  size_t last = w.in().mods.size();
  if (last > 0 && w.in().mods[last - 1] == "relu") --last;
  if (last == 0) return false;
  auto type = type_named(w.in().mods[last - 1]);
  return type &&
         (is_integer(*type) || is_bits(*type) || *type == Type::pred || *type == Type::u16x2 || *type == Type::s16x2);
}

}  // namespace

bool lower_integer(Lowering& low, Words& w, bool& known) {
  const std::string_view op = w.in().op;
  known = true;
  const bool integers = integers_only(w);
  if (op == "mov") return move(low, w);
  if (op == "selp") return select(low, w);
  if (op == "setp") return set_predicate(low, w);
  if (op == "set") return set_register(low, w);
  if (integers) {
    if (op == "add" || op == "addc") return sum(low, w, false);
    if (op == "sub" || op == "subc") return sum(low, w, true);
    if (op == "mul") return product(low, w, false);
    if (op == "mad" || op == "madc") return product(low, w, true);
    if (op == "div" || op == "rem") return uniform(low, w, op == "div" ? Op::div : Op::rem, 2);
    if (op == "abs") return uniform(low, w, Op::abs, 1);
    if (op == "neg") return uniform(low, w, Op::neg, 1);
    if (op == "min") return uniform(low, w, w.take("relu") ? Op::min_relu : Op::min, 2);
    if (op == "max") return uniform(low, w, w.take("relu") ? Op::max_relu : Op::max, 2);
  }
  if (op == "mul24" || op == "mad24") return product24(low, w, op == "mad24");
  if (op == "sad") return uniform(low, w, Op::sad, 3);
  if (op == "and") return logic(low, w, Op::and_, Op::pred_and, 2);
  if (op == "or") return logic(low, w, Op::or_, Op::pred_or, 2);
  if (op == "xor") return logic(low, w, Op::xor_, Op::pred_xor, 2);
  if (op == "not") return logic(low, w, Op::not_, Op::pred_not, 1);
  if (op == "cnot") return uniform(low, w, Op::cnot, 1);
  if (op == "shl" || op == "shr") {
    const Type type = w.take_type();
    return plain(low, op == "shl" ? Op::shl : Op::shr, type, type, {type, Type::u32}, w);
  }
  if (op == "popc" || op == "clz") {
    const Type type = w.take_type();
    return plain(low, op == "popc" ? Op::popc : Op::clz, type, Type::u32, {type}, w);
  }
  if (op == "brev") return uniform(low, w, Op::brev, 1);
  if (op == "bfind") return find_bit(low, w);
  if (op == "bfe") {
    const Type type = w.take_type();
    return plain(low, Op::bfe, type, type, {type, Type::u32, Type::u32}, w);
  }
  if (op == "bfi") {
    const Type type = w.take_type();
    return plain(low, Op::bfi, type, type, {type, type, Type::u32, Type::u32}, w);
  }
  if (op == "bmsk" || op == "szext") return mask_or_extend(low, w);
  if (op == "fns") {
    if (w.take_type() != Type::b32) return low.fail("only .b32 is possible");
    return plain(low, Op::fns, Type::b32, Type::b32, {Type::b32, Type::b32, Type::s32}, w);
  }
  if (op == "prmt") return permute(low, w);
  if (op == "lop3") return logic3(low, w);
  if (op == "shf") return funnel(low, w);
  if (op == "dp4a" || op == "dp2a") return dot_product(low, w);
  if (op == "vabsdiff4" || op == "vabsdiff2") return byte_differences(low, w);
  if (op == "slct") {
    w.take("ftz");
    const Type by = w.take_type(), type = w.take_type();
    if (by != Type::s32 && by != Type::f32) return low.fail("the selector is .s32 or .f32");
    return plain(low, by == Type::s32 ? Op::slct_s : Op::slct_f, type, type, {type, type, by}, w);
  }
  known = false;
  return false;
}

}  // namespace nm::softgpu::ptx
