// Traces as tables: one line a claim, columns by name.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "pool/text.h"
#include "pool/trace.h"

namespace nm::pool {
namespace {

std::vector<std::string_view> fields(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  std::vector<std::string_view> found;
  for (;;) {
    const size_t end = std::min(line.find(','), line.size());
    std::string_view field = line.substr(0, end);
    while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
    while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
    found.push_back(field);
    if (end == line.size()) return found;
    line.remove_prefix(end + 1);
  }
}

Result<int> whole(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return Error{fmt::format("\"{}\" is not a whole number", text)};
  return value;
}

// "12", "12.5": milliseconds.
Result<int64_t> seconds(std::string_view text) {
  const Error wrong{fmt::format("\"{}\" is not a number of seconds", text)};
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, point));
  std::string_view places = text.substr(std::min(point + 1, text.size()));
  if (digits.empty() || places.size() > 3 || (point < text.size() && places.empty())) return wrong;
  digits += std::string(places) + std::string(3 - places.size(), '0');
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) return wrong;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value > kLastTraceMs) return wrong;
  return value;
}

template <class T, class Parsed>
Result<void> set(T* out, const Result<Parsed>& parsed) {
  if (!parsed) return parsed.error();
  *out = T(*parsed);
  return {};
}

template <class E>
Result<void> choose(E* out, std::string_view name, std::initializer_list<E> all) {
  for (const E value : all) {
    if (word(value) == name) {
      *out = value;
      return {};
    }
  }
  return Error{fmt::format("\"{}\" is none of {}", name, [&] {
    std::string names;
    for (const E value : all) names += (names.empty() ? "" : ", ") + std::string(word(value));
    return names;
  }())};
}

struct Column {
  std::string_view name;
  Result<void> (*take)(TraceClaim& to, std::string_view value);
};

constexpr Column kColumns[] = {
    {"at",
     [](TraceClaim& to, std::string_view value) -> Result<void> {
       int64_t ms = 0;
       if (auto done = set(&ms, seconds(value)); !done) return done;
       to.at = Time(Duration(ms));
       return {};
     }},
    {"runs", [](TraceClaim& to, std::string_view value) { return set(&to.runs, seconds(value)); }},
    {"gpus", [](TraceClaim& to, std::string_view value) { return set(&to.claim.number, whole(value)); }},
    {"model",
     [](TraceClaim& to, std::string_view value) -> Result<void> {
       to.claim.model = value;
       return {};
     }},
    {"memory", [](TraceClaim& to, std::string_view value) { return set(&to.claim.memory, parse_memory(value)); }},
    {"share", [](TraceClaim& to, std::string_view value) { return set(&to.claim.share, parse_share(value)); }},
    {"path",
     [](TraceClaim& to, std::string_view value) {
       return choose(&to.claim.path, value, {Path::any, Path::network, Path::passthrough});
     }},
    {"topology",
     [](TraceClaim& to, std::string_view value) {
       return choose(&to.claim.topology, value,
                     {Topology::any, Topology::same_host, Topology::same_numa, Topology::nvlink});
     }},
    {"limit", [](TraceClaim& to, std::string_view value) { return set(&to.claim.limit, seconds(value)); }},
    {"project",
     [](TraceClaim& to, std::string_view value) -> Result<void> {
       to.claim.project = value;
       return {};
     }},
    {"priority", [](TraceClaim& to, std::string_view value) { return set(&to.claim.priority, whole(value)); }},
    {"user",
     [](TraceClaim& to, std::string_view value) -> Result<void> {
       to.claim.user = value;
       return {};
     }},
    {"client_host",
     [](TraceClaim& to, std::string_view value) -> Result<void> {
       to.claim.client_host = value;
       return {};
     }},
    {"id",
     [](TraceClaim& to, std::string_view value) -> Result<void> {
       to.claim.id = value;
       return {};
     }},
};

}  // namespace

Result<Trace> parse_csv(std::string_view text) {
  Trace trace;
  std::vector<const Column*> columns;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto values = fields(line);
    if (columns.empty()) {
      for (const auto name : values) {
        const auto* column =
            std::find_if(std::begin(kColumns), std::end(kColumns), [&](const Column& c) { return c.name == name; });
        if (column == std::end(kColumns)) {
          return Error{fmt::format("Line {}: there is no column \"{}\"; src/pool/trace.md has their names.", number,
                                   printable(name) ? name : "?")};
        }
        columns.push_back(column);
      }
      for (const std::string_view needed : {"at", "runs", "gpus"}) {
        const auto same = [&](const Column* column) { return column->name == needed; };
        if (std::none_of(columns.begin(), columns.end(), same))
          return Error{fmt::format("Line {}: the column \"{}\" is missing.", number, needed)};
      }
      continue;
    }
    if (values.size() > columns.size())
      return Error{fmt::format("Line {} has {} values for {} columns.", number, values.size(), columns.size())};
    TraceClaim claim;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].empty()) continue;
      if (const auto done = columns[i]->take(claim, values[i]); !done) {
        return Error{fmt::format("Line {}, column {}: {}.", number, columns[i]->name,
                                 printable(values[i]) ? done.error().message : "a value that is none")};
      }
    }
    if (claim.claim.id.empty()) claim.claim.id = fmt::format("c{}", trace.claims.size() + 1);
    if (claim.runs <= Duration{0})
      return Error{fmt::format("Line {}, column runs: a claim runs for some time.", number)};
    if (const auto good = check(claim.claim); !good)
      return Error{fmt::format("Line {}: {}", number, good.error().message)};
    if (trace.claims.size() >= kMostTraceClaims)
      return Error{fmt::format("Line {}: more than {} claims. Cut the trace.", number, kMostTraceClaims)};
    trace.claims.push_back(std::move(claim));
  }
  return finished(std::move(trace));
}

}  // namespace nm::pool
