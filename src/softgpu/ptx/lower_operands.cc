// What operands become: registers, constants, special registers, the addresses of variables and parameters.
#include <algorithm>
#include <bit>

#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_space.h"

namespace nm::softgpu::ptx {
namespace {

struct SpecialName {
  std::string_view name, suffix;
  Special special;
};
constexpr SpecialName kSpecialNames[] = {
    {"%tid", "x", Special::tid_x},
    {"%tid", "y", Special::tid_y},
    {"%tid", "z", Special::tid_z},
    {"%ntid", "x", Special::ntid_x},
    {"%ntid", "y", Special::ntid_y},
    {"%ntid", "z", Special::ntid_z},
    {"%ctaid", "x", Special::ctaid_x},
    {"%ctaid", "y", Special::ctaid_y},
    {"%ctaid", "z", Special::ctaid_z},
    {"%nctaid", "x", Special::nctaid_x},
    {"%nctaid", "y", Special::nctaid_y},
    {"%nctaid", "z", Special::nctaid_z},
    {"%laneid", "", Special::laneid},
    {"%warpid", "", Special::warpid},
    {"%nwarpid", "", Special::nwarpid},
    {"%lanemask_eq", "", Special::lanemask_eq},
    {"%lanemask_le", "", Special::lanemask_le},
    {"%lanemask_lt", "", Special::lanemask_lt},
    {"%lanemask_ge", "", Special::lanemask_ge},
    {"%lanemask_gt", "", Special::lanemask_gt},
    {"%smid", "", Special::smid},
    {"%nsmid", "", Special::nsmid},
    {"%dynamic_smem_size", "", Special::dynamic_smem_size},
    {"%total_smem_size", "", Special::total_smem_size},
    {"%aggr_smem_size", "", Special::aggr_smem_size},
    {"%clusterid", "x", Special::clusterid_x},
    {"%clusterid", "y", Special::clusterid_y},
    {"%clusterid", "z", Special::clusterid_z},
    {"%nclusterid", "x", Special::nclusterid_x},
    {"%nclusterid", "y", Special::nclusterid_y},
    {"%nclusterid", "z", Special::nclusterid_z},
    {"%cluster_ctaid", "x", Special::cluster_ctaid_x},
    {"%cluster_ctaid", "y", Special::cluster_ctaid_y},
    {"%cluster_ctaid", "z", Special::cluster_ctaid_z},
    {"%cluster_nctaid", "x", Special::cluster_nctaid_x},
    {"%cluster_nctaid", "y", Special::cluster_nctaid_y},
    {"%cluster_nctaid", "z", Special::cluster_nctaid_z},
    {"%cluster_ctarank", "", Special::cluster_ctarank},
    {"%cluster_nctarank", "", Special::cluster_nctarank},
    {"%is_explicit_cluster", "", Special::is_explicit_cluster},
    {"WARP_SZ", "", Special::warp_size},
    {"%envreg0", "", Special::zero},
    {"%envreg1", "", Special::envreg1},
    {"%envreg2", "", Special::envreg2},
    {"%pm0", "", Special::zero},
    {"%pm1", "", Special::zero},
    {"%reserved_smem_offset_begin", "", Special::reserved_base},
    {"%reserved_smem_offset_0", "", Special::reserved_base},
    {"%reserved_smem_offset_1", "", Special::reserved_base},
    {"%reserved_smem_offset_end", "", Special::reserved_end},
    {"%reserved_smem_offset_cap", "", Special::reserved_bytes},
};

}  // namespace

uint32_t Lowering::register_bytes(const ast::Operand& op) const {
  if (op.kind != ast::Operand::Kind::reg || fn_.regs[op.index].type == Type::pred) return 0;
  return std::max(2u, size_of(fn_.regs[op.index].type));
}

bool Lowering::integer(const ast::Operand& op, uint64_t& value) {
  if (op.kind != ast::Operand::Kind::integer) return fail("an operand has to be a number");
  value = op.bits;
  return true;
}

Ref Lowering::special(const ast::Operand& op, Type type) {
  const uint32_t bytes = size_of(type);
  if (op.name == "%gridid") return bytes == 8 ? special_ref(Special64::gridid) : special_ref(Special::zero);
  // The driver's own registers: of %envreg0 to %envreg31 it sets two.
  const bool unset = op.name.starts_with("%envreg") && op.name != "%envreg1" && op.name != "%envreg2";
  const std::string_view name = unset ? "%envreg0" : op.name;
  for (const SpecialName& known : kSpecialNames) {
    if (known.name != name || known.suffix != op.suffix) continue;
    if (op.name.starts_with("%reserved_smem")) out_.uses_reserved = true;
    if (bytes == 4) return special_ref(known.special);
    // A wider or narrower destination: by way of scratch.
    ConvertPlan plan;
    plan.to = bytes == 8 ? Type::u64 : Type::u16;
    plan.from = Type::u32;
    plan.to_bytes = static_cast<uint8_t>(bytes);
    plan.from_bytes = 4;
    if (bytes != 8 && bytes != 2) break;
    Ref to = scratch(bytes, helpers_++ & 7);
    Inst& in = emit_helper(finders().convert(plan));
    in.r[0] = to;
    in.r[1] = special_ref(known.special);
    in.imm = std::bit_cast<uint64_t>(plan);
    return to;
  }
  fail("unknown name " + std::string(op.name) + (op.suffix.empty() ? "" : "." + std::string(op.suffix)));
  return kNoRef;
}

// The address of a variable, function or parameter as a value.
Ref Lowering::symbol_value(const ast::Operand& op, uint32_t bytes) {
  auto add = [&](Ref base, uint64_t offset) {
    if (offset == 0) return base;
    Ref to = scratch(bytes, helpers_++ & 7);
    Ref right = constant(offset, bytes);
    Inst& in = emit_helper(finders().integer(Op::add, unsigned_of(bytes)));
    in.r[0] = to;
    in.r[1] = base;
    in.r[2] = right;
    return to;
  };
  if (bytes != 4 && bytes != 8) {
    fail("an address needs a 32- or 64-bit register");
    return kNoRef;
  }
  const Ref dynamic = bytes == 8 ? special_ref(Special64::dynamic_base) : special_ref(Special::dynamic_base);
  if (op.kind == ast::Operand::Kind::var) {
    const VarPlace& place = places_[op.index];
    switch (place.space) {
      case Space::local:
        if (bytes != 8) break;
        return add(out_.local_base, place.offset + op.bits);
      case Space::shared:
        return place.dynamic ? add(dynamic, op.bits) : constant(place.offset + op.bits, bytes);
      case Space::param: {
        if (bytes != 8) break;
        if (fn_.is_entry && op.index < fn_.params.size())
          return add(special_ref(Special64::param_base), place.offset + op.bits);
        const Ref to = scratch(8, helpers_++ & 7);
        Inst& in = emit_helper(frame_param_address);
        in.r[0] = to;
        in.imm = place.offset + op.bits;
        return to;
      }
      default:
        return constant(place.offset + op.bits, bytes);
    }
    fail("the address of " + std::string(op.name) + " cannot be taken");
    return kNoRef;
  }
  const Symbol* symbol = symbols_.find(op.name);
  if (symbol == nullptr) {
    fail("unknown name " + std::string(op.name));
    return kNoRef;
  }
  if (symbol->kind == Symbol::Kind::function) {
    if (bytes != 8) {
      fail("the address of a function needs a 64-bit register");
      return kNoRef;
    }
    return constant(symbol->function->address(), 8);
  }
  if (symbol->space == Space::shared)
    return symbol->dynamic_shared ? add(dynamic, op.bits) : constant(symbol->value + op.bits, bytes);
  if (bytes != 8) {
    fail("the address of a global variable needs a 64-bit register");
    return kNoRef;
  }
  return constant(symbol->value + op.bits, 8);
}

Ref Lowering::source(const ast::Operand& op, Type type) {
  const uint32_t bytes = std::max(2u, size_of(type));
  switch (op.kind) {
    case ast::Operand::Kind::reg: {
      if (!op.suffix.empty()) {
        fail("components of vector registers are not supported");
        return kNoRef;
      }
      const uint32_t have = register_bytes(op);
      if (have != bytes) {
        fail("operand " + std::string(op.name) + " is " + std::to_string(have * 8) + " bits wide, " +
             std::to_string(bytes * 8) + " are wanted");
        return kNoRef;
      }
      return registers_[op.index];
    }
    case ast::Operand::Kind::integer: {
      if (type == Type::f64)
        return constant(std::bit_cast<uint64_t>(static_cast<double>(static_cast<int64_t>(op.bits))), 8);
      if (type == Type::f32)
        return constant(std::bit_cast<uint32_t>(static_cast<float>(static_cast<int64_t>(op.bits))), 4);
      return constant(op.bits, bytes);
    }
    case ast::Operand::Kind::real: {
      if (bytes == 4)
        return constant(
            op.single ? op.bits : std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(op.bits))), 4);
      if (bytes == 8)
        return constant(op.single ? std::bit_cast<uint64_t>(
                                        static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(op.bits))))
                                  : op.bits,
                        8);
      fail("a floating-point number does not fit the operand");
      return kNoRef;
    }
    case ast::Operand::Kind::var:
      return symbol_value(op, bytes);
    case ast::Operand::Kind::name:
      if (op.name.starts_with('%') || op.name == "WARP_SZ")
        return special(op, bytes == 8 ? Type::u64 : bytes == 4 ? Type::u32 : Type::u16);
      return symbol_value(op, bytes);
    default:
      fail("an operand is not a value");
      return kNoRef;
  }
}

Ref Lowering::destination(const ast::Operand& op, Type type) {
  if (op.kind != ast::Operand::Kind::reg) {
    fail("the result needs a register");
    return kNoRef;
  }
  return source(op, type);
}
Ref Lowering::destination_or_sink(const ast::Operand& op, Type type) {
  return op.kind == ast::Operand::Kind::sink ? kNoRef : destination(op, type);
}

Ref Lowering::predicate(const ast::Operand& op, bool& negated) {
  negated = op.negated;
  if (op.kind == ast::Operand::Kind::integer) return constants_.predicate(op.bits != 0);
  if (op.kind == ast::Operand::Kind::name && op.name == "%is_explicit_cluster")
    return special_ref(Special::is_explicit_cluster);
  if (op.kind != ast::Operand::Kind::reg || fn_.regs[op.index].type != Type::pred) {
    fail("an operand has to be a predicate");
    return kNoRef;
  }
  return registers_[op.index];
}
Ref Lowering::predicate_destination(const ast::Operand& op) {
  if (op.kind == ast::Operand::Kind::sink) return kNoRef;
  bool negated = false;
  if (op.kind != ast::Operand::Kind::reg) {
    fail("the result needs a predicate register");
    return kNoRef;
  }
  return predicate(op, negated);
}

bool Lowering::parameter_address(const VarPlace& place, const ast::Operand& op, Inst& in, uint32_t bytes, bool write) {
  const uint64_t offset = op.bits + op.items[0].bits;
  if (offset > place.bytes || place.bytes - offset < bytes)
    return fail("access outside parameter " + std::string(op.items[0].name));
  if (fn_.is_entry && op.items[0].index < fn_.params.size()) {
    if (write) return fail("parameters of a kernel are read-only");
    in.flags |= kUniformParam;
  } else {
    in.flags |= kFrameParam;
  }
  in.imm = place.offset + offset;
  in.r[4] = constant(0, 8);
  in.width = 8;
  return true;
}

bool Lowering::address(const ast::Operand& op, Inst& in, uint32_t bytes, bool write) {
  if (op.kind != ast::Operand::Kind::address) return fail("an operand has to be an address in brackets");
  if (op.items.size() != 1) return fail("coordinates of tensors are not supported");
  const ast::Operand& base = op.items[0];
  in.imm = op.bits;
  in.width = 8;
  if (base.kind == ast::Operand::Kind::integer) {
    in.r[4] = constant(0, 8);
    return true;
  }
  if (base.kind == ast::Operand::Kind::reg) {
    const uint32_t have = register_bytes(base);
    if (have != 4 && have != 8)
      return fail("the address register " + std::string(base.name) + " must be 32 or 64 bits wide");
    in.r[4] = registers_[base.index];
    in.width = static_cast<uint8_t>(have);
    return true;
  }
  if (base.kind == ast::Operand::Kind::var) {
    const VarPlace& place = places_[base.index];
    const bool fits = place.space == in.space ||
                      (in.space == Space::generic && (place.space == Space::global || place.space == Space::constant));
    if (!fits) return fail(std::string(base.name) + " is in another state space");
    switch (place.space) {
      case Space::param:
        return parameter_address(place, op, in, bytes, write);
      case Space::local:
        in.r[4] = out_.local_base;
        in.imm += place.offset;
        return true;
      case Space::shared:
        in.r[4] = place.dynamic ? special_ref(Special64::dynamic_base) : constant(0, 8);
        in.imm += place.offset;
        return true;
      default:
        in.r[4] = constant(0, 8);
        in.imm += place.offset;
        return true;
    }
  }
  if (base.name.starts_with('%')) return fail("unknown register " + std::string(base.name));
  const Symbol* symbol = symbols_.find(base.name);
  if (symbol == nullptr || symbol->kind != Symbol::Kind::variable)
    return fail("unknown variable " + std::string(base.name));
  const bool fits = symbol->space == in.space || (in.space == Space::generic && symbol->space != Space::shared);
  if (!fits) return fail(std::string(base.name) + " is in another state space");
  in.r[4] = symbol->dynamic_shared ? special_ref(Special64::dynamic_base) : constant(0, 8);
  in.imm += symbol->value;
  return true;
}

}  // namespace nm::softgpu::ptx
