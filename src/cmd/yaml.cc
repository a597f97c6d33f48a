#include "cmd/yaml.h"

#include <nlohmann/json.hpp>

namespace nm::cmd {
namespace {

using nlohmann::ordered_json;

std::string scalar(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);  // "[]" and "{}", too
}

bool block(const ordered_json& value) { return value.is_structured() && !value.empty(); }

// The first line of an item of a list stands behind its dash.
void write(const ordered_json& value, size_t indent, bool behind_dash, std::string& out) {
  auto begin = [&, first = behind_dash]() mutable {
    if (!first) out.append(indent, ' ');
    first = false;
  };
  if (value.is_array()) {
    for (const auto& item : value) {
      begin();
      out += "- ";
      if (block(item)) {
        write(item, indent + 2, true, out);
      } else {
        out += scalar(item) + "\n";
      }
    }
    return;
  }
  for (const auto& [key, item] : value.items()) {
    begin();
    out += key + ":";
    if (block(item)) {
      out += "\n";
      write(item, indent + 2, false, out);
    } else {
      out += " " + scalar(item) + "\n";
    }
  }
}

}  // namespace

std::string to_yaml(const ordered_json& value) {
  if (!block(value)) return scalar(value) + "\n";
  std::string out;
  write(value, 0, false, out);
  return out;
}

std::string to_text(const ordered_json& value, const std::string& format) {
  if (format == "yaml") return to_yaml(value);
  return value.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace nm::cmd
