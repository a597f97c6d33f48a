// What the parser makes of PTX text: names of registers and local variables resolved, instructions still in words.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "softgpu/ptx/types.h"

namespace nm::softgpu::ptx::ast {

struct Operand {
  enum class Kind : uint8_t {
    name,     // module symbol, label or special register; `suffix` is x of %tid.x
    reg,      // index into Function::regs
    var,      // index into Function::vars
    integer,  // bits
    real,     // bits, as Token
    vector,   // items
    address,  // [items[0] + bits]; items[0] is reg, var, name or integer; more items: coordinates, which nothing supports
    pair,     // items[0] | items[1]
    list,     // (items)
    sink,     // _
  };
  Kind kind = Kind::name;
  bool negated = false;  // !p
  bool single = false;   // real: the literal was 0fXXXXXXXX
  uint32_t index = 0;
  uint64_t bits = 0;
  std::string_view name;
  std::string_view suffix;
  std::vector<Operand> items;
};

struct Instruction {
  uint32_t line = 0;
  uint32_t scope = 0;
  int32_t guard = -1;  // register
  bool guard_negated = false;
  std::string_view op;
  std::vector<std::string_view> mods;
  std::vector<Operand> operands;
};

struct Register {
  std::string_view name;
  Type type = Type::none;
};

// One value of an initialiser: a number, or the address of a symbol plus a number.
struct Initial {
  uint64_t bits = 0;
  bool real = false;
  bool single = false;
  std::string_view symbol;  // empty: plain number
  uint8_t mask_shift = 0;   // 0xFF(sym) style: byte number, with masked
  bool masked = false;
};

struct Variable {
  std::string_view name;
  uint32_t line = 0;
  Space space = Space::global;
  Type type = Type::none;
  uint64_t count = 1;  // elements of `type`, vector width included; zero: extern array of unknown size
  uint32_t align = 0;
  bool is_extern = false, visible = false, weak = false, managed = false, common = false;
  std::vector<Initial> initial;

  uint64_t bytes() const { return count * size_of(type); }
};

struct Label {
  std::string_view name;
  uint32_t scope = 0;
  uint32_t at = 0;  // index of the instruction that follows
};

// name: .branchtargets a, b;   .calltargets f, g;   .callprototype (...) _ (...);
struct Targets {
  std::string_view name;
  uint32_t scope = 0;
  uint32_t line = 0;
  std::vector<std::string_view> names;
};
struct Prototype {
  std::string_view name;
  std::vector<Variable> returns, params;
};

struct Function {
  std::string_view name;
  uint32_t line = 0;
  bool is_entry = false, defined = false;
  bool visible = false, is_extern = false, weak = false;
  std::vector<uint32_t> returns, params;  // into vars
  std::vector<Variable> vars;             // params, returns, and the body's .local, .shared, .param, …
  std::vector<Register> regs;             // those that the body mentions
  std::vector<Instruction> body;
  std::vector<Label> labels;
  std::vector<Targets> targets;
  std::vector<Prototype> prototypes;
  std::vector<uint32_t> scope_parents{0};
  std::array<uint32_t, 3> maxntid{}, reqntid{}, cluster{};
  uint32_t min_blocks = 0;
};

struct Unit {
  uint32_t version = 0;  // 90 for 9.0
  uint32_t target = 0;   // 75 for sm_75
  std::vector<Variable> variables;
  std::vector<Function> functions;
  std::vector<std::pair<std::string_view, std::string_view>> aliases;
};

}  // namespace nm::softgpu::ptx::ast
