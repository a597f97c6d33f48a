// A trace: what there is, who claims what and when, and for how long it would run. Its two forms are described in
// trace.md. Times count from the trace's beginning, which is the epoch here.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pool/host.h"
#include "pool/policy.h"

namespace nm::pool {

struct TraceClaim {
  Claim claim;
  Time at{};
  Duration runs{};
  bool operator==(const TraceClaim&) const = default;
};

struct Trace {
  std::vector<Host> hosts;
  std::map<std::string, ProjectRule> projects;
  std::vector<TraceClaim> claims;  // in order of their times
  bool operator==(const Trace&) const = default;
};

// The error names the line.
Result<Trace> parse_trace(std::string_view text);

// As JSON lines, each given to `line` without its end.
void print_trace(const Trace& trace, const std::function<void(const std::string&)>& line);

// --- its two halves

Result<Trace> parse_json_lines(std::string_view text);
Result<Trace> parse_csv(std::string_view text);

// Sorts the claims by time and checks that no two have one id, nor two hosts.
Result<Trace> finished(Trace trace);

inline constexpr size_t kMostTraceClaims = 10'000'000;
inline constexpr int64_t kLastTraceMs = int64_t{1000} * 365 * 86'400'000;  // a thousand years

}  // namespace nm::pool
