// Variables, their types, dimensions and initialisers; constant expressions.
#include <bit>
#include <string>

#include "softgpu/ptx/parser_body.h"

namespace nm::softgpu::ptx {
namespace {

constexpr int kMaxDepth = 24;
constexpr uint64_t kMaxBytes = uint64_t{1} << 36;

bool primary(TokenStream& in, uint64_t& value, int depth) {
  if (depth > kMaxDepth) return in.fail("expression nested too deeply");
  if (in.accept('-')) {
    if (!primary(in, value, depth + 1)) return false;
    value = 0 - value;
    return true;
  }
  if (in.accept('+')) return primary(in, value, depth + 1);
  if (in.accept('~')) {
    if (!primary(in, value, depth + 1)) return false;
    value = ~value;
    return true;
  }
  if (in.accept('(')) return parse_integer(in, value, depth + 1) && in.expect(')');
  if (in.current().kind != Token::Kind::integer) return in.fail("expected a number before " + in.shown());
  value = in.take().bits;
  return true;
}

bool initial_value(TokenStream& in, ast::Initial& out) {
  const Token& token = in.current();
  bool minus = token.is('-') && in.ahead().kind == Token::Kind::real;
  if (minus) in.take();
  if (in.current().kind == Token::Kind::real) {
    Token real = in.take();
    out.real = true;
    out.single = real.single;
    out.bits = real.bits ^ (minus ? (real.single ? 0x80000000ull : 1ull << 63) : 0);
    return true;
  }
  if (token.kind == Token::Kind::integer && in.ahead().is('(')) {  // 0xFF00(symbol)
    uint64_t mask = in.take().bits;
    in.take();
    int shift = mask ? std::countr_zero(mask) : 0;
    if (mask == 0 || mask >> shift != 0xFF) return in.fail("unsupported address mask");
    out.masked = true;
    out.mask_shift = static_cast<uint8_t>(shift);
    bool generic = in.current().text == "generic" && in.ahead().is('(');
    if (generic) {
      in.take();
      in.take();
    }
    out.symbol = in.expect_name();
    if (generic && !in.expect(')')) return false;
    return in.expect(')');
  }
  if (token.kind == Token::Kind::name) {
    bool generic = token.text == "generic" && in.ahead().is('(');
    if (generic) {
      in.take();
      in.take();
    }
    out.symbol = in.expect_name();
    if (generic && !in.expect(')')) return false;
    if (in.current().is('+') || in.current().is('-')) return parse_integer(in, out.bits);
    return !in.failed();
  }
  return parse_integer(in, out.bits);
}

// Rows of nested braces are padded to their dimension.
bool initial_list(TokenStream& in, ast::Variable& var, const std::vector<uint64_t>& dims, size_t level, int depth) {
  if (depth > kMaxDepth) return in.fail("initialiser nested too deeply");
  uint64_t row = 1;
  for (size_t i = level; i < dims.size(); ++i) row *= dims[i];
  size_t begin = var.initial.size();
  if (!in.current().is('}')) {
    do {
      if (in.accept('{')) {
        if (!initial_list(in, var, dims, level + 1, depth + 1) || !in.expect('}')) return false;
      } else {
        ast::Initial value;
        if (!initial_value(in, value)) return false;
        var.initial.push_back(value);
      }
      if (var.count != 0 && var.initial.size() > var.count)
        return in.fail("too many initialisers for " + std::string(var.name));
    } while (in.accept(','));
  }
  if (level > 0 && level < dims.size() && row != 0) {
    while (var.initial.size() < begin + row && var.initial.size() < var.count) var.initial.push_back({});
  }
  return true;
}

}  // namespace

bool parse_integer(TokenStream& in, uint64_t& value, int depth) {
  if (!primary(in, value, depth)) return false;
  for (;;) {
    char op = 0;
    for (char c : {'+', '-', '*', '&', '|', '^'}) {
      if (in.current().is(c)) op = c;
    }
    if (!op && (in.current().is('<') || in.current().is('>')) && in.ahead().is(in.current().text[0])) {
      op = in.take().text[0];
    }
    if (!op) return true;
    in.take();
    uint64_t right = 0;
    if (!primary(in, right, depth + 1)) return false;
    switch (op) {
      case '+':
        value += right;
        break;
      case '-':
        value -= right;
        break;
      case '*':
        value *= right;
        break;
      case '&':
        value &= right;
        break;
      case '|':
        value |= right;
        break;
      case '^':
        value ^= right;
        break;
      case '<':
        value = right < 64 ? value << right : 0;
        break;
      case '>':
        value = right < 64 ? value >> right : 0;
        break;
    }
  }
}

bool parse_variable(TokenStream& in, ast::Variable& var) {
  var.line = in.current().line;
  uint64_t vector = 1;
  while (in.current().kind == Token::Kind::dot) {
    Token dot = in.take();
    if (dot.text == "align") {
      uint64_t align = in.expect_integer();
      if (align == 0 || align > 4096 || !std::has_single_bit(align))
        return in.fail("alignment must be a power of two up to 4096");
      if (var.type == Type::none) var.align = static_cast<uint32_t>(align);  // after .ptr it is the pointee's
    } else if (dot.text == "v2" || dot.text == "v4") {
      vector = dot.text[1] - '0';
    } else if (dot.text == "ptr" || dot.text == "global" || dot.text == "shared" || dot.text == "const" ||
               dot.text == "local") {
      if (var.type == Type::none) return in.fail("expected a type before \"." + std::string(dot.text) + "\"");
    } else if (dot.text == "attribute") {
      if (!in.expect('(')) return false;
      while (!in.at_end() && !in.current().is(')')) {
        if (in.current().is_dot("managed")) var.managed = true;
        in.take();
        if (in.accept('(')) {
          while (!in.at_end() && !in.accept(')')) in.take();
        }
      }
      if (!in.expect(')')) return false;
    } else if (auto type = type_named(dot.text); type && var.type == Type::none) {
      var.type = *type;
    } else {
      return in.fail_at(dot.line, "unsupported \"." + std::string(dot.text) + "\" in a declaration");
    }
  }
  if (var.type == Type::none || var.type == Type::pred) return in.fail("a variable needs a type in memory");
  var.name = in.expect_name();
  uint64_t total = vector;
  std::vector<uint64_t> dims;
  while (in.accept('[')) {
    uint64_t dim = 0;
    if (!in.current().is(']') && !parse_integer(in, dim)) return false;
    if (!in.expect(']')) return false;
    if (dim != 0 && total > kMaxBytes / dim) return in.fail("array " + std::string(var.name) + " is too large");
    if (dims.size() >= 16) return in.fail("too many dimensions");
    dims.push_back(dim);
    total *= dim;
  }
  if (total * size_of(var.type) > kMaxBytes) return in.fail("variable " + std::string(var.name) + " is too large");
  var.count = total;
  if (var.align == 0) var.align = size_of(var.type) * static_cast<uint32_t>(vector);
  if (in.accept('=')) {
    if (in.accept('{')) {
      if (!initial_list(in, var, dims, 0, 0) || !in.expect('}')) return false;
    } else {
      ast::Initial value;
      if (!initial_value(in, value)) return false;
      var.initial.push_back(value);
    }
    if (var.count == 0) var.count = var.initial.size();
  }
  return !in.failed();
}

bool parse_parameter(TokenStream& in, ast::Variable& var) {
  if (!in.accept_dot("param")) return in.fail("only .param parameters are supported, not " + in.shown());
  var.space = Space::param;
  return parse_variable(in, var);
}

}  // namespace nm::softgpu::ptx
