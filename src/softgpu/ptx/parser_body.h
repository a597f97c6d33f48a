// The inside of a function: scopes, declarations, labels, instructions.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "softgpu/ptx/ast.h"
#include "softgpu/ptx/token_stream.h"

namespace nm::softgpu::ptx {

// [+-]number with + - * << >> & | and parentheses; false and an error in the stream when there is none.
bool parse_integer(TokenStream& in, uint64_t& value, int depth = 0);

// What may follow a state space word: .align N, .v4, .type, .ptr …, name, [dimensions], = initialiser.
// Leaves the stream at what follows. `dims` of the array, for nested initialisers.
bool parse_variable(TokenStream& in, ast::Variable& var);
// The same for what stands in the parentheses of a function, from ".param".
bool parse_parameter(TokenStream& in, ast::Variable& var);

class BodyParser {
 public:
  BodyParser(TokenStream& in, ast::Function& function) : in_(in), fn_(function) {}
  void declare(uint32_t var);  // a parameter
  bool parse();                // after the opening brace, through the closing one

 private:
  struct Scope {
    uint32_t id = 0;
    std::unordered_map<std::string_view, ast::Operand> names;
    std::unordered_map<std::string_view, std::pair<Type, uint64_t>> ranges;  // %r<100>
  };

  bool statement();
  bool directive();
  bool registers();
  bool instruction();
  bool operand(ast::Operand& out, int depth);
  bool plain_operand(ast::Operand& out, int depth);
  bool address(ast::Operand& out, int depth);
  bool items(std::vector<ast::Operand>& out, char close, int depth);
  bool prototype(std::string_view label);
  bool parameters(std::vector<ast::Variable>& out);
  void open_scope();
  // A register or a variable of the enclosing scopes; anything else stays a name.
  ast::Operand resolve(std::string_view name);

  TokenStream& in_;
  ast::Function& fn_;
  std::vector<Scope> scopes_{Scope{}};
};

}  // namespace nm::softgpu::ptx
