// Module scope: versions, variables, function heads. Bodies are parser_body.cc's.
#include "softgpu/ptx/parser.h"

#include <bit>

#include "softgpu/ptx/parser_body.h"
#include "softgpu/ptx/token_stream.h"

namespace nm::softgpu::ptx {
namespace {

class UnitParser {
 public:
  explicit UnitParser(std::string_view text) : in_(text) {}

  Result<ast::Unit> parse() {
    while (!in_.failed() && !in_.at_end()) item();
    if (!in_.failed() && unit_.version == 0) in_.fail("no .version directive: this is not PTX");
    if (in_.failed()) return Error{in_.error()};
    return std::move(unit_);
  }

 private:
  struct Linkage {
    bool visible = false, is_extern = false, weak = false, common = false;
  };

  bool item();
  bool function(bool entry, const Linkage& linkage);
  bool head_parameters(ast::Function& fn, std::vector<uint32_t>& list);
  bool dims(std::array<uint32_t, 3>& out);
  bool skip_section();

  TokenStream in_;
  ast::Unit unit_;
};

bool UnitParser::skip_section() {
  while (!in_.at_end() && !in_.current().is('{')) in_.take();
  int depth = 0;
  do {
    if (in_.at_end()) return in_.fail("section without an end");
    if (in_.current().is('{')) ++depth;
    if (in_.current().is('}')) --depth;
    in_.take();
  } while (depth > 0);
  return true;
}

bool UnitParser::dims(std::array<uint32_t, 3>& out) {
  out = {1, 1, 1};
  for (size_t i = 0; i < 3; ++i) {
    uint64_t value = in_.expect_integer();
    if (in_.failed()) return false;
    if (value == 0 || value > 1 << 20) return in_.fail("dimension out of range");
    out[i] = static_cast<uint32_t>(value);
    if (i < 2 && !in_.accept(',')) break;
  }
  return true;
}

bool UnitParser::head_parameters(ast::Function& fn, std::vector<uint32_t>& list) {
  if (in_.accept(')')) return true;
  do {
    ast::Variable var;
    if (!parse_parameter(in_, var)) return false;
    if (var.bytes() == 0 || var.bytes() > 65536)
      return in_.fail("parameter " + std::string(var.name) + " has a size that is not supported");
    list.push_back(static_cast<uint32_t>(fn.vars.size()));
    fn.vars.push_back(std::move(var));
    if (list.size() > 4096) return in_.fail("too many parameters");
  } while (in_.accept(','));
  return in_.expect(')');
}

bool UnitParser::function(bool entry, const Linkage& linkage) {
  ast::Function fn;
  fn.line = in_.current().line;
  fn.is_entry = entry;
  fn.visible = linkage.visible;
  fn.is_extern = linkage.is_extern;
  fn.weak = linkage.weak;
  if (!entry && in_.accept('(') && !head_parameters(fn, fn.returns)) return false;
  fn.name = in_.expect_name();
  if (in_.accept('(') && !head_parameters(fn, fn.params)) return false;
  while (in_.current().kind == Token::Kind::dot) {
    Token dot = in_.take();
    if (dot.text == "maxntid") {
      if (!dims(fn.maxntid)) return false;
    } else if (dot.text == "reqntid") {
      if (!dims(fn.reqntid)) return false;
    } else if (dot.text == "reqnctapercluster") {
      if (!dims(fn.cluster)) return false;
    } else if (dot.text == "minnctapersm") {
      fn.min_blocks = static_cast<uint32_t>(in_.expect_integer());
    } else if (dot.text == "maxnreg" || dot.text == "maxclusterrank" || dot.text == "maxnctapersm") {
      in_.expect_integer();
    } else if (dot.text == "abi_preserve" || dot.text == "abi_preserve_control") {
      in_.expect_integer();
    } else if (dot.text == "pragma") {
      while (!in_.at_end() && !in_.accept(';')) in_.take();
    } else if (dot.text == "attribute") {
      while (!in_.at_end() && !in_.current().is(';') && !in_.current().is('{')) in_.take();
    } else if (dot.text != "noreturn" && dot.text != "explicitcluster" && dot.text != "blocksareclusters" &&
               dot.text != "unique") {
      return in_.fail_at(dot.line, "unsupported directive \"." + std::string(dot.text) + "\"");
    }
  }
  if (in_.accept('{')) {
    fn.defined = true;
    BodyParser body(in_, fn);
    for (uint32_t var : fn.returns) body.declare(var);
    for (uint32_t var : fn.params) body.declare(var);
    if (!body.parse()) return false;
  } else if (!in_.expect(';')) {
    return false;
  }
  unit_.functions.push_back(std::move(fn));
  return true;
}

bool UnitParser::item() {
  Linkage linkage;
  for (;;) {
    if (in_.accept_dot("visible"))
      linkage.visible = true;
    else if (in_.accept_dot("extern"))
      linkage.is_extern = true;
    else if (in_.accept_dot("weak"))
      linkage.weak = true;
    else if (in_.accept_dot("common"))
      linkage.common = true;
    else
      break;
  }
  if (in_.accept(';')) return true;
  if (in_.current().kind != Token::Kind::dot) return in_.fail("syntax error near " + in_.shown());
  Token dot = in_.take();
  if (dot.text == "version") {
    Token number = in_.take();
    double value = 0;
    if (number.kind == Token::Kind::real && !number.single) value = std::bit_cast<double>(number.bits);
    if (value < 1 || value > 1000) return in_.fail_at(number.line, "expected a version number");
    unit_.version = static_cast<uint32_t>(value * 10 + 0.5);
    return true;
  }
  if (unit_.version == 0)
    return in_.fail_at(dot.line, "no .version directive before \"." + std::string(dot.text) + "\"");
  if (dot.text == "target") {
    do {
      std::string_view name = in_.expect_name();
      if (name.starts_with("sm_")) {
        for (char c : name.substr(3, 3)) {
          if (c >= '0' && c <= '9') unit_.target = unit_.target * 10 + (c - '0');
        }
      }
    } while (in_.accept(','));
    return !in_.failed();
  }
  if (dot.text == "address_size") {
    if (in_.expect_integer() != 64) return in_.fail_at(dot.line, "only .address_size 64 is supported");
    return !in_.failed();
  }
  if (dot.text == "entry") return function(true, linkage);
  if (dot.text == "func") return function(false, linkage);
  if (dot.text == "file" || dot.text == "loc") {
    if (in_.current().line == dot.line) in_.skip_line();
    return true;
  }
  if (dot.text == "section") return skip_section();
  if (dot.text == "pragma") {
    while (!in_.at_end() && !in_.current().is(';')) in_.take();
    return in_.expect(';');
  }
  if (dot.text == "alias") {
    std::string_view name = in_.expect_name();
    in_.expect(',');
    unit_.aliases.emplace_back(name, in_.expect_name());
    return in_.expect(';');
  }
  ast::Variable var;
  if (dot.text == "global")
    var.space = Space::global;
  else if (dot.text == "const")
    var.space = Space::constant;
  else if (dot.text == "shared")
    var.space = Space::shared;
  else
    return in_.fail_at(dot.line, "unsupported directive \"." + std::string(dot.text) + "\"");
  var.visible = linkage.visible;
  var.is_extern = linkage.is_extern;
  var.weak = linkage.weak;
  var.common = linkage.common;
  if (!parse_variable(in_, var)) return false;
  if (unit_.variables.size() > 1 << 20) return in_.fail("too many variables");
  unit_.variables.push_back(std::move(var));
  return in_.expect(';');
}

}  // namespace

Result<ast::Unit> parse(std::string_view text) {
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  if (text.size() > (size_t{256} << 20)) return Error{"line 1: the text is larger than 256 MiB"};
  return UnitParser(text).parse();
}

}  // namespace nm::softgpu::ptx
