// nearmetal pool simulate: a trace of claims, replayed under one policy after the other.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cmd/pool.h"
#include "cmd/pool_report.h"
#include "cmd/top_rows.h"
#include "pool/generate.h"
#include "pool/simulate.h"

namespace nm::cmd {
namespace {

constexpr int kInterruptedByUser = 130;
constexpr size_t kMostTraceBytes = size_t{4} << 30;
volatile std::sig_atomic_t interrupted = 0;

struct Options {
  std::string trace, output = "table", save;
  std::vector<std::string> policies;
  bool generate = false;
  pool::Generate wish;
};

struct Close {
  void operator()(FILE* file) const { std::fclose(file); }
};

Result<std::string> read_all(const std::string& path) {
  std::unique_ptr<FILE, Close> opened;
  FILE* file = stdin;
  if (path != "-") {
    opened.reset(std::fopen(path.c_str(), "re"));
    if (!opened) return Error{fmt::format("{}: {}. Check the path of the trace.", path, std::strerror(errno))};
    file = opened.get();
  }
  std::string text;
  char buffer[1 << 16];
  while (const size_t read = std::fread(buffer, 1, sizeof buffer, file)) {
    text.append(buffer, read);
    if (text.size() > kMostTraceBytes) return Error{fmt::format("{}: more than 4 GiB. Cut the trace.", path)};
  }
  if (std::ferror(file)) return Error{fmt::format("{}: {}. Check that it is a file.", path, std::strerror(errno))};
  return text;
}

// "x": it must not be there yet.
Result<void> save(const pool::Trace& trace, const std::string& path) {
  std::unique_ptr<FILE, Close> file(std::fopen(path.c_str(), "wxe"));
  if (!file) return Error{fmt::format("--save {}: {}. Name a file that is not there yet.", path, std::strerror(errno))};
  bool good = true;
  pool::print_trace(
      trace, [&](const std::string& line) { good = good && std::fputs((line + "\n").c_str(), file.get()) >= 0; });
  if (!good || std::fflush(file.get()) != 0)
    return Error{fmt::format("--save {}: {}. The file is not whole.", path, std::strerror(errno))};
  return {};
}

Result<pool::Trace> make_trace(const Options& options) {
  pool::Trace trace;
  if (options.generate) {
    trace = pool::generate(options.wish);
  } else {
    const auto text = read_all(options.trace);
    if (!text) return text.error();
    auto parsed = pool::parse_trace(*text);
    if (!parsed) return Error{fmt::format("{}: {}", options.trace, parsed.error().message)};
    trace = std::move(*parsed);
    if (trace.hosts.empty()) trace.hosts = pool::generate_hosts(options.wish);
  }
  if (!options.save.empty()) {
    if (auto done = save(trace, options.save); !done) return done.error();
  }
  return trace;
}

// How far it is: a line, drawn anew, where a person sees it.
class Progress {
 public:
  Progress() : terminal_(::isatty(STDERR_FILENO)), begin_(Clock::now()) {}
  ~Progress() {
    if (drawn_) fmt::print(stderr, "\r\x1b[K");
  }
  void show(const std::string& name, size_t run, size_t runs, size_t done, size_t all) {
    const TimePoint now = Clock::now();
    if (!terminal_ || now - last_ < Millis(200)) return;
    last_ = now;
    const double part =
        (static_cast<double>(run) + static_cast<double>(done) / static_cast<double>(all)) / static_cast<double>(runs);
    std::string line = fmt::format("[{}/{}] {}: {} of {} claims", run + 1, runs, name, done, all);
    if (part > 0.01) {
      const double passed = std::chrono::duration<double, std::micro>(now - begin_).count();
      line += fmt::format(", {} left", short_time(static_cast<uint64_t>(passed / part * (1 - part))));
    }
    fmt::print(stderr, "\r\x1b[K{}", line);
    std::fflush(stderr);
    drawn_ = true;
  }

 private:
  const bool terminal_;
  const TimePoint begin_;
  TimePoint last_{};
  bool drawn_ = false;
};

Result<std::vector<pool::Outcome>> replay(const pool::Trace& trace, const std::vector<pool::Contender>& contenders) {
  Progress progress;
  std::vector<pool::Outcome> outcomes;
  for (size_t run = 0; run < contenders.size(); ++run) {
    const pool::Watch watch{[] { return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count(); },
                            [&](size_t done, size_t all) {
                              progress.show(contenders[run].name, run, contenders.size(), done, all);
                              return interrupted == 0;
                            }};
    auto outcome = pool::simulate(trace, contenders[run], watch);
    if (!outcome) return outcome.error();
    outcomes.push_back(std::move(*outcome));
  }
  return outcomes;
}

}  // namespace

int pool_simulate_verb(const Args& args) {
  Options options;
  CLI::App app(
      "Replays a trace of claims under one policy after the other, and tells what became of hosts and waiting times.",
      "nearmetal pool simulate");
  auto* trace =
      app.add_option("TRACE", options.trace, "CSV or JSON lines, - for standard input; src/pool/trace.md says which");
  app.add_option("--policy", options.policies,
                 "pack, spread, first-fit or best-fit; may be repeated (pack, first-fit, best-fit)")
      ->check(CLI::IsMember({"pack", "spread", "first-fit", "best-fit"}))
      ->allow_extra_args(false)
      ->type_name("NAME");
  app.add_flag("--generate", options.generate, "make a trace instead of reading one")->excludes(trace);
  app.add_option("--gpus", options.wish.gpus, "there are, where the trace has no hosts (10000)")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("NUMBER");
  app.add_option("--gpus-per-host", options.wish.per_host, "of them on a host (8)")
      ->check(CLI::Range(1, 64))
      ->type_name("NUMBER");
  app.add_option("--model", options.wish.model, "of all of them; else three models")->type_name("NAME");
  app.add_option("--claims", options.wish.claims, "to make (100000)")
      ->check(CLI::Range(1, 10'000'000))
      ->type_name("NUMBER");
  app.add_option("--load", options.wish.load, "GPU time claimed, over what there is (0.95)")
      ->check(CLI::Range(0.01, 10.0))
      ->type_name("RATIO");
  app.add_option("--seed", options.wish.seed, "of the trace that is made (1)")->type_name("NUMBER");
  app.add_option("--save", options.save, "keep the trace, JSON lines, in a file that is not there yet")
      ->type_name("FILE");
  app.add_option("-o,--output", options.output, "table (the default) or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORMAT");
  app.footer(
      "Example:\n  nearmetal pool simulate --generate --gpus 10000 --claims 100000 --seed 1\n  nearmetal pool simulate "
      "trace.csv --gpus 64 --policy pack -o json");
  if (const auto status = parse(app, args)) return *status;
  if (!options.generate && options.trace.empty())
    return fail("There is no trace to replay. Name a file, or write --generate.", kUsage);

  const auto made = make_trace(options);
  if (!made) return fail(made.error().message);
  if (options.policies.empty()) options.policies = {"pack", "first-fit", "best-fit"};
  std::vector<pool::Contender> contenders;
  for (const std::string& name : options.policies) {
    auto contender = pool::contender(name, *made);
    if (!contender) return fail(contender.error().message, kUsage);
    contenders.push_back(std::move(*contender));
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  const auto outcomes = replay(*made, contenders);
  if (!outcomes) return fail(outcomes.error().message, interrupted ? kInterruptedByUser : kFailed);
  if (options.output == "json") {
    fmt::print("{}\n", simulation_json(*made, *outcomes).dump(2));
  } else {
    for (const std::string& line : simulation_table(*made, *outcomes)) fmt::print("{}\n", line);
  }
  return 0;
}

}  // namespace nm::cmd
