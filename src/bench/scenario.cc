#include "bench/scenario.h"

#include <errno.h>
#include <fmt/format.h>
#include <string.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "bench/json_line.h"
#include "bench/targets.h"

namespace nm::bench {
namespace {

// std::regex calls itself for every character: what it is given must be short.
constexpr size_t kMaxRegexLine = 4'096;
constexpr size_t kMaxOutput = 256 << 20, kMaxValues = 1'000'000;

class FileReader {
 public:
  explicit FileReader(std::string path) : path_(std::move(path)) {
    dir_ = std::filesystem::path(path_).parent_path().string();
    if (dir_.empty()) dir_ = ".";
  }

  Result<std::vector<Scenario>> read(const std::string& text) {
    const toml::parse_result parsed = toml::parse(text, path_);
    if (!parsed) {
      const auto& error = parsed.error();
      return Error{fmt::format("{}:{}: {}.", path_, error.source().begin.line, error.description())};
    }
    for (const auto& [key, node] : parsed.table()) {
      if (key != "scenario") return at(node, fmt::format("unknown key \"{}\". Write [[scenario]]", key.str()));
    }
    const toml::array* list = parsed.table()["scenario"].as_array();
    if (!list || list->empty()) return Error{fmt::format("{} has no [[scenario]].", path_)};
    std::vector<Scenario> out;
    std::set<std::string> names;
    for (const toml::node& node : *list) {
      if (!node.is_table()) return at(node, "\"scenario\" must be a table: write [[scenario]]");
      auto scenario = read_one(*node.as_table());
      if (!scenario) return scenario.error();
      if (!names.insert(scenario->name).second) return at(node, "there are two scenarios of this name");
      out.push_back(std::move(*scenario));
    }
    return out;
  }

 private:
  Error at(const toml::node& node, const std::string& what) {
    return Error{fmt::format("{}:{}: {}.", path_, node.source().begin.line, what)};
  }

  Result<std::regex> regex_of(const toml::node& node, bool group) {
    const auto text = node.value_exact<std::string>();
    if (!text) return at(node, "\"regex\" must be a string");
    try {
      std::regex regex(*text);
      if (group && regex.mark_count() < 1) return at(node, "the regex needs a group, (…), around the number");
      return regex;
    } catch (const std::regex_error& error) {
      return at(node, fmt::format("the regex \"{}\" is not right: {}", *text, error.what()));
    }
  }

  Result<Reading> reading_of(const toml::table& table, const Scenario& scenario, Reading reading) {
    reading.metric = scenario.name;
    for (const auto& [key, node] : table) {
      const auto text = node.value_exact<std::string>();
      if (!text) return at(node, fmt::format("\"{}\" must be a string", key.str()));
      if (key == "regex") {
        auto regex = regex_of(node, true);
        if (!regex) return regex.error();
        reading.regex = std::move(*regex);
      } else if (key == "json") {
        if (!text->starts_with("/")) return at(node, "\"json\" must be a JSON pointer, which begins with /");
        reading.pointer = *text;
      } else if (key == "metric") {
        reading.metric = *text;
      } else if (key == "unit") {
        reading.unit = *text;
      } else if (key == "better") {
        if (*text != "higher" && *text != "lower") return at(node, "\"better\" must be \"higher\" or \"lower\"");
        reading.higher_is_better = *text == "higher";
      } else {
        return at(node, fmt::format("unknown key \"{}\". The keys of \"reads\" are: better, json, metric, regex, unit",
                                    key.str()));
      }
    }
    if (reading.regex.has_value() == !reading.pointer.empty()) {
      return at(table, "\"reads\" needs either regex or json");
    }
    return reading;
  }

  Result<void> check_of(const toml::node& node, Scenario& scenario) {
    const toml::table* table = node.as_table();
    if (!table) return at(node, "\"check\" must be a table: { regex = \"…\" } or { status = 0 }");
    for (const auto& [key, each] : *table) {
      if (key == "regex") {
        auto regex = regex_of(each, false);
        if (!regex) return regex.error();
        scenario.check = std::move(*regex);
      } else if (key == "status" && each.is_integer()) {
        scenario.status = static_cast<int>(*each.value<int64_t>());
      } else {
        return at(each,
                  fmt::format("unknown key \"{}\". The keys of \"check\" are: regex, status (a number)", key.str()));
      }
    }
    return {};
  }

  Result<std::vector<std::string>> words_of(const toml::node& node) {
    std::vector<std::string> words;
    if (const auto text = node.value_exact<std::string>()) {
      auto split = split_words(*text);
      if (!split) return at(node, split.error().message);
      words = std::move(*split);
    } else if (const toml::array* list = node.as_array()) {
      for (const toml::node& each : *list) words.push_back(each.value_exact<std::string>().value_or(""));
    }
    if (words.empty() || words[0].empty()) return at(node, "\"command\" must be a string or a list of strings");
    for (std::string& word : words) {
      for (size_t place; (place = word.find("{dir}")) != word.npos;) word.replace(place, 5, dir_);
    }
    return words;
  }

  Result<Scenario> read_one(const toml::table& table) {
    Scenario out;
    Reading defaults;
    const toml::node* reads = nullptr;
    for (const auto& [key, node] : table) {
      const auto text = node.value_exact<std::string>();
      const auto number = node.value<double>();
      if (key == "name") {
        if (!text || text->empty()) return at(node, "\"name\" must be a string");
        out.name = *text;
      } else if (key == "command") {
        auto words = words_of(node);
        if (!words) return words.error();
        out.command = std::move(*words);
      } else if (key == "reads") {
        reads = &node;
      } else if (key == "unit") {
        if (!text) return at(node, "\"unit\" must be a string");
        defaults.unit = *text;
      } else if (key == "better") {
        if (text != "higher" && text != "lower") return at(node, "\"better\" must be \"higher\" or \"lower\"");
        defaults.higher_is_better = *text == "higher";
      } else if (key == "check") {
        if (const auto good = check_of(node, out); !good) return good.error();
      } else if (key == "warmup") {
        const auto whole = node.value_exact<int64_t>();
        if (!whole || *whole < 0) return at(node, "\"warmup\" must be a number of values, 0 or more");
        out.warmup = static_cast<size_t>(*whole);
      } else if (key == "timeout") {
        if (!number || !(*number > 0) || *number > 86'400)
          return at(node, "\"timeout\" must be a number of seconds, at most a day");
        out.timeout = Millis(static_cast<int64_t>(*number * 1000));
      } else {
        return at(node,
                  fmt::format("unknown key \"{}\". The keys are: better, check, command, name, reads, timeout, unit, "
                              "warmup",
                              key.str()));
      }
    }
    if (out.name.empty() || out.command.empty() || !reads) return at(table, "a scenario needs name, command and reads");
    return with_readings(std::move(out), *reads, defaults);
  }

  Result<Scenario> with_readings(Scenario out, const toml::node& reads, const Reading& defaults) {
    std::vector<const toml::table*> tables;
    if (reads.is_table()) tables.push_back(reads.as_table());
    if (reads.is_array()) {
      for (const toml::node& each : *reads.as_array()) tables.push_back(each.as_table());
    }
    std::set<std::string> names;
    for (const toml::table* table : tables) {
      if (!table) return at(reads, "\"reads\" must be a table, or a list of tables");
      auto reading = reading_of(*table, out, defaults);
      if (!reading) return reading.error();
      if (!names.insert(reading->metric).second) return at(*table, "two readings need two names: add metric = \"…\"");
      out.reads.push_back(std::move(*reading));
    }
    if (out.reads.empty()) return at(reads, "\"reads\" must be a table, or a list of tables");
    return out;
  }

  std::string path_, dir_;
};

std::optional<double> number_from(const std::string& text) {
  double value = 0;
  const char* begin = text.c_str() + (text.starts_with("+") ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.c_str() + text.size(), value);
  if (error != std::errc() || *end != 0) return std::nullopt;
  return value;
}

// The values that a reading finds in one line. Nothing: one of them is no finite number.
std::optional<std::vector<double>> find_values(const Reading& reading, const std::string& line) {
  std::vector<double> out;
  if (reading.regex) {
    std::smatch match;
    if (!std::regex_search(line, match, *reading.regex)) return out;
    const auto value = number_from(match[1].str());
    if (!value || !std::isfinite(*value)) return std::nullopt;
    out.push_back(*value);
    return out;
  }
  const auto object = parse_object(line);
  if (!object) return out;  // a line for people
  Json found;
  try {
    found = object->at(Json::json_pointer(reading.pointer));
  } catch (const Json::exception&) {
    return out;
  }
  if (!found.is_array()) found = Json::array({found});
  for (const Json& each : found) {
    if (!each.is_number()) return std::nullopt;
    out.push_back(each.get<double>());
  }
  return out;
}

}  // namespace

Result<std::vector<Scenario>> parse_scenarios(const std::string& text, const std::string& path) {
  return FileReader(path).read(text);
}

Result<std::vector<Scenario>> read_scenarios(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || std::filesystem::is_directory(path) || !(text << in.rdbuf())) {
    return Error{fmt::format("Cannot read the scenarios in {}: {}. Check the path.", path,
                             std::filesystem::is_directory(path) ? "Is a directory" : strerror(errno))};
  }
  return parse_scenarios(text.str(), path);
}

ScenarioReader::ScenarioReader(const Scenario& scenario, Run& run)
    : scenario_(scenario), run_(run), values_(scenario.reads.size()) {}

bool ScenarioReader::feed(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes_ > kMaxOutput) trouble_ = fmt::format("It printed more than {} MiB.", kMaxOutput >> 20);
  while (!bytes.empty() && trouble_.empty()) {
    const size_t end = bytes.find('\n');
    // What is longer than a line can be is no line with a number in it, but need not be wrong.
    if (partial_.size() < kMaxLine) partial_ += bytes.substr(0, end);
    if (end == bytes.npos) break;
    take_line(partial_);
    partial_.clear();
    bytes.remove_prefix(end + 1);
  }
  return trouble_.empty();
}

void ScenarioReader::take_line(const std::string& line) {
  if (line.size() >= kMaxLine) return;
  const bool short_enough = line.size() <= kMaxRegexLine;
  if (scenario_.check && !checked_ && short_enough) checked_ = std::regex_search(line, *scenario_.check);
  for (size_t i = 0; i < values_.size(); ++i) {
    const Reading& reading = scenario_.reads[i];
    if (reading.regex && !short_enough) continue;
    const auto found = find_values(reading, line);
    if (!found) {
      trouble_ = fmt::format("{} is no finite number in \"{}\".", reading.metric, plain(line, 120));
      return;
    }
    values_[i].insert(values_[i].end(), found->begin(), found->end());
    if (values_[i].size() > kMaxValues) trouble_ = "It printed too many values.";
  }
}

void ScenarioReader::finish(const ExitStatus& ended, const std::string& last_words) {
  if (!partial_.empty() && trouble_.empty()) take_line(partial_);
  run_.ended = ended.describe();
  const auto set = [&](Status status, const std::string& sentence) {
    run_.status = status;
    run_.sentence = plain(sentence);
  };
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].size() <= scenario_.warmup) continue;
    const Reading& reading = scenario_.reads[i];
    run_.samples.push_back(
        {.metric = reading.metric,
         .unit = reading.unit,
         .higher_is_better = reading.higher_is_better,
         .pcie = false,
         .values = {values_[i].begin() + static_cast<std::ptrdiff_t>(scenario_.warmup), values_[i].end()},
         .series = "",
         .x = {},
         .x_unit = ""});
  }
  const std::string words = last_words.empty() ? "" : " Its last words: " + last_words;
  if (!trouble_.empty()) return set(Status::rubbish, trouble_);
  if (ended.signaled) return set(Status::crashed, fmt::format("It {}.{}", ended.describe(), words));
  if (ended.code != scenario_.status) {
    const bool starter = ended.code >= 125 && ended.code <= 127 && run_.samples.empty();
    return set(starter ? Status::not_started : Status::failed,
               fmt::format("It {}, not {}.{}", ended.describe(), scenario_.status, words));
  }
  if (scenario_.check) {
    run_.checks.push_back({"a line of the output is as the scenario says", checked_, checked_ ? 0.0 : 1.0, 0.5});
    if (!checked_) return set(Status::check_failed, "No line of its output is what the scenario's check asks for.");
  }
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].size() > scenario_.warmup) continue;
    return set(Status::rubbish, fmt::format("Its output has {} values of {}, and {} are left out to warm up.",
                                            values_[i].size(), scenario_.reads[i].metric, scenario_.warmup));
  }
  set(Status::ok, "");
}

}  // namespace nm::bench
