// Numbers in text, without the C library's functions for it: built on a newer system, those need a newer C library.
#pragma once

#include <charconv>
#include <concepts>
#include <string_view>
#include <system_error>

namespace nm {

// Takes the number with which `text` begins, blanks before it allowed. False: there is none, or it does not fit; then
// `text` and `out` are as they were.
template <std::integral T>
bool take_number(std::string_view* text, T* out, int base = 10) {
  std::string_view rest = *text;
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), *out, base);
  if (error != std::errc()) return false;
  *text = rest.substr(static_cast<size_t>(end - rest.data()));
  return true;
}

// Takes `c` if `text` begins with it.
inline bool take_char(std::string_view* text, char c) {
  if (!text->starts_with(c)) return false;
  text->remove_prefix(1);
  return true;
}

// The number with which `text` begins; `otherwise` if there is none.
template <std::integral T>
T number_or(std::string_view text, T otherwise) {
  take_number(&text, &otherwise);
  return otherwise;
}

}  // namespace nm
