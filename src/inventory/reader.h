// Reads values out of small files of somebody else. What is not there is nothing; what is there and makes no sense is
// nothing too, and one sentence about it. Neither is ever a crash: sysfs under a failing device says odd things.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/host.h"

namespace nm::inventory {

// Without blanks around it and without what a terminal would obey; at most `most` bytes.
std::string clean(std::string_view text, size_t most = 200);
std::vector<std::string_view> words_of(std::string_view text);
std::vector<std::string_view> lines_of(std::string_view text);
std::string_view trimmed(std::string_view text);
// The last part of a path; the path itself if it has no slash.
std::string_view last_part(std::string_view path);

class Reader {
 public:
  explicit Reader(const Host& host) : host(host) {}

  // The cleaned text.
  std::optional<std::string> text(const std::string& path, size_t most = 4096);
  // As it is, for what has lines or bytes.
  std::optional<std::string> raw(const std::string& path, size_t most = 1 << 20);
  // The last part of where a link points to; empty: there is no link.
  std::string link_name(const std::string& path);
  std::vector<std::string> list(const std::string& path);

  // A number and nothing else; "0x" in front of base 16 may be.
  template <std::integral T>
  std::optional<T> number(const std::string& path, int base = 10) {
    const auto all = text(path);
    if (!all) return std::nullopt;
    std::string_view digits = *all;
    if (base == 16 && digits.starts_with("0x")) digits.remove_prefix(2);
    T value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error == std::errc() && end == digits.data() + digits.size()) return value;
    trouble(path + " should be a number and is \"" + clean(*all, 40) + "\".");
    return std::nullopt;
  }

  void trouble(std::string sentence);

  const Host& host;
  std::vector<std::string> troubles;
  size_t refused = 0;  // files that this user may not read

 private:
  void failed(const std::string& path, int error);
};

}  // namespace nm::inventory
