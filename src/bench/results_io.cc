#include "bench/results_io.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/json_line.h"

namespace nm::bench {
namespace {

constexpr int64_t kMaxFile = int64_t{1} << 30;

Json header_line(const ResultFile& file) {
  Json targets = Json::array();
  for (const TargetInfo& target : file.targets)
    targets.push_back({{"label", target.label}, {"command", target.command}});
  return {{"line", "header"},
          {"results", file.format},
          {"suite_version", file.suite_version},
          {"nearmetal", file.nearmetal},
          {"session", file.session},
          {"verb", file.verb},
          {"started", file.started},
          {"seed", file.seed},
          {"pairs", file.pairs},
          {"targets", std::move(targets)}};
}

Json fingerprint_line(const Json& fingerprint) {
  Json line = {{"line", "fingerprint"}};
  line.update(fingerprint);
  return line;
}

Json end_line(bool complete) { return {{"line", "end"}, {"complete", complete}}; }

Json run_line(const Run& run) {
  Json line = {{"line", "run"},
               {"target", run.target},
               {"self", run.self},
               {"warm_up", run.warm_up},
               {"pair", run.pair},
               {"position", run.position},
               {"command", run.command},
               {"started", run.started},
               {"seconds", run.seconds},
               {"program", run.program},
               {"suite", run.suite},
               {"level", run.level ? Json(*run.level) : Json()},
               {"api", run.api},
               {"size", run.size},
               {"suite_version", run.suite_version},
               {"passes", run.passes},
               {"seed", run.seed},
               {"status", status_name(run.status)},
               {"sentence", run.sentence},
               {"ended", run.ended},
               {"device", run.device},
               {"device_after", run.device_after}};
  Json samples = Json::array();
  for (const Sample& sample : run.samples) {
    Json each = {{"metric", sample.metric},
                 {"unit", sample.unit},
                 {"better", sample.higher_is_better ? "higher" : "lower"},
                 {"pcie", sample.pcie},
                 {"median", sample.summary()},
                 {"values", sample.values}};
    if (sample.detail) each["detail"] = true;
    if (!sample.series.empty()) each["series"] = sample.series;
    if (sample.x) each["x"] = *sample.x;
    if (!sample.x_unit.empty()) each["x_unit"] = sample.x_unit;
    samples.push_back(std::move(each));
  }
  line["samples"] = std::move(samples);
  Json checks = Json::array(), skips = Json::array();
  for (const Check& check : run.checks) {
    checks.push_back({{"what", check.what}, {"ok", check.ok}, {"error", check.error}, {"bound", check.bound}});
  }
  for (const Skip& skip : run.skips) skips.push_back({{"metric", skip.metric}, {"why", skip.why}});
  line["checks"] = std::move(checks);
  line["skips"] = std::move(skips);
  return line;
}

// --- reading ---------------------------------------------------------------------------------------------------------

std::vector<std::string> words_of(const Json& object, const char* key) {
  std::vector<std::string> out;
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array()) return out;
  for (const Json& word : *list) out.push_back(word.is_string() ? plain(word.get_ref<const std::string&>()) : "");
  return out;
}

const Json& list_at(const Json& object, const char* key) {
  static const Json kNone = Json::array();
  const auto list = object.find(key);
  return list != object.end() && list->is_array() ? *list : kNone;
}

Result<Sample> sample_from(const Json& line) {
  Sample out;
  out.metric = text_of(line, "metric");
  out.unit = text_of(line, "unit");
  const std::string better = text_of(line, "better");
  if (out.metric.empty() || (better != "higher" && better != "lower")) return Error{"has a sample without a metric"};
  out.higher_is_better = better == "higher";
  out.pcie = bool_of(line, "pcie").value_or(false);
  out.detail = bool_of(line, "detail").value_or(false);
  for (const Json& value : list_at(line, "values")) {
    if (!value.is_number()) return Error{fmt::format("has a value of {} that is no number", out.metric)};
    out.values.push_back(value.get<double>());
  }
  if (out.values.empty()) return Error{fmt::format("has no values of {}", out.metric)};
  out.series = text_of(line, "series");
  out.x = number_of(line, "x");
  out.x_unit = text_of(line, "x_unit");
  return out;
}

uint64_t seed_of(const Json& line) {
  const auto found = line.find("seed");
  return found != line.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

Json object_at(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_object() ? *found : Json();
}

Result<Run> run_from(const Json& line) {
  Run run;
  run.target = text_of(line, "target");
  run.program = text_of(line, "program");
  const auto status = status_of(text_of(line, "status"));
  const auto pair = integer_of(line, "pair");
  if (run.target.empty() || run.program.empty() || !status || !pair) {
    return Error{"is a run without its target, program, pair or status"};
  }
  run.status = *status;
  run.pair = *pair;
  run.self = bool_of(line, "self").value_or(false);
  run.warm_up = bool_of(line, "warm_up").value_or(false);
  run.position = integer_of(line, "position").value_or(0);
  run.command = words_of(line, "command");
  run.started = text_of(line, "started");
  run.seconds = number_of(line, "seconds").value_or(0);
  run.suite = text_of(line, "suite");
  run.level = integer_of(line, "level");
  run.api = text_of(line, "api");
  run.size = text_of(line, "size");
  run.suite_version = text_of(line, "suite_version");
  run.passes = integer_of(line, "passes").value_or(0);
  run.seed = seed_of(line);
  run.sentence = text_of(line, "sentence");
  run.ended = text_of(line, "ended");
  run.device = object_at(line, "device");
  run.device_after = object_at(line, "device_after");
  for (const Json& each : list_at(line, "samples")) {
    auto sample = sample_from(each);
    if (!sample) return sample.error();
    run.samples.push_back(std::move(*sample));
  }
  for (const Json& each : list_at(line, "checks")) {
    run.checks.push_back({text_of(each, "what"), bool_of(each, "ok").value_or(false),
                          number_of(each, "error").value_or(0), number_of(each, "bound").value_or(0)});
  }
  for (const Json& each : list_at(line, "skips")) {
    run.skips.push_back({text_of(each, "metric"), text_of(each, "why")});
  }
  return run;
}

Result<void> read_header(const Json& line, ResultFile& file) {
  const auto format = integer_of(line, "results");
  if (format != kResultFormat) {
    return Error{
        fmt::format("{} is of result format {}, and this release reads format {}. Read it with the release that "
                    "wrote it ({}).",
                    file.path, format.value_or(0), kResultFormat, text_of(line, "nearmetal"))};
  }
  file.suite_version = text_of(line, "suite_version");
  file.nearmetal = text_of(line, "nearmetal");
  file.session = text_of(line, "session");
  file.verb = text_of(line, "verb");
  file.started = text_of(line, "started");
  file.seed = seed_of(line);
  file.pairs = integer_of(line, "pairs").value_or(0);
  for (const Json& target : list_at(line, "targets")) {
    file.targets.push_back({text_of(target, "label"), words_of(target, "command")});
  }
  return {};
}

}  // namespace

Result<ResultWriter> ResultWriter::create(const std::string& path) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (fd) return ResultWriter(path, std::move(fd));
  if (errno == EEXIST) {
    return Error{
        fmt::format("{} exists already, and measurements are never overwritten. Give --save another name.", path)};
  }
  return Error{
      fmt::format("Cannot save to {}: {}. Give --save a place that can be written to.", path, strerror(errno))};
}

Result<void> ResultWriter::line(const Json& object) {
  if (broken_) return Error{fmt::format("{} takes no more results.", path_)};
  const std::string text = dump(object) + '\n';
  int error = 0;
  for (size_t at = 0; at < text.size() && error == 0;) {
    const ssize_t wrote = ::write(fd_.get(), text.data() + at, text.size() - at);
    if (wrote > 0) {
      at += static_cast<size_t>(wrote);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  // A pipe or a terminal cannot be synced, and need not be.
  if (error == 0 && ::fdatasync(fd_.get()) != 0 && errno != EINVAL && errno != EROFS) error = errno;
  if (error == 0) {
    good_ += static_cast<int64_t>(text.size());
    return {};
  }
  broken_ = true;
  [[maybe_unused]] const int cut = ::ftruncate(fd_.get(), good_);
  return Error{
      fmt::format("Cannot write to {}: {}. What it has is good; what was measured since is shown below and not "
                  "saved.",
                  path_, strerror(error))};
}

Result<void> ResultWriter::header(const ResultFile& file) { return line(header_line(file)); }
Result<void> ResultWriter::fingerprint(const Json& fingerprint) { return line(fingerprint_line(fingerprint)); }
Result<void> ResultWriter::run(const Run& run) { return line(run_line(run)); }
Result<void> ResultWriter::end(bool complete) { return line(end_line(complete)); }

std::string to_lines(const ResultFile& file) {
  std::string out = dump(header_line(file)) + '\n';
  for (const Json& fingerprint : file.fingerprints) out += dump(fingerprint_line(fingerprint)) + '\n';
  for (const Run& run : file.runs) out += dump(run_line(run)) + '\n';
  if (file.complete) out += dump(end_line(true)) + '\n';
  return out;
}

Result<ResultFile> parse_results(std::string_view text, const std::string& path) {
  ResultFile file;
  file.path = path;
  size_t number = 0;
  bool header = false;
  const auto trouble = [&](const std::string& what) {
    return Error{fmt::format("{}: line {} {}. It is no result file of `nearmetal bench`, or it is damaged.", path,
                             number, what)};
  };
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == text.npos) break;  // its writer was ended in the middle of a line: the runs before it are good
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    ++number;
    const auto object = parse_object(line, kMaxFileLine);
    if (!object) return trouble(object.error().message);
    const std::string kind = text_of(*object, "line");
    if (header != (kind != "header")) return trouble(header ? "is a second header" : "is not the header");
    if (kind == "header") {
      header = true;
      if (const auto read = read_header(*object, file); !read) return read.error();
    } else if (kind == "fingerprint") {
      file.fingerprints.push_back(*object);
      file.fingerprints.back().erase("line");
    } else if (kind == "run") {
      auto run = run_from(*object);
      if (!run) return trouble(run.error().message);
      if (file.suite_version.empty()) file.suite_version = run->suite_version;
      file.runs.push_back(std::move(*run));
    } else if (kind == "end") {
      file.complete = bool_of(*object, "complete").value_or(false);
    }  // of an unknown kind: of a later release that still writes this format
  }
  if (!header) return Error{fmt::format("{} is empty, or no result file of `nearmetal bench`.", path)};
  return file;
}

Result<ResultFile> read_results(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info = {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    return Error{fmt::format("Cannot read the results in {}: {}. Check the path.", path, strerror(errno))};
  }
  if (!S_ISREG(info.st_mode)) return Error{fmt::format("{} is no file. Results are saved with --save FILE.", path)};
  if (info.st_size > kMaxFile) return Error{fmt::format("{} is larger than 1 GiB: no result file is.", path)};
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t at = 0;
  for (ssize_t got; at < text.size() && (got = ::read(fd.get(), text.data() + at, text.size() - at)) != 0;) {
    if (got > 0) at += static_cast<size_t>(got);
    if (got < 0 && errno != EINTR) {
      return Error{fmt::format("Cannot read the results in {}: {}.", path, strerror(errno))};
    }
  }
  text.resize(at);
  return parse_results(text, path);
}

}  // namespace nm::bench
