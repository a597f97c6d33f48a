// One line of JSON from somebody else: a benchmark program under any target, or a file that anyone may have written.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bench/results.h"

namespace nm::bench {

inline constexpr size_t kMaxLine = 4 << 20;       // of a program
inline constexpr size_t kMaxFileLine = 64 << 20;  // of a result file: a run's lines in one
inline constexpr int kMaxDepth = 16;

// An object, nested no deeper than kMaxDepth, whose numbers are finite. The error is the end of a sentence: "is no
// JSON".
Result<Json> parse_object(std::string_view line, size_t max_size = kMaxLine);

// Fields. Text is made plain; what is absent or of another type is empty.
std::string text_of(const Json& object, const char* key);
std::optional<double> number_of(const Json& object, const char* key);
std::optional<int64_t> integer_of(const Json& object, const char* key);
std::optional<bool> bool_of(const Json& object, const char* key);

// What may be shown on a terminal: no control characters, and at most `most` bytes, cut between characters.
std::string plain(std::string_view text, size_t most = 1'000);

// For a line: without line breaks, whatever the strings in it are.
std::string dump(const Json& object);

}  // namespace nm::bench
