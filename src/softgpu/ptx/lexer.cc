#include "softgpu/ptx/lexer.h"

#include <bit>
#include <cstdlib>
#include <string>

namespace nm::softgpu::ptx {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool word(char c) { return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; }

int hex(char c) {
  if (digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void Lexer::skip_blank() {
  while (at_ < text_.size()) {
    char c = text_[at_];
    if (c == '\n') {
      ++line_;
      ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
      ++at_;
    } else if (c == '/' && at_ + 1 < text_.size() && text_[at_ + 1] == '/') {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (c == '/' && at_ + 1 < text_.size() && text_[at_ + 1] == '*') {
      at_ += 2;
      while (at_ < text_.size() && !(text_[at_] == '*' && at_ + 1 < text_.size() && text_[at_ + 1] == '/')) {
        if (text_[at_] == '\n') ++line_;
        ++at_;
      }
      at_ = at_ + 2 < text_.size() ? at_ + 2 : text_.size();
    } else {
      return;
    }
  }
}

Token Lexer::make(Token::Kind kind, size_t begin) const {
  Token token;
  token.kind = kind;
  token.line = line_;
  token.text = text_.substr(begin, at_ - begin);
  return token;
}

// 12, 0x1F, 017, 0b101, with U; 1.5, 1e3; 0f3F800000, 0d3FF0000000000000.
Token Lexer::number() {
  size_t begin = at_;
  auto at = [&](size_t i) { return i < text_.size() ? text_[i] : '\0'; };
  char second = at(at_ + 1);
  if (at(at_) == '0' && (second == 'f' || second == 'F' || second == 'd' || second == 'D')) {
    bool single = second == 'f' || second == 'F';
    size_t wanted = single ? 8 : 16;
    uint64_t bits = 0;
    size_t have = 0;
    while (have < wanted && hex(at(begin + 2 + have)) >= 0) bits = bits << 4 | hex(at(begin + 2 + have++));
    if (have == wanted) {
      at_ = begin + 2 + have;
      Token token = make(Token::Kind::real, begin);
      token.single = single;
      token.bits = bits;
      return token;
    }
  }
  uint64_t value = 0;
  if (at(at_) == '0' && (second == 'x' || second == 'X')) {
    at_ += 2;
    while (hex(at(at_)) >= 0) value = value << 4 | hex(at(at_++));
  } else if (at(at_) == '0' && (second == 'b' || second == 'B')) {
    at_ += 2;
    while (at(at_) == '0' || at(at_) == '1') value = value << 1 | (at(at_++) - '0');
  } else {
    while (digit(at(at_))) ++at_;
    bool real = at(at_) == '.' && digit(at(at_ + 1));
    if (real) {
      ++at_;
      while (digit(at(at_))) ++at_;
    }
    char e = at(at_);
    if ((e == 'e' || e == 'E') &&
        (digit(at(at_ + 1)) || ((at(at_ + 1) == '-' || at(at_ + 1) == '+') && digit(at(at_ + 2))))) {
      real = true;
      at_ += 2;
      while (digit(at(at_))) ++at_;
    }
    if (real) {
      Token token = make(Token::Kind::real, begin);
      token.bits = std::bit_cast<uint64_t>(std::strtod(std::string(token.text.substr(0, 64)).c_str(), nullptr));
      return token;
    }
    bool octal = text_[begin] == '0';
    for (size_t i = begin; i < at_; ++i) value = value * (octal ? 8 : 10) + (text_[i] - '0');
  }
  if (at(at_) == 'U') ++at_;
  Token token = make(Token::Kind::integer, begin);
  token.bits = value;
  return token;
}

Token Lexer::next() {
  skip_blank();
  size_t begin = at_;
  if (at_ >= text_.size()) return make(Token::Kind::end, begin);
  char c = text_[at_];
  if (digit(c)) return number();
  if (word(c) || (c == '%' && at_ + 1 < text_.size() && word(text_[at_ + 1]))) {
    ++at_;
    while (at_ < text_.size() && word(text_[at_])) ++at_;
    return make(Token::Kind::name, begin);
  }
  if (c == '.' && at_ + 1 < text_.size() && word(text_[at_ + 1])) {
    ++at_;
    while (at_ < text_.size()) {
      if (word(text_[at_])) {
        ++at_;
      } else if (text_[at_] == ':' && at_ + 2 < text_.size() && text_[at_ + 1] == ':' && word(text_[at_ + 2])) {
        at_ += 2;
      } else {
        break;
      }
    }
    return make(Token::Kind::dot, begin + 1);
  }
  if (c == '"') {
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') ++at_;
    Token token = make(Token::Kind::string, begin + 1);
    if (at_ >= text_.size() || text_[at_] == '\n') {
      token.kind = Token::Kind::bad;
    } else {
      ++at_;
    }
    return token;
  }
  ++at_;
  return make(std::string_view("(){}[]<>,;:@!|&^~+-*/%=?").find(c) != std::string_view::npos ? Token::Kind::punct
                                                                                             : Token::Kind::bad,
              begin);
}

}  // namespace nm::softgpu::ptx
