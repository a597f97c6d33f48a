// JSON's values as YAML that people read. Strings stay in JSON's quotes, which YAML understands: no word of a device's
// name can turn into a number or a truth.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace nm::cmd {

std::string to_yaml(const nlohmann::ordered_json& value);  // ends with a line break

// As -o says: "json" or "yaml"; bytes that are no UTF-8 are replaced.
std::string to_text(const nlohmann::ordered_json& value, const std::string& format);

}  // namespace nm::cmd
