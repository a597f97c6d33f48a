#include "bench/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/contrast.h"

namespace nm::bench {
namespace {

void append(std::vector<Fault>& to, const std::vector<Fault>& from) { to.insert(to.end(), from.begin(), from.end()); }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

// Pairs exist within one session: one file, one source on either side.
bool are_paired(const Arm& reference, const Arm& target) {
  return reference.sources.size() == 1 && target.sources.size() == 1 &&
         reference.sources[0].file == target.sources[0].file;
}

// "hashed from" the files: an arm of a saved file is called by label and file in sentences.
std::string name_of(const Arm& arm) {
  const std::string& path = arm.sources.front().file->path;
  return path.empty() ? arm.label : fmt::format("{} ({})", arm.label, path);
}

Result<void> comparable(const Arm& a, const Units& in_a, const Arm& b, const Units& in_b, bool different_gpus) {
  for (const auto* units : {&in_a, &in_b}) {
    if (units->suite_versions.size() > 1) {
      return Error{fmt::format("{} was measured with several versions of the suite ({}). Measure it anew with one.",
                               name_of(units == &in_a ? a : b), joined(units->suite_versions))};
    }
    if (units->devices.size() > 1 && !different_gpus) {
      return Error{
          fmt::format("{} was measured on several GPUs ({}). Measure it anew on one, or add --different-gpus to "
                      "take them for the same.",
                      name_of(units == &in_a ? a : b), joined(units->devices))};
    }
  }
  if (!in_a.suite_versions.empty() && !in_b.suite_versions.empty() && in_a.suite_versions != in_b.suite_versions) {
    return Error{
        fmt::format("{} was measured with version {} of the suite and {} with version {}: their programs are not "
                    "the same. Measure one of them anew.",
                    name_of(a), in_a.suite_versions[0], name_of(b), in_b.suite_versions[0])};
  }
  if (!different_gpus && !in_a.devices.empty() && !in_b.devices.empty() && in_a.devices != in_b.devices) {
    return Error{
        fmt::format("{} was measured on {} and {} on {}: those are not two ways to one GPU. Add --different-gpus to "
                    "compare them all the same.",
                    name_of(a), in_a.devices[0], name_of(b), in_b.devices[0])};
  }
  return {};
}

bool anything_in_common(const Units& a, const Units& b) {
  return std::any_of(a.columns.begin(), a.columns.end(), [&](const Column& column) { return b.find(column.info); });
}

std::vector<std::string> command_of(const Arm& arm) {
  for (const TargetInfo& target : arm.sources.front().file->targets) {
    if (target.label == arm.sources.front().target) return target.command;
  }
  return {};
}

TargetComparison contrast_of(const Arm& arm, const Contrast& contrast) {
  TargetComparison out;
  out.label = arm.label;
  out.command = command_of(arm);
  out.file = arm.sources.front().file->path;
  out.device = contrast.target.devices.empty() ? "" : contrast.target.devices[0];
  out.host = arm.sources.front().file->host();
  out.paired = contrast.paired;
  out.notes = contrast.target.notes;
  if (!contrast.paired) {
    out.notes.push_back(
        "Measured in another session than the reference: not paired (Welch's intervals). What changed between the "
        "sessions, temperature for one, counts as a difference of the targets.");
    for (const Units* units : {&contrast.reference, &contrast.target}) {
      if (units->boots > 1) {
        out.notes.push_back(fmt::format("{}: {} boots, each of which counts as one observation.",
                                        units == &contrast.target ? "This target" : "The reference", units->boots));
      }
    }
  }
  out.metrics = compare_metrics(contrast, out.notes);
  out.summaries = summarise(contrast, out.metrics, out.notes);
  return out;
}

std::string level_name(const Summary& summary) {
  const std::string level = summary.level ? fmt::format(" level {}", *summary.level) : "";
  return fmt::format("{}{}{}", summary.suite, level, summary.api.empty() ? "" : " (" + summary.api + ")");
}

// A level stands for itself; a suite only where it has no levels.
bool is_row_of_its_own(const Summary& summary, const std::vector<Summary>& all) {
  if (summary.level) return true;
  return std::none_of(all.begin(), all.end(),
                      [&](const Summary& other) { return other.suite == summary.suite && other.level; });
}

void judge_noise(Comparison& out) {
  if (!out.self) return;
  std::string levels;
  int64_t needed = 0;
  size_t fewest = kFewest;
  bool known = true;
  for (const Summary& summary : out.self->summaries) {
    if (summary.pcie_only || !is_row_of_its_own(summary, out.self->summaries)) continue;
    if (summary.verdict == Verdict::equivalent) continue;
    levels += fmt::format("{}{} {:.4f} [{:.4f}, {:.4f}]", levels.empty() ? "" : ", ", level_name(summary),
                          summary.ratio, summary.t.low, summary.t.high);
    fewest = std::min(fewest, summary.pairs);
    known = known && summary.pairs_needed.has_value();
    needed = std::max(needed, summary.pairs_needed.value_or(0));
  }
  out.quiet = levels.empty() && !out.self->summaries.empty();
  if (out.quiet) return;
  if (levels.empty()) {
    out.noise = "The A/A run has no figures, so nothing says how quiet this machine is.";
    return;
  }
  if (fewest < kFewest) {
    out.noise = fmt::format(
        "The A/A run has {} pairs, too few to say how quiet this machine is: {} are the least, 20 are good.", fewest,
        kFewest);
    return;
  }
  out.noise =
      fmt::format("This machine is too noisy for a margin of {:g} %: {} against itself is not EQUIVALENT: {}. {}",
                  100 * out.margin, out.reference, levels,
                  known && needed > 0 ? fmt::format("By its spread that takes {} pairs (--pairs {}).", needed, needed)
                                      : "Make it quieter, or take a wider --margin.");
}

}  // namespace

Result<Comparison> compare(const std::vector<Arm>& arms, const CompareOptions& options) {
  Comparison out;
  out.margin = options.margin;
  out.seed = options.seed;
  const Arm& reference = arms.front();
  const ResultFile& first = *reference.sources.front().file;
  const Units base = collect(reference);
  out.reference = reference.label;
  out.reference_command = command_of(reference);
  out.reference_file = first.path;
  out.reference_host = first.host();
  out.reference_device = base.devices.empty() ? "" : base.devices[0];
  out.suite_version = first.suite_version;
  out.pairs_planned = first.pairs;

  std::vector<const ResultFile*> files;
  const auto note_file = [&](const ResultFile* file) {
    if (std::find(files.begin(), files.end(), file) != files.end()) return;
    files.push_back(file);
    out.complete = out.complete && file->complete;
    out.fingerprints.insert(out.fingerprints.end(), file->fingerprints.begin(), file->fingerprints.end());
  };
  const auto note_units = [&](const Units& units) {
    append(out.failed, units.failed);
    append(out.dropped, units.dropped);
    append(out.skipped, units.skipped);
  };
  for (const Source& source : reference.sources) note_file(source.file);
  note_units(base);

  const double log_margin = -std::log1p(-options.margin);
  DrawsOf draws(options.resamples, options.seed);
  for (size_t i = 1; i < arms.size(); ++i) {
    for (const Source& source : arms[i].sources) note_file(source.file);
    const Units units = collect(arms[i]);
    note_units(units);
    if (const auto good = comparable(reference, base, arms[i], units, options.different_gpus); !good) {
      return good.error();
    }
    const bool paired = are_paired(reference, arms[i]);
    // In one session a target of which every run failed is a row of failures; two files are somebody's mistake.
    if (!paired && !base.columns.empty() && !units.columns.empty() && !anything_in_common(base, units)) {
      return Error{fmt::format("{} and {} have no figure in common: other programs, another --size or another --api.",
                               name_of(reference), name_of(arms[i]))};
    }
    out.targets.push_back(contrast_of(arms[i], {base, units, paired, log_margin, out.confidence, draws}));
  }

  Arm again = reference;
  again.sources.front().self = true;
  const Units self = collect(again);
  if (reference.sources.size() == 1 && (!self.columns.empty() || !self.failed.empty())) {
    note_units(self);
    out.self = contrast_of(again, {base, self, true, log_margin, out.confidence, draws});
    judge_noise(out);
  }
  return out;
}

}  // namespace nm::bench
