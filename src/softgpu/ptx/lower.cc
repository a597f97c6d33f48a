// A function as a whole: its frame, its labels, its instructions in turn. What an instruction becomes stands in the other
// lower_*.cc, by family.
#include "softgpu/ptx/lower.h"

#include <algorithm>

namespace nm::softgpu::ptx {
namespace {

constexpr uint64_t kMaxFrame = 64u << 20;
constexpr size_t kMaxErrors = 20;

std::string spelled(const ast::Instruction& in) {
  std::string text(in.op);
  for (std::string_view mod : in.mods) text += "." + std::string(mod);
  return text;
}

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
