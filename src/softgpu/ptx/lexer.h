// PTX text into tokens. Views point into the text, which must outlive them.
#pragma once

#include <cstdint>
#include <string_view>

namespace nm::softgpu::ptx {

struct Token {
  enum class Kind : uint8_t {
    end,
    name,     // foo, %r1, $L__BB0_1, _
    dot,      // .f32, .shared::cta, .L2::128B (text without the dot)
    integer,  // bits
    real,     // bits: of the f32 for 0fXXXXXXXX (single), of the f64 otherwise
    string,   // text between the quotes
    punct,    // one character, in text
    bad,      // a character that PTX does not have
  };
  Kind kind = Kind::end;
  bool single = false;
  uint32_t line = 0;
  uint64_t bits = 0;
  std::string_view text;

  bool is(char punct) const { return kind == Kind::punct && text[0] == punct; }
  bool is_dot(std::string_view word) const { return kind == Kind::dot && text == word; }
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Token next();

 private:
  void skip_blank();
  Token number();
  Token make(Token::Kind kind, size_t begin) const;

  std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1;
};

}  // namespace nm::softgpu::ptx
