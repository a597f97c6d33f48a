#include "bench/workload_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/json_line.h"

namespace nm::bench {
namespace {

constexpr size_t kMaxOutput = 48 << 20;  // of one run; a result file's line holds it all
constexpr size_t kMaxSamples = 10'000, kMaxValues = 1'000'000, kMaxChecks = 10'000;

// As `nearmetal run`, env(1), shells and ssh end when it was them that failed and not the program.
bool is_starters(int code) { return (code >= 125 && code <= 127) || code == 255; }

}  // namespace

bool WorkloadReader::feed(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes_ > kMaxOutput) rubbish(fmt::format("It printed more than {} MiB.", kMaxOutput >> 20));
  while (!bytes.empty() && rubbish_.empty()) {
    const size_t end = bytes.find('\n');
    partial_ += bytes.substr(0, end);
    if (partial_.size() > kMaxLine) {
      rubbish(fmt::format("Line {} of its output is longer than {} MiB.", lines_ + 1, kMaxLine >> 20));
      break;
    }
    if (end == bytes.npos) break;
    take_line(partial_);
    partial_.clear();
    bytes.remove_prefix(end + 1);
  }
  return rubbish_.empty();
}

void WorkloadReader::take_line(std::string_view line) {
  ++lines_;
  const auto object = parse_object(line);
  if (!object) return rubbish(fmt::format("Line {} of its output {}.", lines_, object.error().message));
  const std::string kind = text_of(*object, "line");
  if (ended_) return rubbish(fmt::format("Line {} of its output comes after its end.", lines_));
  if (kind == "begin") return begin(*object);
  if (!begun_) return rubbish(fmt::format("Line {} of its output comes before the line `begin`.", lines_));
  if (kind == "device") {
    if (!run_.device.is_null()) return rubbish("It names its device twice.");
    run_.device = *object;
    run_.device.erase("line");
  } else if (kind == "sample") {
    sample(*object);
  } else if (kind == "check") {
    check(*object);
  } else if (kind == "skip") {
    if (run_.skips.size() < kMaxSamples) run_.skips.push_back({text_of(*object, "metric"), text_of(*object, "why")});
  } else if (kind == "error") {
    if (error_.empty()) error_ = text_of(*object, "sentence");
    if (error_.empty()) error_ = "It says that it failed, but not why.";
  } else if (kind == "end") {
    ended_ = true;
    end_ok_ = bool_of(*object, "ok").value_or(false);
    if (const auto state = object->find("device_state"); state != object->end() && state->is_object()) {
      run_.device_after = *state;
    }
  } else {
    rubbish(fmt::format("Line {} of its output is of an unknown kind, \"{}\".", lines_, plain(kind, 40)));
  }
}

void WorkloadReader::begin(const Json& line) {
  if (begun_) return rubbish("It begins twice.");
  if (integer_of(line, "workload") != 1) {
    return rubbish("It prints another format than 1. Use the nearmetal-workload of this release.");
  }
  begun_ = true;
  const std::string program = text_of(line, "program"), api = text_of(line, "api"), size = text_of(line, "size");
  if (program != run_.program || api != run_.api || size != run_.size) {
    return rubbish(fmt::format("It ran {} ({}, {}) instead of {} ({}, {}).", plain(program, 60), plain(api, 20),
                               plain(size, 20), run_.program, run_.api, run_.size));
  }
  run_.suite_version = text_of(line, "suite_version");
  if (run_.suite_version.empty()) return rubbish("It does not say which version of the suite it is.");
  run_.suite = text_of(line, "suite");
  run_.level = integer_of(line, "level");
  if (run_.level < 0) run_.level.reset();
  run_.passes = integer_of(line, "passes").value_or(0);
}

void WorkloadReader::sample(const Json& line) {
  Sample out;
  out.metric = text_of(line, "metric");
  out.unit = text_of(line, "unit");
  const std::string better = text_of(line, "better");
  if (out.metric.empty() || (better != "higher" && better != "lower")) {
    return rubbish(fmt::format(
        "Line {} of its output is a sample without a metric, or which does not say what is better.", lines_));
  }
  if (!seen_.insert(out.metric).second) return rubbish(fmt::format("It measures {} twice.", plain(out.metric, 60)));
  out.higher_is_better = better == "higher";
  out.pcie = bool_of(line, "pcie").value_or(false);
  out.detail = bool_of(line, "detail").value_or(false);
  const auto values = line.find("values");
  if (values == line.end() || !values->is_array() || values->empty() || values->size() > kMaxValues) {
    return rubbish(fmt::format("The sample {} has no values.", plain(out.metric, 60)));
  }
  for (const Json& value : *values) {
    if (!value.is_number()) {
      return rubbish(fmt::format("The sample {} has a value that is no number: {}.", plain(out.metric, 60),
                                 plain(dump(value), 40)));
    }
    out.values.push_back(value.get<double>());
  }
  out.series = text_of(line, "series");
  out.x = number_of(line, "x");
  out.x_unit = text_of(line, "x_unit");
  if (run_.samples.size() >= kMaxSamples) return rubbish("It has too many samples.");
  run_.samples.push_back(std::move(out));
}

void WorkloadReader::check(const Json& line) {
  Check out;
  out.what = text_of(line, "what");
  const auto error = number_of(line, "error"), bound = number_of(line, "bound");
  if (!error || !bound) return rubbish(fmt::format("The check \"{}\" has no error or no bound.", plain(out.what, 60)));
  out.error = *error;
  out.bound = *bound;
  out.ok = bool_of(line, "ok").value_or(false) && out.error <= out.bound;
  if (run_.checks.size() < kMaxChecks) run_.checks.push_back(std::move(out));
}

void WorkloadReader::rubbish(const std::string& sentence) {
  if (rubbish_.empty()) rubbish_ = sentence;
}

void WorkloadReader::set(Status status, const std::string& sentence) {
  run_.status = status;
  run_.sentence = plain(sentence);
}

void WorkloadReader::finish(const ExitStatus& ended, const std::string& last_words) {
  run_.ended = ended.describe();
  const std::string words = last_words.empty() ? "" : " Its last words: " + last_words;
  // A starter that failed says so on standard error, and whatever it printed besides is not the program's.
  if (!ended.signaled && is_starters(ended.code) && !begun_) {
    return set(Status::not_started, fmt::format("The target's command {}.{}", ended.describe(), words));
  }
  // Whom nobody listens to any more is ended by us, with a signal.
  if (!rubbish_.empty()) return set(Status::rubbish, rubbish_);
  if (ended.signaled) return set(Status::crashed, fmt::format("It {}.{}", ended.describe(), words));
  if (!partial_.empty()) take_line(partial_);
  if (!rubbish_.empty()) return set(Status::rubbish, rubbish_);
  if (ended.code == 77) {
    return set(Status::skipped, run_.skips.empty() || run_.skips[0].why.empty()
                                    ? "It cannot run here and does not say why."
                                    : run_.skips[0].why);
  }
  const auto wrong = std::find_if(run_.checks.begin(), run_.checks.end(), [](const Check& c) { return !c.ok; });
  if (wrong != run_.checks.end()) {
    return set(Status::check_failed, fmt::format("Wrong result: {}: the error is {:g}, the bound {:g}.", wrong->what,
                                                 wrong->error, wrong->bound));
  }
  if (ended.code == 1 && !error_.empty()) return set(Status::check_failed, error_);
  if (ended.code != 0) {
    return set(Status::failed, !error_.empty() ? error_ : fmt::format("It {}.{}", ended.describe(), words));
  }
  if (!begun_) return set(Status::rubbish, "It printed nothing that a benchmark program prints." + words);
  if (!ended_) return set(Status::crashed, "It ended without the line `end`." + words);
  if (!end_ok_ || !error_.empty()) {
    return set(Status::check_failed, error_.empty() ? "It says that a result was wrong, but not which." : error_);
  }
  if (run_.samples.empty() && run_.skips.empty()) return set(Status::rubbish, "It measured nothing.");
  set(Status::ok, "");
}

}  // namespace nm::bench
