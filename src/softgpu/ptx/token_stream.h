// Tokens with one of look-ahead, and the first error. Both halves of the parser read from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "softgpu/ptx/lexer.h"

namespace nm::softgpu::ptx {

class TokenStream {
 public:
  explicit TokenStream(std::string_view text) : lexer_(text), current_(lexer_.next()), ahead_(lexer_.next()) {}

  const Token& current() const { return current_; }
  const Token& ahead() const { return ahead_; }
  bool at_end() const { return current_.kind == Token::Kind::end; }
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

  Token take() {
    Token token = current_;
    current_ = ahead_;
    ahead_ = lexer_.next();
    return token;
  }
  bool accept(char punct) {
    if (!current_.is(punct)) return false;
    take();
    return true;
  }
  bool accept_dot(std::string_view word) {
    if (!current_.is_dot(word)) return false;
    take();
    return true;
  }
  bool expect(char punct) {
    if (accept(punct)) return true;
    return fail(std::string("expected '") + punct + "' before " + shown());
  }
  std::string_view expect_name() {
    if (current_.kind == Token::Kind::name) return take().text;
    fail("expected a name before " + shown());
    return {};
  }
  uint64_t expect_integer() {
    if (current_.kind == Token::Kind::integer) return take().bits;
    fail("expected a number before " + shown());
    return 0;
  }
  // Always false, so that `return fail(…)` reads well. After it the stream is at its end: loops stop by themselves.
  bool fail(const std::string& what) { return fail_at(current_.line, what); }
  bool fail_at(uint32_t line, const std::string& what) {
    if (error_.empty()) error_ = "line " + std::to_string(line) + ": " + what;
    current_ = ahead_ = Token{};
    lexer_ = Lexer({});
    return false;
  }
  void skip_line() {
    uint32_t line = current_.line;
    while (!at_end() && current_.line == line) take();
  }
  std::string shown() const {
    if (at_end()) return "the end of the text";
    return "\"" + std::string(current_.text.substr(0, 60)) + "\"";
  }

 private:
  Lexer lexer_;
  Token current_, ahead_;
  std::string error_;
};

}  // namespace nm::softgpu::ptx
