#include "softgpu/ptx/format.h"

#include <cstdio>
#include <vector>

namespace nm::softgpu::ptx {
namespace {

constexpr size_t kMaxString = 65536;

bool one_of(char c, const char* set) {
  for (; *set; ++set) {
    if (*set == c) return true;
  }
  return false;
}

class Formatter {
 public:
  Formatter(Exec& x, uint32_t lane, uint64_t buffer) : x_(x), lane_(lane), at_(buffer) {}

  template <class T>
  bool argument(T& value) {
    at_ = (at_ + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    if (!readable(x_, lane_, at_, sizeof(T), false)) {
      x_.raise(Fault::illegal_address, lane_, "printf: the arguments are in no device memory");
      return false;
    }
    std::memcpy(&value, reinterpret_cast<const void*>(at_), sizeof(T));
    at_ += sizeof(T);
    return true;
  }

  // One conversion, `spec` from % through its letter without length words; `longs`: how many l, 8 for ll.
  bool convert(std::string spec, int length, std::string& out) {
    char letter = spec.back();
    char text[512];
    if (one_of(letter, "di") || one_of(letter, "uxXoc")) {
      const bool sign = one_of(letter, "dic");
      if (length >= 8 && letter != 'c') {
        uint64_t value = 0;
        if (!argument(value)) return false;
        spec.insert(spec.size() - 1, "ll");
        std::snprintf(text, sizeof text, spec.c_str(), static_cast<unsigned long long>(value));
      } else {
        uint32_t value = 0;
        if (!argument(value)) return false;
        if (length == 1) value = sign ? static_cast<uint32_t>(static_cast<int8_t>(value)) : value & 0xff;
        if (length == 2) value = sign ? static_cast<uint32_t>(static_cast<int16_t>(value)) : value & 0xffff;
        std::snprintf(text, sizeof text, spec.c_str(), value);
      }
    } else if (one_of(letter, "fFeEgGaA")) {
      double value = 0;
      if (!argument(value)) return false;
      std::snprintf(text, sizeof text, spec.c_str(), value);
    } else if (letter == 'p') {
      uint64_t value = 0;
      if (!argument(value)) return false;
      std::snprintf(text, sizeof text, spec.c_str(), reinterpret_cast<void*>(value));
    } else if (letter == 's') {
      uint64_t value = 0;
      if (!argument(value)) return false;
      std::string string = "(null)";
      if (value != 0) {
        auto read = device_string(x_, lane_, value);
        if (!read) return false;
        string = std::move(*read);
      }
      std::vector<char> big(string.size() + 512);
      std::snprintf(big.data(), big.size(), spec.c_str(), string.c_str());
      out += big.data();
      return true;
    } else {
      out += spec;
      return true;
    }
    out += text;
    return true;
  }

 private:
  Exec& x_;
  uint32_t lane_;
  uint64_t at_;
};

}  // namespace

std::optional<std::string> device_string(Exec& x, uint32_t lane, uint64_t address) {
  std::string text;
  while (text.size() < kMaxString) {
    if (!readable(x, lane, address, 1, false)) {
      x.raise(Fault::illegal_address, lane, "printf: a string is in no device memory");
      return std::nullopt;
    }
    const char c = *reinterpret_cast<const char*>(address++);
    if (c == '\0') break;
    text += c;
  }
  return text;
}

std::optional<std::string> format_device(Exec& x, uint32_t lane, uint64_t format, uint64_t buffer, int& arguments) {
  auto text = device_string(x, lane, format);
  if (!text) return std::nullopt;
  Formatter formatter(x, lane, buffer);
  std::string out;
  arguments = 0;
  for (size_t i = 0; i < text->size(); ++i) {
    if ((*text)[i] != '%') {
      out += (*text)[i];
      continue;
    }
    std::string spec = "%";
    size_t at = i + 1;
    int width = 0;
    auto peek = [&]() { return at < text->size() ? (*text)[at] : '\0'; };
    while (one_of(peek(), "-+ #0") && peek() != '\0') spec += (*text)[at++];
    bool precise = false;
    for (;; ++at) {
      const char c = peek();
      if (c == '*') {
        int32_t value = 0;
        if (!formatter.argument(value)) return std::nullopt;
        ++arguments;
        value = value > 300 ? 300 : value < -300 ? -300 : value;
        spec += std::to_string(value);
      } else if (c == '.' && !precise) {
        precise = true;
        spec += c;
        width = 0;
      } else if (c >= '0' && c <= '9') {
        width = width * 10 + (c - '0');
        if (width > 300) continue;  // a longer field is cut
        spec += c;
      } else {
        break;
      }
    }
    int length = 4;
    for (; one_of(peek(), "hljztL") && peek() != '\0'; ++at) {
      const char c = peek();
      if (c == 'h')
        length = length == 2 ? 1 : 2;
      else if (c != 'L')
        length = 8;
    }
    const char letter = peek();
    if (letter == '\0') {
      out += text->substr(i);
      break;
    }
    if (letter == '%') {
      out += '%';
    } else {
      if (!formatter.convert(spec + letter, length, out)) return std::nullopt;
      ++arguments;
    }
    i = at;
  }
  return out;
}

}  // namespace nm::softgpu::ptx
