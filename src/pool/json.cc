#include "pool/json.h"

#include <fmt/format.h>

#include <algorithm>

namespace nm::pool {

Result<Json> parse_json(std::string_view text, const std::string& what, size_t most_bytes) {
  if (text.size() > most_bytes)
    return Error{fmt::format("The {} has {} bytes; {} is the most.", what, text.size(), most_bytes)};
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Error{fmt::format("The {} is no JSON. Check for a missing quote or brace.", what)};
  if (!value.is_object()) return Error{fmt::format("The {} must be a JSON object.", what)};
  return value;
}

ObjectReader::ObjectReader(const Json& object, std::string what) : object_(object), what_(std::move(what)) {
  if (!object.is_object()) trouble_ = fmt::format("The {} must be a JSON object.", what_);
}

void ObjectReader::trouble(const char* key, const std::string& what) {
  if (trouble_.empty()) trouble_ = fmt::format("The {}'s \"{}\" {}.", what_, key, what);
}

const Json* ObjectReader::at(const char* key, bool needed) {
  known_.push_back(key);
  if (!trouble_.empty()) return nullptr;
  const auto found = object_.find(key);
  if (found != object_.end()) return &*found;
  if (needed) trouble(key, "is missing");
  return nullptr;
}

bool ObjectReader::short_text(const char* key, std::string* out) {
  const Json* value = at(key, false);
  if (!value) return false;
  if (!value->is_string()) {
    trouble(key, "must be a string");
    return false;
  }
  const auto& text = value->get_ref<const std::string&>();
  if (!printable(text)) {
    trouble(key, fmt::format("has control characters or more than {} bytes", kMostText));
    return false;
  }
  *out = text;
  return true;
}

void ObjectReader::text(const char* key, std::string* out, bool needed) {
  if (!short_text(key, out) && needed && trouble_.empty()) trouble(key, "is missing");
}

void ObjectReader::flag(const char* key, bool* out) {
  const Json* value = at(key, false);
  if (!value) return;
  if (!value->is_boolean()) return trouble(key, "must be true or false");
  *out = value->get<bool>();
}

bool ObjectReader::whole(const char* key, int64_t* out, int64_t least, int64_t most, bool needed) {
  const Json* value = at(key, needed);
  if (!value) return false;
  // What does not fit an int64_t is unsigned or floating here, and out of any range that is asked for.
  const bool small =
      value->is_number_integer() && (!value->is_number_unsigned() || value->get<uint64_t>() <= INT64_MAX);
  if (!small || value->get<int64_t>() < least || value->get<int64_t>() > most) {
    trouble(key, fmt::format("must be a whole number from {} to {}", least, most));
    return false;
  }
  *out = value->get<int64_t>();
  return true;
}

void ObjectReader::texts(const char* key, std::map<std::string, std::string>* out, size_t most) {
  value(key, [&](const Json& object) -> Result<void> {
    if (!object.is_object() || object.size() > most) {
      return Error{fmt::format("The {}'s \"{}\" must be an object of at most {} texts.", what_, key, most)};
    }
    for (const auto& [name, text] : object.items()) {
      if (!text.is_string() || !printable(name) || !printable(text.get_ref<const std::string&>())) {
        return Error{
            fmt::format("The {}'s \"{}\" must have printable texts, of at most {} bytes each.", what_, key, kMostText)};
      }
      (*out)[name] = text.get<std::string>();
    }
    return {};
  });
}

void ObjectReader::value(const char* key, const std::function<Result<void>(const Json&)>& read, bool needed) {
  const Json* value = at(key, needed);
  if (!value) return;
  if (const auto done = read(*value); !done) trouble_ = done.error().message;
}

void ObjectReader::list(const char* key, size_t most, const std::function<Result<void>(const Json&)>& each,
                        bool needed) {
  const Json* value = at(key, needed);
  if (!value) return;
  if (!value->is_array() || value->size() > most)
    return trouble(key, fmt::format("must be a list of at most {}", most));
  for (const Json& element : *value) {
    if (const auto done = each(element); !done) {
      trouble_ = done.error().message;
      return;
    }
  }
}

Result<void> ObjectReader::finish() {
  if (!trouble_.empty()) return Error{trouble_};
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string all;
    for (const auto name : known_) all += (all.empty() ? "" : ", ") + std::string(name);
    return Error{
        fmt::format("The {} has an unknown key \"{}\". The keys are: {}.", what_, printable(key) ? key : "?", all)};
  }
  return {};
}

}  // namespace nm::pool
