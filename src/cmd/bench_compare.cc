// nearmetal bench compare: ways to a GPU, measured by turns.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "bench/compare.h"
#include "bench/results_io.h"
#include "cmd/bench.h"

namespace nm::cmd {
namespace {

struct CompareFlags {
  std::vector<std::string> targets;
  int64_t pairs = 20;
  std::string margin = "1%";
  bool different_gpus = false;
  ShowOptions show;
};

// The target of a saved file: the one that was named, or the only one.
Result<std::string> target_in(const bench::ResultFile& file, const std::string& inner) {
  std::string labels;
  for (const bench::TargetInfo& target : file.targets) {
    if (!inner.empty() && target.label == inner) return inner;
    labels += (labels.empty() ? "" : ", ") + target.label;
  }
  if (inner.empty() && file.targets.size() == 1) return file.targets[0].label;
  if (file.targets.empty()) return Error{fmt::format("{} names no target.", file.path)};
  return Error{inner.empty() ? fmt::format("{} has several targets: {}. Say which: {}#{}", file.path, labels, file.path,
                                           file.targets[0].label)
                             : fmt::format("{} has no target \"{}\". It has: {}.", file.path, inner, labels)};
}

// Files read once, whatever they are named for.
class Files {
 public:
  Result<const bench::ResultFile*> read(const std::string& path) {
    for (const auto& file : files_) {
      if (file->path == path) return static_cast<const bench::ResultFile*>(file.get());
    }
    auto file = bench::read_results(path);
    if (!file) return file.error();
    return add(std::move(*file));
  }
  const bench::ResultFile* add(bench::ResultFile file) {
    files_.push_back(std::make_unique<bench::ResultFile>(std::move(file)));
    return files_.back().get();
  }
  std::vector<bench::ResultFile> all() const {
    std::vector<bench::ResultFile> out;
    for (const auto& file : files_) out.push_back(*file);
    return out;
  }

 private:
  std::vector<std::unique_ptr<bench::ResultFile>> files_;
};

// A label given twice to files means two boots of one machine.
Result<void> add_saved(const bench::Target& target, Files& files, std::vector<bench::Arm>& arms) {
  const auto file = files.read(target.file);
  if (!file) return file.error();
  const auto inner = target_in(**file, target.inner);
  if (!inner) return inner.error();
  const std::string label = target.label.empty() ? target.file : target.label;
  for (bench::Arm& arm : arms) {
    if (arm.label != label) continue;
    arm.sources.push_back({*file, *inner});
    return {};
  }
  arms.push_back({label, {{*file, *inner}}});
  return {};
}

int compare_targets(const std::vector<bench::Target>& targets, const BenchOptions& options, const CompareFlags& flags,
                    double margin) {
  Files files;
  // What was saved is read first: a file that is no good is said before an hour is spent.
  for (const bench::Target& target : targets) {
    if (!target.saved()) continue;
    const auto file = files.read(target.file);
    if (!file) return fail(file.error().message);
    if (const auto inner = target_in(**file, target.inner); !inner) return fail(inner.error().message);
  }
  bench::Session session;
  session.pairs = flags.pairs;
  session.warm_up = true;
  session.order_seed = options.seed;
  session.different_gpus = flags.different_gpus;
  for (const bench::Target& target : targets) {
    if (!target.saved()) session.ways.push_back({target, false});
  }
  if (!targets[0].saved()) session.ways.insert(session.ways.begin() + 1, {targets[0], true});
  Measured measured;
  const bench::ResultFile* live = nullptr;
  if (!session.ways.empty()) {
    auto programs = choose_programs(options);
    if (!programs) return fail(programs.error().message);
    session.programs = std::move(*programs);
    auto done = measure(session, options, "compare");
    if (!done) return fail(done.error().message);
    measured = std::move(*done);
    live = files.add(measured.file);
  }
  std::vector<bench::Arm> arms;
  for (const bench::Target& target : targets) {
    if (!target.saved()) {
      arms.push_back({target.label, {{live, target.label}}});
    } else if (const auto added = add_saved(target, files, arms); !added) {
      return fail(added.error().message);
    }
  }
  if (!measured.stopped.empty()) fail(measured.stopped);
  const auto comparison =
      bench::compare(arms, {.margin = margin, .seed = options.seed, .different_gpus = flags.different_gpus});
  if (!comparison) return fail(comparison.error().message);
  const int status = show_comparison(*comparison, files.all(), flags.show);
  if (measured.interrupted) return fail("Ended by Ctrl-C; this is what was measured so far.", kInterrupted);
  if (!measured.stopped.empty()) return kFailed;
  const bool nothing = std::all_of(comparison->targets.begin(), comparison->targets.end(),
                                   [](const auto& target) { return target.metrics.empty(); });
  if (status == 0 && nothing) {
    return fail("Nothing was compared: no figure was measured through both targets, for the reasons above.");
  }
  return status;
}

}  // namespace

int bench_compare_verb(const Args& args) {
  BenchOptions options;
  CompareFlags flags;
  CLI::App app(
      "Measures ways to a GPU by turns, in random order, and compares each with the first, which also runs against "
      "itself. A TARGET is native (this machine as it is), `run --server …` (nearmetal's), any command that others are "
      "put behind (`ssh vm`, `podman run …`), or a saved file; LABEL=TARGET gives it a name.",
      "nearmetal bench compare");
  app.add_option("TARGET", flags.targets, "two or more")->required();
  add_bench_flags(app, options);
  app.add_option("--pairs", flags.pairs, "runs of each program through each target (default 20)")
      ->check(CLI::Range(1, 10'000))
      ->type_name("NUMBER");
  app.add_option("--margin", flags.margin, "what counts as no difference (default 1%)")->type_name("PERCENT");
  app.add_option("--workload-there", options.workload_there,
                 "where nearmetal-workload is for targets that run elsewhere (default: the same path)")
      ->type_name("PATH");
  app.add_flag("--different-gpus", flags.different_gpus, "compare although the targets reach different GPUs");
  add_show_flags(app, flags.show);
  app.footer("Example:\n  nearmetal bench compare native 'run --server unix:/tmp/gpu.sock' --save results.jsonl");
  if (const auto status = parse(app, args)) return *status;

  const auto margin = parse_margin(flags.margin);
  if (!margin) return fail(margin.error().message, kUsage);
  if (flags.targets.size() < 2) {
    return fail("A comparison needs two targets, as in: nearmetal bench compare native 'run --server ADDRESS'.",
                kUsage);
  }
  const auto targets = bench::parse_targets(flags.targets, own_tree());
  if (!targets) return fail(targets.error().message, kUsage);
  return compare_targets(*targets, options, flags, *margin);
}

}  // namespace nm::cmd
