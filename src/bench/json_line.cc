#include "bench/json_line.h"

#include <fmt/format.h>

#include <cmath>

namespace nm::bench {
namespace {

// Before anything is built of it: a tree of a million levels is taken down by a million nested calls.
bool too_deep(std::string_view line) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

const Json* find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

}  // namespace

Result<Json> parse_object(std::string_view line, size_t max_size) {
  if (line.size() > max_size) return Error{fmt::format("is longer than {} MiB", max_size >> 20)};
  if (too_deep(line)) return Error{fmt::format("is nested deeper than {} levels", kMaxDepth)};
  // A number too large for a double, NaN and Infinity are no JSON to the parser.
  Json object = Json::parse(line, nullptr, false);
  if (object.is_discarded()) {
    return Error{fmt::format("is no JSON, or has a number that is not finite: {}", plain(line, 80))};
  }
  if (!object.is_object()) return Error{"is no JSON object"};
  return object;
}

std::string text_of(const Json& object, const char* key) {
  const Json* field = find(object, key);
  return field && field->is_string() ? plain(field->get_ref<const std::string&>()) : "";
}

std::optional<double> number_of(const Json& object, const char* key) {
  const Json* field = find(object, key);
  if (!field || !field->is_number()) return std::nullopt;
  const double value = field->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<int64_t> integer_of(const Json& object, const char* key) {
  const Json* field = find(object, key);
  if (!field || !field->is_number_integer()) return std::nullopt;
  if (field->is_number_unsigned() && field->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return field->get<int64_t>();
}

std::optional<bool> bool_of(const Json& object, const char* key) {
  const Json* field = find(object, key);
  return field && field->is_boolean() ? std::optional(field->get<bool>()) : std::nullopt;
}

std::string plain(std::string_view text, size_t most) {
  std::string out;
  size_t i = 0;
  for (; i < text.size() && out.size() < most; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 controls in UTF-8 are 0xc2 0x80 to 0xc2 0x9f.
    if (c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      out += '?';
      ++i;
    } else {
      out += c < 0x20 || c == 0x7f ? '?' : static_cast<char>(c);
    }
  }
  if (i < text.size()) {  // cut
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) out.pop_back();
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0) out.pop_back();
  }
  return out;
}

std::string dump(const Json& object) { return object.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace nm::bench
