// JSON read strictly: a wrong type, a number out of range, a key that nobody knows or one that is missing is an error
// that names the object and the key. The first trouble is kept, and what follows does nothing.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pool/text.h"

namespace nm::pool {

using Json = nlohmann::ordered_json;

// One name of an enumeration. The arrays of them are the only place where a name stands.
template <class E>
struct Word {
  E value;
  std::string_view name;
};

template <class E, size_t N>
std::string_view name_of(const Word<E> (&words)[N], E value) {
  for (const auto& word : words) {
    if (word.value == value) return word.name;
  }
  return "?";
}

Result<Json> parse_json(std::string_view text, const std::string& what, size_t most_bytes);

class ObjectReader {
 public:
  // `what` begins the sentences: "claim".
  ObjectReader(const Json& object, std::string what);

  // Absent keys leave `out` as it is, unless `needed`.
  void text(const char* key, std::string* out, bool needed = false);
  void flag(const char* key, bool* out);
  void texts(const char* key, std::map<std::string, std::string>* out, size_t most);
  template <std::integral T>
  void number(const char* key, T* out, int64_t least, int64_t most, bool needed = false) {
    int64_t value = 0;
    if (whole(key, &value, least, most, needed)) *out = static_cast<T>(value);
  }
  template <class E, size_t N>
  void word(const char* key, E* out, const Word<E> (&words)[N]) {
    std::string name;
    if (!short_text(key, &name)) return;
    std::string all;
    for (const auto& word : words) {
      if (word.name == name) {
        *out = word.value;
        return;
      }
      all += (all.empty() ? "" : ", ") + std::string(word.name);
    }
    trouble(key, "is \"" + name + "\"; it must be one of " + all);
  }
  // A text of another grammar: `parse` returns a Result<T>.
  template <class T, class Parse>
  void parsed(const char* key, T* out, Parse parse) {
    std::string value;
    if (!short_text(key, &value)) return;
    auto result = parse(value);
    if (result) {
      *out = *result;
    } else {
      trouble(key, "is wrong: " + result.error().message);
    }
  }
  // Calls `each` with every element of an array.
  void list(const char* key, size_t most, const std::function<Result<void>(const Json&)>& each, bool needed = false);
  // Calls `read` with what stands there, if anything does.
  void value(const char* key, const std::function<Result<void>(const Json&)>& read, bool needed = false);

  Result<void> finish();

 private:
  const Json* at(const char* key, bool needed);
  bool short_text(const char* key, std::string* out);
  bool whole(const char* key, int64_t* out, int64_t least, int64_t most, bool needed);
  void trouble(const char* key, const std::string& what);

  const Json& object_;
  std::string what_, trouble_;
  std::vector<std::string_view> known_;
};

}  // namespace nm::pool
