// Branches, calls, ends.
#include <algorithm>

#include "softgpu/ptx/lower.h"

namespace nm::softgpu::ptx {

bool Lowering::branch(Words& w) {
  w.take("uni");
  if (!arity(w, 1, 1)) return false;
  if (w[0].kind != ast::Operand::Kind::name) return fail("a branch needs a label");
  uint32_t at = 0;
  if (!label(w[0].name, w.in().scope, at)) return false;
  emit(nullptr).kind = Kind::branch;
  branches_.emplace_back(static_cast<uint32_t>(out_.code.size() - 1), at);
  return true;
}

// brx.idx %r1, table;  table: .branchtargets a, b, c;
bool Lowering::branch_table(Words& w) {
  w.take("uni");
  if (!w.take("idx")) return fail("only brx.idx is supported");
  if (!arity(w, 2, 2)) return false;
  const Ref index = source(w[0], Type::u32);
  const ast::Targets* targets = nullptr;
  for (const ast::Targets& candidate : fn_.targets) {
    if (candidate.name == w[1].name) targets = &candidate;
  }
  if (targets == nullptr) return fail("unknown branch targets " + std::string(w[1].name));
  out_.tables.push_back(std::make_unique<std::vector<const Inst*>>());
  TableUse use{out_.tables.back().get(), {}};
  for (std::string_view name : targets->names) {
    uint32_t at = 0;
    if (!label(name, targets->scope, at)) return false;
    use.at.push_back(at);
  }
  Inst& in = emit(nullptr);
  in.kind = Kind::branch_table;
  in.r[0] = index;
  in.table = use.table;
  table_uses_.push_back(std::move(use));
  return true;
}

bool Lowering::param_list(const ast::Operand* list, std::vector<uint32_t>& offsets, std::vector<uint32_t>& bytes) {
  if (list == nullptr) return true;
  for (const ast::Operand& item : list->items) {
    const bool own = item.kind == ast::Operand::Kind::var && places_[item.index].space == Space::param;
    if (!own || (fn_.is_entry && item.index < fn_.params.size()))
      return fail("arguments of calls have to be .param variables");
    offsets.push_back(static_cast<uint32_t>(places_[item.index].offset));
    bytes.push_back(static_cast<uint32_t>(places_[item.index].bytes));
  }
  return true;
}

bool Lowering::direct_call(Function* callee, std::string_view name, const ast::Operand* returns,
                           const ast::Operand* args) {
  auto site = std::make_unique<CallSite>();
  if (!param_list(args, site->arg_offsets, site->param_bytes) ||
      !param_list(returns, site->result_offsets, site->return_bytes))
    return false;
  if (!callee->defined) {
    Handler handler = runtime_function(name, site->arg_offsets.size(), site->result_offsets.size());
    if (handler == nullptr)
      return fail("function " + std::string(name) + " is not defined, and not one that the software GPU brings");
    Inst& in = emit(handler);
    in.call = site.get();
    out_.calls.push_back(std::move(site));
    return true;
  }
  if (callee->is_entry) return fail("a kernel cannot be called");
  if (site->param_bytes.size() != callee->params.size() || site->return_bytes.size() != callee->returns.size())
    return fail("wrong number of arguments of " + std::string(name));
  site->callee = callee;
  for (size_t i = 0; i < callee->params.size(); ++i) {
    const Slot& to = callee->params[i];
    if (to.bytes > site->param_bytes[i]) return fail("an argument of " + std::string(name) + " is too small");
    site->in.push_back({site->arg_offsets[i], to.offset, to.bytes});
  }
  for (size_t i = 0; i < callee->returns.size(); ++i) {
    const Slot& from = callee->returns[i];
    if (from.bytes > site->return_bytes[i]) return fail("the result of " + std::string(name) + " does not fit");
    site->out.push_back({from.offset, site->result_offsets[i], from.bytes});
  }
  out_.callees.push_back(callee->index);
  Inst& in = emit(nullptr);
  in.kind = Kind::call;
  in.call = site.get();
  out_.calls.push_back(std::move(site));
  emit_helper(nullptr).kind = Kind::join;
  return true;
}

// call{.uni} {(results),} name|register {, (arguments)} {, prototype};
bool Lowering::call(Words& w) {
  w.take("uni");
  size_t at = 0;
  const ast::Operand* returns = nullptr;
  const ast::Operand* args = nullptr;
  if (at < w.size() && w[at].kind == ast::Operand::Kind::list) returns = &w[at++];
  if (at >= w.size()) return fail("a call needs a function");
  const ast::Operand& target = w[at++];
  if (at < w.size() && w[at].kind == ast::Operand::Kind::list) args = &w[at++];
  if (target.kind == ast::Operand::Kind::name) {
    const Symbol* symbol = symbols_.find(target.name);
    if (symbol == nullptr || symbol->kind != Symbol::Kind::function)
      return fail("unknown function " + std::string(target.name));
    if (at != w.size()) return fail("too many operands");
    return direct_call(symbol->function, target.name, returns, args);
  }
  const Ref pointer = source(target, Type::u64);
  if (pointer == kNoRef) return false;
  if (at + 1 < w.size()) return fail("too many operands");
  auto site = std::make_unique<CallSite>();
  if (!param_list(args, site->arg_offsets, site->param_bytes) ||
      !param_list(returns, site->result_offsets, site->return_bytes))
    return false;
  out_.calls_indirect = true;
  Inst& in = emit(nullptr);
  in.kind = Kind::call_indirect;
  in.r[0] = pointer;
  in.call = site.get();
  out_.calls.push_back(std::move(site));
  emit_helper(nullptr).kind = Kind::join;
  return true;
}

bool Lowering::lower_control(Words& w, bool& known) {
  known = true;
  const std::string_view op = w.in().op;
  if (op == "bra") return branch(w);
  if (op == "brx") return branch_table(w);
  if (op == "call") return call(w);
  if (op == "ret" || op == "exit") {
    w.take("uni");
    emit(nullptr).kind = op == "ret" ? Kind::ret : Kind::exit;
    return arity(w, 0, 0);
  }
  if (op == "trap") {
    emit(nullptr).kind = Kind::trap;
    return arity(w, 0, 0);
  }
  if (op == "brkpt") return arity(w, 0, 0);  // without a debugger it does nothing
  known = false;
  return false;
}

}  // namespace nm::softgpu::ptx
