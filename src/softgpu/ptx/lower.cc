#include "softgpu/ptx/lower.h"
#include "softgpu/ptx/ops_space.h"

#include <algorithm>
#include <bit>

namespace nm::softgpu::ptx {
namespace {

constexpr uint64_t kMaxFrame = 64u << 20;
constexpr size_t kMaxErrors = 20;

std::string spelled(const ast::Instruction& in) {
  std::string text(in.op);
  for (std::string_view mod : in.mods) text += "." + std::string(mod);
  return text;
}

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

bool Words::has(std::string_view mod) const {
  return std::find(in_.mods.begin(), in_.mods.end(), mod) != in_.mods.end();
}
bool Words::take(std::string_view mod) {
  for (size_t i = 0; i < in_.mods.size(); ++i) {
    if (in_.mods[i] == mod && !(taken_ >> i & 1)) {
      taken_ |= 1u << i;
      return true;
    }
  }
  return false;
}
Type Words::take_type() {
  for (size_t i = in_.mods.size(); i-- > 0;) {
    if (taken_ >> i & 1) continue;
    if (auto type = type_named(in_.mods[i])) {
      taken_ |= 1u << i;
      return *type;
    }
  }
  return Type::none;
}
std::string Words::left() const {
  for (size_t i = 0; i < in_.mods.size(); ++i) {
    if (!(taken_ >> i & 1)) return std::string(in_.mods[i]);
  }
  return {};
}

bool Lowering::fail(const std::string& what) {
  const uint32_t line = current_ != nullptr ? current_->line : fn_.line;
  std::string text = "line " + std::to_string(line) + ": ";
  if (current_ != nullptr) text += spelled(*current_) + ": ";
  errors_.push_back(text + what);
  return false;
}

Inst& Lowering::emit_helper(Handler fn) {
  Inst in;
  in.fn = fn;
  in.line = current_ != nullptr ? current_->line : fn_.line;
  out_.code.push_back(in);
  return out_.code.back();
}
Inst& Lowering::emit(Handler fn) {
  Inst& in = emit_helper(fn);
  if (current_ != nullptr && current_->guard >= 0) {
    in.guard = registers_[static_cast<uint32_t>(current_->guard)];
    in.guard_mode = current_->guard_negated ? 2 : 1;
  }
  return in;
}

Ref Lowering::constant(uint64_t value, uint32_t bytes) {
  Ref ref = constants_.intern(value, bytes);
  if (ref == kNoRef) fail("too many constants");
  return ref;
}

Ref Lowering::scratch(uint32_t bytes, uint32_t which) {
  auto [found, fresh] = scratch_.try_emplace({bytes, which}, kNoRef);
  if (fresh) {
    found->second = static_cast<Ref>(frame_) | kFrame;
    frame_ += bytes == 0 ? 64 : uint64_t{bytes} * kLanes;
  }
  return found->second;
}
Ref Lowering::scratch_predicate(uint32_t which) { return scratch(0, which); }

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

bool Lowering::arity(const Words& w, size_t least, size_t most) {
  if (w.size() >= least && w.size() <= most) return true;
  return fail("wrong number of operands (" + std::to_string(w.size()) + ")");
}

void Lowering::layout_parameters(const ast::Function& fn, Function& out) {
  uint64_t at = 0;
  auto place = [&](const std::vector<uint32_t>& vars, std::vector<Slot>& slots) {
    for (uint32_t index : vars) {
      const ast::Variable& var = fn.vars[index];
      const uint64_t align = std::max<uint64_t>(1, var.align);
      at = (at + align - 1) / align * align;
      slots.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(var.bytes())});
      at += var.bytes();
    }
  };
  place(fn.params, out.params);
  place(fn.returns, out.returns);
  out.param_bytes = static_cast<uint32_t>(at);
}

bool Lowering::place_variables() {
  places_.resize(fn_.vars.size());
  for (size_t i = 0; i < fn_.params.size(); ++i)
    places_[fn_.params[i]] = {Space::param, out_.params[i].offset, out_.params[i].bytes};
  for (size_t i = 0; i < fn_.returns.size(); ++i)
    places_[fn_.returns[i]] = {Space::param, out_.returns[i].offset, out_.returns[i].bytes};
  // Parameters of an entry live in the launch's buffer, not in the frame.
  uint64_t local = 0, param = fn_.is_entry ? 0 : out_.param_bytes;
  for (uint32_t i = 0; i < fn_.vars.size(); ++i) {
    const ast::Variable& var = fn_.vars[i];
    if (i < fn_.params.size() + fn_.returns.size()) continue;
    const uint64_t align = std::max<uint64_t>(1, var.align);
    VarPlace& place = places_[i];
    place.space = var.space;
    place.bytes = var.bytes();
    switch (var.space) {
      case Space::local:
        local = (local + align - 1) / align * align;
        place.offset = local;
        local += var.bytes();
        break;
      case Space::param:
        param = (param + align - 1) / align * align;
        place.offset = param;
        param += var.bytes();
        break;
      case Space::shared:
        if (auto found = shared_offsets_.find(i); found != shared_offsets_.end()) place.offset = found->second;
        place.dynamic = var.is_extern || var.count == 0;
        break;
      default:
        return fail("variable " + std::string(var.name) + " has to be declared outside of the function");
    }
    if (local > 8u << 20) return fail("more than 8 MiB of local memory");
    if (param > 1u << 20) return fail("too many parameters of calls");
  }
  out_.local_bytes = static_cast<uint32_t>((local + 15) / 16 * 16);
  if (!fn_.is_entry || param != 0)
    out_.param_bytes = static_cast<uint32_t>((param + 15) / 16 * 16);
  else
    out_.param_bytes = 0;
  if (local != 0) out_.local_base = scratch(8, 100);
  return true;
}

bool Lowering::label(std::string_view name, uint32_t scope, uint32_t& at) {
  for (;;) {
    if (auto found = labels_.find({scope, name}); found != labels_.end()) {
      at = found->second;
      return true;
    }
    if (scope == 0) return fail("unknown label " + std::string(name));
    scope = fn_.scope_parents[scope];
  }
}

bool Lowering::instruction(const ast::Instruction& in) {
  Words w(in);
  bool known = false;
  bool good = lower_control(w, known);
  if (!known) good = lower_integer(*this, w, known);
  if (!known) good = lower_float(*this, w, known);
  if (!known) good = lower_convert(*this, w, known);
  if (!known) good = lower_memory(*this, w, known);
  if (!known) good = lower_warp(*this, w, known);
  if (!known) good = lower_mbarrier(*this, w, known);
  if (!known) good = lower_matrix(*this, w, known);
  if (!known) good = lower_tile(*this, w, known);
  if (!known) return fail("this instruction is not supported by the software GPU");
  if (!good) return errors_.empty() ? fail("this form is not supported by the software GPU") : false;
  if (std::string left = w.left(); !left.empty())
    return fail("the modifier ." + left + " is not supported by the software GPU");
  return true;
}

bool Lowering::run() {
  frame_ = assign_slots(fn_, registers_, out_.register_count);
  if (frame_ > kMaxFrame) return fail("the function uses too many registers");
  for (const ast::Register& reg : fn_.regs) {
    if (reg.type == Type::e4m3x2 || reg.type == Type::none)
      return fail("register " + std::string(reg.name) + " has a type that is not supported");
  }
  if (!place_variables()) return false;
  out_.carry = scratch_predicate(100);
  std::vector<bool> is_target(fn_.body.size() + 1, false);
  for (const ast::Label& label : fn_.labels) {
    is_target[label.at] = true;
    if (!labels_.try_emplace({label.scope, label.name}, label.at).second)
      return fail("label " + std::string(label.name) + " is defined twice");
  }
  begins_.resize(fn_.body.size() + 1);
  for (uint32_t i = 0; i < fn_.body.size() && errors_.size() < kMaxErrors; ++i) {
    const ast::Instruction& in = fn_.body[i];
    current_ = nullptr;
    begins_[i] = static_cast<uint32_t>(out_.code.size());
    if (is_target[i]) {
      Inst& join = emit_helper(nullptr);
      join.kind = Kind::join;
      join.line = in.line;
    }
    current_ = &in;
    helpers_ = 0;
    if (in.guard >= 0 && fn_.regs[static_cast<uint32_t>(in.guard)].type != Type::pred) {
      fail("the guard is not a predicate");
      continue;
    }
    const size_t before = errors_.size();
    if (!instruction(in) && errors_.size() == before) fail("this form is not supported by the software GPU");
  }
  current_ = nullptr;
  begins_[fn_.body.size()] = static_cast<uint32_t>(out_.code.size());
  if (is_target[fn_.body.size()]) emit_helper(nullptr).kind = Kind::join;
  emit_helper(nullptr).kind = Kind::ret;
  return errors_.empty() && finish();
}

bool Lowering::finish() {
  if (frame_ > kMaxFrame) return fail("the function uses too many registers");
  out_.frame_bytes = static_cast<uint32_t>(frame_ + 64);
  for (const auto& [at, text] : branches_) out_.code[at].target = &out_.code[begins_[text]];
  for (TableUse& use : table_uses_) {
    for (uint32_t text : use.at) use.table->push_back(&out_.code[begins_[text]]);
  }
  return true;
}

}  // namespace nm::softgpu::ptx
