// A user's own command as a benchmark: what to run, and how to read numbers from what it prints. Data, not code:
// scenarios/README.md says what may stand in such a file.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/process.h"
#include "base/result.h"
#include "bench/results.h"

namespace nm::bench {

struct Reading {
  std::string metric, unit;
  bool higher_is_better = true;
  // One of the two. The regex's first group is a number, in every line that it matches; the pointer (RFC 6901) leads to
  // one, or to a list of them, in every line that is a JSON object.
  std::optional<std::regex> regex;
  std::string pointer;
};

struct Scenario {
  std::string name;
  std::vector<std::string> command;  // words; {dir} is the folder of the file
  std::vector<Reading> reads;
  std::optional<std::regex> check;  // some line must match
  int status = 0;                   // and the command must end so
  size_t warmup = 0;                // values of each reading that are left out, from the first
  Millis timeout{600'000};
};

Result<std::vector<Scenario>> read_scenarios(const std::string& path);
Result<std::vector<Scenario>> parse_scenarios(const std::string& text, const std::string& path);

// Reads a command's output into a run.
class ScenarioReader {
 public:
  ScenarioReader(const Scenario& scenario, Run& run);
  bool feed(std::string_view bytes);
  void finish(const ExitStatus& ended, const std::string& last_words);

 private:
  void take_line(const std::string& line);

  const Scenario& scenario_;
  Run& run_;
  std::vector<std::vector<double>> values_;  // of each reading
  std::string partial_, trouble_;
  size_t bytes_ = 0;
  bool checked_ = false;
};

}  // namespace nm::bench
