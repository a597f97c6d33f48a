// TOML files read strictly: a key that nobody knows is an error with its line, for a setting that is silently ignored
// is worse than none, and in a policy it is a hole.
#pragma once

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nm::identity {

inline std::string at_line(const std::string& where, const toml::node& node) {
  return where + ":" + std::to_string(node.source().begin.line) + ": ";
}

Result<toml::table> parse_toml(const std::string& text, const std::string& where);
// Every key of `table` is one of `known`. `what`: "a rule", "the file".
Result<void> check_keys(const toml::table& table, const std::string& where, std::string_view what,
                        std::initializer_list<std::string_view> known);

}  // namespace nm::identity
