#include "softgpu/ptx/parser_body.h"

#include <algorithm>

namespace nm::softgpu::ptx {
namespace {

constexpr size_t kMaxScopes = 100000, kMaxDepth = 48, kMaxRegisters = 1 << 20, kMaxInstructions = 4 << 20;
constexpr size_t kMaxOperands = 64;

std::optional<Space> space_named(std::string_view word) {
  if (word == "local") return Space::local;
  if (word == "shared" || word == "shared::cta") return Space::shared;
  if (word == "param") return Space::param;
  if (word == "global") return Space::global;
  if (word == "const") return Space::constant;
  return std::nullopt;
}

}  // namespace

void BodyParser::declare(uint32_t var) {
  ast::Operand operand;
  operand.kind = ast::Operand::Kind::var;
  operand.index = var;
  operand.name = fn_.vars[var].name;
  scopes_.back().names[operand.name] = operand;
}

void BodyParser::open_scope() {
  Scope scope;
  scope.id = static_cast<uint32_t>(fn_.scope_parents.size());
  fn_.scope_parents.push_back(scopes_.back().id);
  scopes_.push_back(std::move(scope));
}

bool BodyParser::parse() {
  open_scope();
  while (scopes_.size() > 1) {
    if (in_.failed() || in_.at_end()) return in_.fail("expected '}' before " + in_.shown());
    if (in_.accept('{')) {
      if (scopes_.size() > kMaxDepth || fn_.scope_parents.size() > kMaxScopes)
        return in_.fail("too many nested blocks");
      open_scope();
    } else if (in_.accept('}')) {
      scopes_.pop_back();
    } else if (!statement()) {
      return false;
    }
  }
  return true;
}

bool BodyParser::statement() {
  const Token& token = in_.current();
  if (token.is(';')) return in_.accept(';');
  if (token.kind == Token::Kind::dot) return directive();
  if (token.kind == Token::Kind::name && in_.ahead().is(':')) {
    Token name = in_.take();
    in_.take();
    const Token& next = in_.current();
    if (next.is_dot("branchtargets") || next.is_dot("calltargets")) {
      ast::Targets targets{name.text, scopes_.back().id, name.line, {}};
      in_.take();
      do {
        targets.names.push_back(in_.expect_name());
        if (targets.names.size() > 65536) return in_.fail("too many targets");
      } while (in_.accept(','));
      fn_.targets.push_back(std::move(targets));
      return in_.expect(';');
    }
    if (next.is_dot("callprototype")) return prototype(name.text);
    fn_.labels.push_back({name.text, scopes_.back().id, static_cast<uint32_t>(fn_.body.size())});
    return true;
  }
  return instruction();
}

bool BodyParser::parameters(std::vector<ast::Variable>& out) {
  if (in_.accept(')')) return true;
  do {
    ast::Variable var;
    if (!parse_parameter(in_, var)) return false;
    out.push_back(std::move(var));
    if (out.size() > 4096) return in_.fail("too many parameters");
  } while (in_.accept(','));
  return in_.expect(')');
}

bool BodyParser::prototype(std::string_view label) {
  in_.take();
  ast::Prototype proto;
  proto.name = label;
  if (in_.accept('(') && !parameters(proto.returns)) return false;
  in_.expect_name();
  if (in_.accept('(') && !parameters(proto.params)) return false;
  while (in_.current().kind == Token::Kind::dot) {  // .noreturn, .abi_preserve N
    in_.take();
    if (in_.current().kind == Token::Kind::integer) in_.take();
  }
  fn_.prototypes.push_back(std::move(proto));
  return in_.expect(';');
}

bool BodyParser::registers() {
  Token type = in_.take();
  auto named = type_named(type.text);
  if (!named || type.kind != Token::Kind::dot)
    return in_.fail_at(type.line, "unsupported register type \"." + std::string(type.text) + "\"");
  do {
    std::string_view name = in_.expect_name();
    if (in_.accept('<')) {
      uint64_t count = in_.expect_integer();
      if (!in_.expect('>')) return false;
      scopes_.back().ranges[name] = {*named, count};
    } else {
      ast::Operand reg;
      reg.kind = ast::Operand::Kind::reg;
      reg.index = static_cast<uint32_t>(fn_.regs.size());
      reg.name = name;
      fn_.regs.push_back({name, *named});
      scopes_.back().names[name] = reg;
    }
    if (fn_.regs.size() > kMaxRegisters) return in_.fail("too many registers");
  } while (!in_.failed() && in_.accept(','));
  return in_.expect(';');
}

bool BodyParser::directive() {
  Token dot = in_.take();
  if (dot.text == "reg") return registers();
  if (dot.text == "loc" || dot.text == "file") {
    if (in_.current().line == dot.line) in_.skip_line();
    return !in_.failed();
  }
  if (dot.text == "pragma") {
    while (!in_.at_end() && !in_.current().is(';')) in_.take();
    return in_.expect(';');
  }
  auto space = space_named(dot.text);
  if (!space) return in_.fail_at(dot.line, "unsupported directive \"." + std::string(dot.text) + "\"");
  ast::Variable first;
  first.space = *space;
  if (!parse_variable(in_, first)) return false;
  fn_.vars.push_back(std::move(first));
  declare(static_cast<uint32_t>(fn_.vars.size() - 1));
  if (fn_.vars.size() > kMaxRegisters) return in_.fail("too many variables");
  if (in_.current().is(',')) return in_.fail("one variable a declaration, please");
  return in_.expect(';');
}

ast::Operand BodyParser::resolve(std::string_view name) {
  for (size_t i = scopes_.size(); i-- > 0;) {
    Scope& scope = scopes_[i];
    if (auto found = scope.names.find(name); found != scope.names.end()) return found->second;
    size_t digits = 0;
    while (digits < name.size() && digits < 10 && name[name.size() - 1 - digits] >= '0' &&
           name[name.size() - 1 - digits] <= '9')
      ++digits;
    for (size_t n = digits; n > 0 && !scope.ranges.empty(); --n) {
      auto range = scope.ranges.find(name.substr(0, name.size() - n));
      if (range == scope.ranges.end()) continue;
      uint64_t number = 0;
      for (char c : name.substr(name.size() - n)) number = number * 10 + (c - '0');
      if (number >= range->second.second) continue;
      ast::Operand reg;
      reg.kind = ast::Operand::Kind::reg;
      reg.index = static_cast<uint32_t>(fn_.regs.size());
      reg.name = name;
      fn_.regs.push_back({name, range->second.first});
      scope.names[name] = reg;
      return reg;
    }
  }
  ast::Operand operand;
  operand.name = name;
  return operand;
}

bool BodyParser::items(std::vector<ast::Operand>& out, char close, int depth) {
  if (in_.accept(close)) return true;
  do {
    ast::Operand item;
    if (!operand(item, depth + 1)) return false;
    out.push_back(std::move(item));
    if (out.size() > 4096) return in_.fail("too many operands");
  } while (in_.accept(','));
  return in_.expect(close);
}

bool BodyParser::address(ast::Operand& out, int depth) {
  out.kind = ast::Operand::Kind::address;
  ast::Operand base;
  if (in_.current().kind == Token::Kind::name) {
    if (!plain_operand(base, depth + 1)) return false;
    out.bits = base.bits;  // sym+4
    base.bits = 0;
    if (in_.current().is('+') || in_.current().is('-')) {
      uint64_t more = 0;
      if (!parse_integer(in_, more)) return false;
      out.bits += more;
    }
  } else {
    base.kind = ast::Operand::Kind::integer;
    if (!parse_integer(in_, out.bits)) return false;
  }
  out.items.push_back(std::move(base));
  while (in_.accept(',')) {  // coordinates: of textures and tensors, whose instructions are refused by name later
    ast::Operand coordinate;
    if (!operand(coordinate, depth + 1)) return false;
    out.items.push_back(std::move(coordinate));
    if (out.items.size() > 8) return in_.fail("too many coordinates");
  }
  return in_.expect(']');
}

bool BodyParser::plain_operand(ast::Operand& out, int depth) {
  if (depth > 4) return in_.fail("operand nested too deeply");
  const Token& token = in_.current();
  if (token.kind == Token::Kind::name) {
    Token name = in_.take();
    if (name.text == "_") {
      out.kind = ast::Operand::Kind::sink;
      return true;
    }
    if (name.text == "generic" && in_.accept('(')) {
      out = resolve(in_.expect_name());
      return in_.expect(')');
    }
    out = resolve(name.text);
    if (in_.current().kind == Token::Kind::dot) out.suffix = in_.take().text;
    if (out.kind != ast::Operand::Kind::reg && (in_.current().is('+') || in_.current().is('-')))
      return parse_integer(in_, out.bits);
    return true;
  }
  bool minus = token.is('-') && in_.ahead().kind == Token::Kind::real;
  if (minus) in_.take();
  if (in_.current().kind == Token::Kind::real) {
    Token real = in_.take();
    out.kind = ast::Operand::Kind::real;
    out.single = real.single;
    out.bits = real.bits ^ (minus ? (real.single ? 0x80000000ull : 1ull << 63) : 0);
    return true;
  }
  out.kind = ast::Operand::Kind::integer;
  return parse_integer(in_, out.bits);
}

bool BodyParser::operand(ast::Operand& out, int depth) {
  if (depth > 4) return in_.fail("operand nested too deeply");
  if (in_.accept('[')) return address(out, depth);
  if (in_.accept('{')) {
    out.kind = ast::Operand::Kind::vector;
    return items(out.items, '}', depth);
  }
  if (in_.accept('(')) {
    out.kind = ast::Operand::Kind::list;
    return items(out.items, ')', depth);
  }
  bool negated = in_.accept('!');
  if (!plain_operand(out, depth)) return false;
  out.negated = negated;
  if (in_.current().is('|') && !negated) {
    in_.take();
    ast::Operand first = std::move(out);
    ast::Operand second;
    if (!plain_operand(second, depth + 1)) return false;
    out = {};
    out.kind = ast::Operand::Kind::pair;
    out.items.push_back(std::move(first));
    out.items.push_back(std::move(second));
  }
  return true;
}

bool BodyParser::instruction() {
  ast::Instruction ins;
  ins.line = in_.current().line;
  ins.scope = scopes_.back().id;
  if (in_.accept('@')) {
    ins.guard_negated = in_.accept('!');
    ast::Operand guard = resolve(in_.expect_name());
    if (in_.failed()) return false;
    if (guard.kind != ast::Operand::Kind::reg)
      return in_.fail("the guard " + std::string(guard.name) + " is not a register");
    ins.guard = static_cast<int32_t>(guard.index);
  }
  ins.line = in_.current().line;
  ins.op = in_.expect_name();
  while (in_.current().kind == Token::Kind::dot) {
    ins.mods.push_back(in_.take().text);
    if (ins.mods.size() > 24) return in_.fail("too many modifiers");
  }
  while (!in_.failed() && !in_.current().is(';')) {
    ast::Operand next;
    if (!operand(next, 0)) return false;
    ins.operands.push_back(std::move(next));
    if (ins.operands.size() > kMaxOperands) return in_.fail("too many operands");
    if (!in_.accept(',') && !in_.current().is(';')) return in_.fail("expected ',' or ';' before " + in_.shown());
  }
  if (!in_.expect(';')) return false;
  if (fn_.body.size() >= kMaxInstructions) return in_.fail("the function is too long");
  fn_.body.push_back(std::move(ins));
  return true;
}

}  // namespace nm::softgpu::ptx
