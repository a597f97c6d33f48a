// nearmetal bench run: what this machine's GPU does, here and now. And how a session is run, for `compare` too.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/version.h"
#include "bench/fingerprint.h"
#include "bench/report.h"
#include "cmd/bench.h"
#include "cmd/bench_progress.h"

namespace nm::cmd {
namespace {

bench::ResultFile header_of(const bench::Session& session, const std::string& verb) {
  bench::ResultFile file;
  file.nearmetal = kVersion;
  file.session = bench::random_name();
  file.verb = verb;
  file.started = bench::now_text();
  file.seed = session.order_seed;
  file.pairs = session.pairs;
  for (const bench::Way& way : session.ways) {
    if (!way.self) file.targets.push_back({way.target.label, way.target.prefix});
  }
  return file;
}

}  // namespace

Result<Measured> measure(const bench::Session& session, const BenchOptions& options, const std::string& verb) {
  Measured out;
  out.file = header_of(session, verb);
  out.file.fingerprints.push_back(bench::fingerprint("before"));
  std::optional<bench::ResultWriter> writer;
  if (!options.save.empty()) {
    auto made = bench::ResultWriter::create(options.save);
    if (!made) return made.error();
    writer.emplace(std::move(*made));
    for (const auto& wrote : {writer->header(out.file), writer->fingerprint(out.file.fingerprints[0])}) {
      if (!wrote) return wrote.error();
    }
  }
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on files is a sentence, not an end
  const bench::Interrupt interrupt;
  BenchProgress progress(::isatty(STDERR_FILENO));
  bench::LiveOptions live{.workload_here = workload_path(options.workload),
                          .workload_there = options.workload_there,
                          .passes = options.passes,
                          .seed = options.seed,
                          .time_limit = std::nullopt};
  if (options.timeout > 0) live.time_limit = Millis(static_cast<int64_t>(options.timeout * 1000));
  bench::LiveBench bench(std::move(live), interrupt, writer ? &*writer : nullptr,
                         [&](const bench::Progress& step) { progress.show(step); });
  auto outcome = bench::sample(session, bench);
  progress.clear();
  out.file.runs = std::move(outcome.runs);
  out.file.complete = outcome.complete;
  out.file.fingerprints.push_back(bench::fingerprint("after"));
  out.interrupted = outcome.interrupted;
  out.stopped = outcome.stopped;
  for (const bench::Run& run : out.file.runs) {
    if (out.file.suite_version.empty()) out.file.suite_version = run.suite_version;
  }
  if (writer && out.stopped.empty()) {
    for (const auto& wrote : {writer->fingerprint(out.file.fingerprints[1]), writer->end(out.file.complete)}) {
      if (!wrote && out.stopped.empty()) out.stopped = wrote.error().message;
    }
  }
  return out;
}

int bench_run_verb(const Args& args) {
  BenchOptions options;
  int64_t runs = 1;
  CLI::App app("Measures this machine's GPU: every program in a process of its own, every result checked.",
               "nearmetal bench run");
  add_bench_flags(app, options);
  app.add_option("--runs", runs, "processes of each program (default 1); comparing files needs at least 3, better 20")
      ->check(CLI::Range(1, 10'000))
      ->type_name("NUMBER");
  app.footer("Example:\n  nearmetal bench run --suite shoc --size gpu --runs 20 --save host.jsonl");
  if (const auto status = parse(app, args)) return *status;

  auto programs = choose_programs(options);
  if (!programs) return fail(programs.error().message);
  bench::Session session;
  session.programs = std::move(*programs);
  session.ways = {{{.label = "native", .prefix = {}, .here = true, .file = "", .inner = ""}, false}};
  session.pairs = runs;
  session.order_seed = options.seed;
  const auto measured = measure(session, options, "run");
  if (!measured) return fail(measured.error().message);
  fmt::print("{}", bench::run_table(measured->file, {}));
  if (measured->interrupted) return fail("Ended by Ctrl-C; this is what was measured so far.", kInterrupted);
  if (!measured->stopped.empty()) return fail(measured->stopped);
  const auto bad = std::count_if(measured->file.runs.begin(), measured->file.runs.end(), [](const bench::Run& run) {
    return run.status != bench::Status::ok && run.status != bench::Status::skipped;
  });
  if (bad > 0) return fail(fmt::format("{} of {} runs failed.", bad, measured->file.runs.size()));
  const bool nothing = std::all_of(measured->file.runs.begin(), measured->file.runs.end(),
                                   [](const bench::Run& run) { return run.samples.empty(); });
  if (nothing) return fail("Nothing was measured: none of these programs can run here, for the reasons above.");
  return 0;
}

}  // namespace nm::cmd
