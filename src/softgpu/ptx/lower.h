// From the parser's words to decoded instructions, one function at a time. Every operand's width is checked here: the
// handlers trust their references. What is not supported ends the load with the instruction's name and line.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "softgpu/ptx/ast.h"
#include "softgpu/ptx/code.h"
#include "softgpu/ptx/ops.h"
#include "softgpu/ptx/program.h"

namespace nm::softgpu::ptx {

struct Symbol {
  enum class Kind : uint8_t { variable, function } kind = Kind::variable;
  Space space = Space::global;
  bool dynamic_shared = false;
  uint64_t value = 0;  // address; offset in shared memory
  Function* function = nullptr;
};

// What a function sees of the rest of the program.
struct Symbols {
  const std::unordered_map<std::string_view, Symbol>* local = nullptr;   // of its unit
  const std::unordered_map<std::string_view, Symbol>* global = nullptr;  // visible ones of all units
  const Symbol* find(std::string_view name) const {
    if (auto found = local->find(name); found != local->end()) return &found->second;
    if (auto found = global->find(name); found != global->end()) return &found->second;
    return nullptr;
  }
};

class Lowering;

// One instruction on its way. Modifiers are taken one by one; one that nobody took is an error.
class Words {
 public:
  explicit Words(const ast::Instruction& in) : in_(in) {}
  const ast::Instruction& in() const { return in_; }
  bool has(std::string_view mod) const;
  bool take(std::string_view mod);
  Type take_type();          // the last type not taken; none: there is none
  std::string left() const;  // the first modifier not taken
  size_t size() const { return in_.operands.size(); }
  const ast::Operand& operator[](size_t i) const { return in_.operands[i]; }

 private:
  const ast::Instruction& in_;
  uint32_t taken_ = 0;
};

class Lowering {
 public:
  // `shared_offsets`: of the function's own .shared variables, by index into fn.vars.
  Lowering(const ast::Function& fn, Function& out, const Symbols& symbols, ConstantPool& constants,
           const std::unordered_map<uint32_t, uint64_t>& shared_offsets)
      : fn_(fn), out_(out), symbols_(symbols), constants_(constants), shared_offsets_(shared_offsets) {}

  // Parameter layout; before any body, because calls need their callee's.
  static void layout_parameters(const ast::Function& fn, Function& out);

  bool run();  // false: errors() says why
  const std::vector<std::string>& errors() const { return errors_; }

  // For the families below.
  bool fail(const std::string& what);
  Inst& emit(Handler fn);                         // guarded as the instruction in hand
  Inst& emit_helper(Handler fn);                  // unguarded: computes into scratch
  Ref source(const ast::Operand& op, Type type);  // exactly that wide
  Ref source_bytes(const ast::Operand& op, uint32_t bytes) { return source(op, unsigned_of(bytes)); }
  Ref destination(const ast::Operand& op, Type type);
  Ref destination_or_sink(const ast::Operand& op, Type type);
  Ref predicate(const ast::Operand& op, bool& negated);
  Ref predicate_destination(const ast::Operand& op);      // kNoRef for a sink
  uint32_t register_bytes(const ast::Operand& op) const;  // zero: no register
  bool integer(const ast::Operand& op, uint64_t& value);
  Ref scratch(uint32_t bytes, uint32_t which);
  Ref scratch_predicate(uint32_t which);
  Ref constant(uint64_t value, uint32_t bytes);
  bool address(const ast::Operand& op, Inst& in, uint32_t bytes, bool write);
  bool arity(const Words& w, size_t least, size_t most);
  bool is_entry() const { return fn_.is_entry; }
  Function& out() { return out_; }

 private:
  struct VarPlace {
    Space space = Space::global;
    uint64_t offset = 0;
    uint64_t bytes = 0;
    bool dynamic = false;
  };

  bool place_variables();
  void place_registers();
  bool instruction(const ast::Instruction& in);
  bool finish();
  Ref symbol_value(const ast::Operand& op, uint32_t bytes);
  Ref special(const ast::Operand& op, Type type);
  bool label(std::string_view name, uint32_t scope, uint32_t& at);
  bool parameter_address(const VarPlace& place, const ast::Operand& op, Inst& in, uint32_t bytes, bool write);

  // Control: lower_control.cc
  bool branch(Words& w);
  bool branch_table(Words& w);
  bool call(Words& w);
  bool direct_call(Function* callee, std::string_view name, const ast::Operand* returns, const ast::Operand* args);
  bool param_list(const ast::Operand* list, std::vector<uint32_t>& offsets, std::vector<uint32_t>& bytes);
  bool lower_control(Words& w, bool& known);

  const ast::Function& fn_;
  Function& out_;
  const Symbols& symbols_;
  ConstantPool& constants_;
  const std::unordered_map<uint32_t, uint64_t>& shared_offsets_;
  std::vector<Ref> registers_;
  std::vector<VarPlace> places_;
  std::vector<uint32_t> begins_;                         // code index of each instruction of the text
  std::vector<std::pair<uint32_t, uint32_t>> branches_;  // code index, text index
  struct TableUse {
    std::vector<const Inst*>* table;
    std::vector<uint32_t> at;
  };
  std::vector<TableUse> table_uses_;
  std::map<std::pair<uint32_t, uint32_t>, Ref> scratch_;
  uint64_t frame_ = 0;
  const ast::Instruction* current_ = nullptr;
  uint32_t helpers_ = 0;  // scratch registers that the instruction in hand uses already
  std::map<std::pair<uint32_t, std::string_view>, uint32_t> labels_;  // scope and name to text index
  std::vector<std::string> errors_;
};

// The families. `known` false: the name is none of theirs.
bool lower_integer(Lowering& low, Words& w, bool& known);
bool lower_float(Lowering& low, Words& w, bool& known);
bool lower_convert(Lowering& low, Words& w, bool& known);
bool lower_memory(Lowering& low, Words& w, bool& known);
bool lower_warp(Lowering& low, Words& w, bool& known);
bool lower_mbarrier(Lowering& low, Words& w, bool& known);
bool lower_matrix(Lowering& low, Words& w, bool& known);
bool lower_tile(Lowering& low, Words& w, bool& known);
bool lower_copy_arrival(Lowering& low, Words& w);  // cp.async.mbarrier
bool lower_bulk_copy(Lowering& low, Words& w);     // cp.async.bulk

// registers.cc: a slot for each register the body mentions; those that live within one basic block share slots.
// Answers the bytes of the frame; `slots` in the order of fn.regs, byte offsets.
uint64_t assign_slots(const ast::Function& fn, std::vector<Ref>& slots, uint32_t& register_count);

// runtime.cc: functions that every CUDA program may call without defining them (vprintf, malloc, …); null: none such.
Handler runtime_function(std::string_view name, size_t params, size_t returns);

}  // namespace nm::softgpu::ptx
