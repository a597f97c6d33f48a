// Which texts may be names, here and in sentences.
#pragma once

#include <algorithm>
#include <string_view>

namespace nm::pool {

inline constexpr size_t kMostText = 256;  // bytes of a name

// A text without control characters, not longer than kMostText.
inline bool printable(std::string_view text) {
  return text.size() <= kMostText && std::all_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
         });
}

// An identifier: letters, digits, and - _ . : @, not empty.
inline bool is_id(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:@").find(c) != std::string_view::npos;
  };
  return !text.empty() && text.size() <= kMostText && std::all_of(text.begin(), text.end(), good);
}

}  // namespace nm::pool
