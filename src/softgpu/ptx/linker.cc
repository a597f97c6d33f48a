#include "softgpu/ptx/linker.h"

#include <algorithm>
#include <bit>

namespace nm::softgpu::ptx {
namespace {

constexpr uint64_t kMaxVariables = uint64_t{1} << 37;

template <class F>
void visit(const ast::Operand& op, const F& f) {
  f(op);
  for (const ast::Operand& item : op.items) visit(item, f);
}

}  // namespace

Linker::Linker(std::vector<ast::Unit> units, Memory& memory) : units_(std::move(units)), program_(new Program) {
  program_->memory = &memory;
  tables_.resize(units_.size());
  shared_names_.resize(units_.size());
}

bool Linker::fail(uint32_t line, const std::string& what) {
  errors_.push_back("line " + std::to_string(line) + ": " + what);
  return false;
}

std::unique_ptr<Program> Linker::link() {
  if (!functions() || !variables() || !place_memory()) return nullptr;
  find_shared();
  lay_out_shared();
  if (!initialise() || !lower()) return nullptr;
  program_->constants = constants_.finish();
  if (program_->constants.data() == nullptr) {
    fail(1, "no memory for the constants of the module");
    return nullptr;
  }
  make_kernels();
  return std::move(program_);
}

bool Linker::functions() {
  for (uint32_t unit = 0; unit < units_.size(); ++unit) {
    std::unordered_set<std::string_view> global;
    for (const ast::Function& fn : units_[unit].functions) {
      if (fn.visible || fn.is_extern || fn.weak || fn.is_entry) global.insert(fn.name);
    }
    for (const ast::Function& fn : units_[unit].functions) {
      const bool shared = global.contains(fn.name);
      Table& table = shared ? global_ : tables_[unit];
      auto [found, fresh] = table.try_emplace(fn.name);
      Symbol& symbol = found->second;
      if (fresh) {
        program_->functions.push_back(std::make_unique<Function>());
        symbol.kind = Symbol::Kind::function;
        symbol.function = program_->functions.back().get();
        symbol.function->name = fn.name;
        symbol.function->line = fn.line;
        symbol.function->index = static_cast<uint32_t>(program_->functions.size() - 1);
      } else if (symbol.kind != Symbol::Kind::function) {
        return fail(fn.line, "function " + std::string(fn.name) + " is also a variable");
      }
      if (!fn.defined) continue;
      Function& out = *symbol.function;
      if (out.defined) {
        if (fn.weak) continue;
        return fail(fn.line, "function " + std::string(fn.name) + " is defined twice");
      }
      out.defined = true;
      out.is_entry = fn.is_entry;
      Lowering::layout_parameters(fn, out);
      if (fn.is_entry && out.param_bytes > 32764)
        return fail(fn.line, "kernel " + std::string(fn.name) + " has too many parameters");
      body_of_[&out] = static_cast<uint32_t>(bodies_.size());
      bodies_.push_back({&fn, &out, unit, {}, {}, 0});
    }
    for (const auto& alias : units_[unit].aliases) {
      const std::string_view name = alias.first, target = alias.second;
      auto in = [&](Table& table) {
        auto found = table.find(target);
        return found == table.end() ? nullptr : &found->second;
      };
      const Symbol* symbol = in(tables_[unit]) != nullptr ? in(tables_[unit]) : in(global_);
      if (symbol == nullptr) return fail(1, "alias " + std::string(name) + " of an unknown function");
      const Symbol copy = *symbol;
      tables_[unit][name] = copy;
      if (global_.contains(name)) global_[name] = copy;
    }
  }
  return true;
}

bool Linker::variables() {
  for (uint32_t unit = 0; unit < units_.size(); ++unit) {
    for (const ast::Variable& var : units_[unit].variables) {
      if (var.space == Space::shared) {
        shared_names_[unit][var.name] = &var;
        Symbol symbol;
        symbol.space = Space::shared;
        symbol.dynamic_shared = var.count == 0 || (var.is_extern && var.count <= 1);
        tables_[unit][var.name] = symbol;
        continue;
      }
      const bool shared = var.visible || var.is_extern || var.weak || var.common;
      if (var.is_extern) continue;  // another unit, or an error where it is used
      Table& table = shared ? global_ : tables_[unit];
      auto [found, fresh] = table.try_emplace(var.name);
      if (!fresh) {
        if (var.weak || var.common) continue;
        return fail(var.line, "variable " + std::string(var.name) + " is defined twice");
      }
      found->second.space = var.space;
      placed_.push_back({&var, unit, 0});
    }
  }
  return true;
}

bool Linker::place_memory() {
  uint64_t total = 0;
  for (Placed& placed : placed_) {
    const uint64_t align = std::max<uint64_t>(placed.var->align, 4);
    total = (total + align - 1) / align * align;
    placed.address = total;
    total += std::max<uint64_t>(placed.var->bytes(), 1);
    if (total > kMaxVariables) return fail(placed.var->line, "the variables of the module are too large");
    if (placed.var->space == Space::constant) const_bytes_ += placed.var->bytes();
  }
  if (total == 0) return true;
  const uint64_t base = program_->memory->allocate(total, 4096);
  if (base == 0)
    return fail(1, "no device memory for the variables of the module (" + std::to_string(total) + " bytes)");
  program_->owned.push_back(base);
  for (Placed& placed : placed_) {
    placed.address += base;
    const ast::Variable& var = *placed.var;
    const bool shared = var.visible || var.weak || var.common;
    (shared ? global_ : tables_[placed.unit])[var.name].value = placed.address;
    Variable known;
    known.name = var.name;
    known.address = placed.address;
    known.size = var.bytes();
    known.is_const = var.space == Space::constant;
    known.is_managed = var.managed;
    program_->variables.push_back(std::move(known));
  }
  return true;
}

bool Linker::write_initial(const ast::Variable& var, uint64_t address, uint32_t unit) {
  const uint32_t size = size_of(var.type);
  const Symbols symbols{&tables_[unit], &global_};
  char* to = reinterpret_cast<char*>(address);
  if (var.initial.size() > var.count) return fail(var.line, "too many initialisers for " + std::string(var.name));
  for (const ast::Initial& value : var.initial) {
    uint64_t bits = value.bits;
    if (!value.symbol.empty()) {
      const Symbol* symbol = symbols.find(value.symbol);
      if (symbol == nullptr)
        return fail(var.line,
                    "unknown name " + std::string(value.symbol) + " in the initialiser of " + std::string(var.name));
      if (size != 8 && !value.masked)
        return fail(var.line, "an address needs 64 bits in the initialiser of " + std::string(var.name));
      bits += symbol->kind == Symbol::Kind::function ? symbol->function->address() : symbol->value;
      if (value.masked) bits >>= value.mask_shift;
    } else if (value.real) {
      if (size == 4 && !value.single) bits = std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
      if (size == 8 && value.single)
        bits = std::bit_cast<uint64_t>(static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits))));
    } else if (var.type == Type::f32) {
      bits = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int64_t>(bits)));
    } else if (var.type == Type::f64) {
      bits = std::bit_cast<uint64_t>(static_cast<double>(static_cast<int64_t>(bits)));
    }
    std::memcpy(to, &bits, std::min(size, 8u));
    to += size;
  }
  return true;
}

bool Linker::initialise() {
  for (const Placed& placed : placed_) {
    if (!write_initial(*placed.var, placed.address, placed.unit)) return false;
  }
  return true;
}

// Which functions mention which shared variables.
void Linker::find_shared() {
  auto add = [&](const ast::Variable& var, uint32_t unit, int64_t body, uint32_t index) {
    auto [found, fresh] = shared_index_.try_emplace(&var, static_cast<uint32_t>(shared_.size()));
    if (fresh) shared_.push_back({&var, unit, body, index, {}, 0});
    return found->second;
  };
  for (uint32_t b = 0; b < bodies_.size(); ++b) {
    Body& body = bodies_[b];
    auto use = [&](const ast::Variable& var, int64_t owner, uint32_t index) {
      if (var.count == 0 || (var.is_extern && var.count <= 1)) {
        body.dynamic_align = std::max(body.dynamic_align, var.align);
        return;
      }
      const uint32_t at = add(var, body.unit, owner, index);
      if (shared_[at].users.insert(b).second) body.shared.push_back(at);
    };
    for (uint32_t i = 0; i < body.fn->vars.size(); ++i) {
      if (body.fn->vars[i].space == Space::shared) use(body.fn->vars[i], b, i);
    }
    for (const ast::Instruction& in : body.fn->body) {
      for (const ast::Operand& operand : in.operands) {
        visit(operand, [&](const ast::Operand& op) {
          if (op.kind != ast::Operand::Kind::name) return;
          auto found = shared_names_[body.unit].find(op.name);
          if (found != shared_names_[body.unit].end()) use(*found->second, -1, 0);
        });
      }
    }
  }
}

// A variable that one kernel alone uses is placed within that kernel; the others get the same place everywhere.
void Linker::lay_out_shared() {
  auto exclusive = [&](const Shared& s) { return s.users.size() == 1 && bodies_[*s.users.begin()].out->is_entry; };
  auto place = [](uint64_t& at, const Shared& s) {
    const uint64_t align = std::max<uint64_t>(s.var->align, 1);
    at = (at + align - 1) / align * align;
    const uint64_t offset = at;
    at += s.var->bytes();
    return offset;
  };
  for (Shared& s : shared_) {
    if (!exclusive(s)) s.offset = place(common_shared_, s);
  }
  for (uint32_t b = 0; b < bodies_.size(); ++b) {
    if (!bodies_[b].out->is_entry) continue;
    uint64_t at = common_shared_;  // exact where there is none, which is the rule
    for (uint32_t index : bodies_[b].shared) {
      if (exclusive(shared_[index])) shared_[index].offset = place(at, shared_[index]);
    }
  }
  for (Shared& s : shared_) {
    if (s.body >= 0)
      bodies_[static_cast<size_t>(s.body)].shared_offsets[s.index] = s.offset;
    else
      tables_[s.unit][s.var->name].value = s.offset;
  }
}

bool Linker::lower() {
  for (Body& body : bodies_) {
    const Symbols symbols{&tables_[body.unit], &global_};
    Lowering lowering(*body.fn, *body.out, symbols, constants_, body.shared_offsets);
    lowering.run();
    for (const std::string& error : lowering.errors()) errors_.push_back(error);
    if (errors_.size() > 20) break;
  }
  return errors_.empty();
}

std::vector<uint32_t> Linker::reach(uint32_t body) const {
  std::vector<bool> seen(bodies_.size(), false);
  std::vector<uint32_t> list{body};
  seen[body] = true;
  bool indirect = false;
  for (size_t i = 0; i < list.size(); ++i) {
    const Function& fn = *bodies_[list[i]].out;
    for (uint32_t callee : fn.callees) {
      auto found = body_of_.find(program_->functions[callee].get());
      if (found == body_of_.end() || seen[found->second]) continue;
      seen[found->second] = true;
      list.push_back(found->second);
    }
    if (fn.calls_indirect && !indirect) {  // then any function may be next
      indirect = true;
      for (uint32_t b = 0; b < bodies_.size(); ++b) {
        if (seen[b] || bodies_[b].out->is_entry) continue;
        seen[b] = true;
        list.push_back(b);
      }
    }
  }
  return list;
}

// Local memory of the deepest chain of calls; `unbounded` when there is recursion or an indirect call.
uint64_t Linker::stack_of(uint32_t root, std::vector<uint8_t>& state, bool& unbounded) const {
  std::vector<uint64_t> deepest(bodies_.size(), 0);
  std::vector<std::pair<uint32_t, size_t>> path{{root, 0}};
  state[root] = 1;
  while (!path.empty()) {
    auto& [body, next] = path.back();
    const Function& fn = *bodies_[body].out;
    unbounded |= fn.calls_indirect;
    if (next < fn.callees.size()) {
      auto found = body_of_.find(program_->functions[fn.callees[next++]].get());
      if (found == body_of_.end()) continue;
      const uint32_t callee = found->second;
      if (state[callee] == 0) {
        state[callee] = 1;
        path.emplace_back(callee, 0);
      } else if (state[callee] == 1) {
        unbounded = true;
      } else {
        deepest[body] = std::max(deepest[body], deepest[callee]);
      }
      continue;
    }
    state[body] = 2;
    deepest[body] += fn.local_bytes;
    const uint64_t mine = deepest[body];
    path.pop_back();
    if (!path.empty()) deepest[path.back().first] = std::max(deepest[path.back().first], mine);
  }
  return deepest[root];
}

void Linker::make_kernels() {
  for (uint32_t b = 0; b < bodies_.size(); ++b) {
    const Body& body = bodies_[b];
    if (!body.out->is_entry) continue;
    auto kernel = std::make_unique<KernelImpl>();
    kernel->program = program_.get();
    kernel->function = body.out;
    KernelInfo& info = kernel->info_;
    info.name = body.out->name;
    for (const Slot& slot : body.out->params) {
      info.params.push_back({slot.offset, slot.bytes});
      info.param_bytes = slot.offset + slot.bytes;
    }
    uint32_t registers = 16, align = 0;
    for (uint32_t index : reach(b)) {
      const Body& part = bodies_[index];
      registers = std::max(registers, part.out->register_count);
      align = std::max(align, part.dynamic_align);
      for (uint32_t s : part.shared) {
        const uint64_t end = shared_[s].offset + shared_[s].var->bytes();
        info.static_shared =
            static_cast<uint32_t>(std::max<uint64_t>(info.static_shared, std::min<uint64_t>(end, 1u << 30)));
      }
    }
    if (align > 16 && info.static_shared != 0) info.static_shared = (info.static_shared + align - 1) / align * align;
    std::vector<uint8_t> state(bodies_.size(), 0);
    bool unbounded = false;
    const uint64_t stack = stack_of(b, state, unbounded);
    info.local_bytes = static_cast<uint32_t>(std::min<uint64_t>(stack, 64u << 20));
    for (uint32_t index : reach(b)) body.out->uses_reserved |= bodies_[index].out->uses_reserved;
    body.out->calls_indirect = unbounded;  // of a kernel: its stack needs the limit's bytes too
    info.const_bytes = static_cast<uint32_t>(std::min<uint64_t>(const_bytes_, ~0u));
    info.registers = std::min(255u, registers);
    const auto& most = body.fn->maxntid[0] != 0 ? body.fn->maxntid : body.fn->reqntid;
    if (most[0] != 0)
      info.max_threads = static_cast<uint32_t>(std::min<uint64_t>(1024, uint64_t{most[0]} * most[1] * most[2]));
    info.reqntid = body.fn->reqntid;
    info.cluster_dims = body.fn->cluster;
    info.min_blocks_per_sm = body.fn->min_blocks;
    info.ptx_version = units_[body.unit].version;
    info.target_sm = units_[body.unit].target;
    program_->kernels.push_back(std::move(kernel));
  }
}

}  // namespace nm::softgpu::ptx
