#include "pool/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "pool/value_json.h"

namespace nm::pool {
namespace {

constexpr int kMostWeight = 1'000'000;
constexpr size_t kMostLine = 256 << 10;

Result<void> take_line(const Json& json, Trace* trace) {
  if (json.contains("host")) {
    ObjectReader read(json, "line");
    read.value("host", [&](const Json& element) -> Result<void> {
      auto host = host_of(element);
      if (!host) return host.error();
      trace->hosts.push_back(std::move(*host));
      return {};
    });
    return read.finish();
  }
  if (json.contains("project")) {
    std::string name;
    ProjectRule rule;
    int64_t quota = -1;
    ObjectReader read(json, "project");
    read.text("project", &name, true);
    read.number("weight", &rule.weight, 1, kMostWeight);
    read.number("quota", &quota, 0, INT64_MAX / 2);
    read.flag("borrow", &rule.borrow);
    if (auto done = read.finish(); !done) return done;
    if (quota >= 0) rule.quota = quota;
    trace->projects[name] = rule;
    return {};
  }
  TraceClaim claim;
  int64_t at = 0, runs = 0;
  ObjectReader read(json, "line");
  read.value(
      "claim",
      [&](const Json& element) -> Result<void> {
        auto parsed = claim_of(element);
        if (!parsed) return parsed.error();
        claim.claim = std::move(*parsed);
        return {};
      },
      true);
  read.number("at_ms", &at, 0, kLastTraceMs, true);
  read.number("runs_ms", &runs, 1, kLastTraceMs, true);
  if (auto done = read.finish(); !done) return done;
  claim.at = Time(Duration(at));
  claim.runs = Duration(runs);
  trace->claims.push_back(std::move(claim));
  return {};
}

}  // namespace

Result<Trace> parse_json_lines(std::string_view text) {
  Trace trace;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto json = parse_json(line, "line", kMostLine);
    if (!json) return Error{fmt::format("Line {}: {}", number, json.error().message)};
    if (const auto done = take_line(*json, &trace); !done)
      return Error{fmt::format("Line {}: {}", number, done.error().message)};
    if (trace.claims.size() > kMostTraceClaims)
      return Error{fmt::format("Line {}: more than {} claims. Cut the trace.", number, kMostTraceClaims)};
  }
  return finished(std::move(trace));
}

Result<Trace> finished(Trace trace) {
  std::stable_sort(trace.claims.begin(), trace.claims.end(),
                   [](const TraceClaim& a, const TraceClaim& b) { return a.at < b.at; });
  std::set<std::string_view> seen;
  for (const TraceClaim& claim : trace.claims) {
    if (!seen.insert(claim.claim.id).second)
      return Error{fmt::format("Claim {} is there twice. Give it another id.", claim.claim.id)};
  }
  seen.clear();
  for (const Host& host : trace.hosts) {
    if (!seen.insert(host.id).second)
      return Error{fmt::format("Host {} is there twice. Leave one of them out.", host.id)};
  }
  if (trace.claims.empty()) return Error{"The trace has no claim. src/pool/trace.md has an example."};
  return trace;
}

Result<Trace> parse_trace(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return Error{"The trace is empty. src/pool/trace.md has an example."};
  return text[begin] == '{' ? parse_json_lines(text) : parse_csv(text);
}

void print_trace(const Trace& trace, const std::function<void(const std::string&)>& line) {
  const auto print = [&](const Json& json) { line(json.dump(-1, ' ', false, Json::error_handler_t::replace)); };
  for (const Host& host : trace.hosts) print({{"host", json_of(host)}});
  for (const auto& [name, rule] : trace.projects) {
    Json json = {{"project", name}, {"weight", rule.weight}};
    if (rule.quota) json["quota"] = *rule.quota;
    if (!rule.borrow) json["borrow"] = false;
    print(json);
  }
  for (const TraceClaim& claim : trace.claims) {
    print({{"claim", json_of(claim.claim)},
           {"at_ms", claim.at.time_since_epoch().count()},
           {"runs_ms", claim.runs.count()}});
  }
}

}  // namespace nm::pool
