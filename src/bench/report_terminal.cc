// The comparison on a terminal, in the shape of the papers' Table III: a row a level, mean and maximum overhead for
// each target, first over everything, then over what includes transfers; under it the rows of 2014, and what stands
// out.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/grid.h"
#include "bench/papers.h"
#include "bench/report.h"
#include "bench/report_words.h"

namespace nm::bench {
namespace {

constexpr size_t kOutstanding = 12;  // lines a target; the page has them all

Tint tint_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::equivalent:
      return Tint::good;
    case Verdict::faster:
      return Tint::fast;
    case Verdict::overhead:
      return Tint::bad;
    case Verdict::inconclusive:
      return Tint::unsure;
  }
  return Tint::none;
}

// The rows of the table: every part that some target has a summary of, in the order of the first that has it.
struct Part {
  std::string suite, api;
  std::optional<int64_t> level;
  bool pcie_only;
  bool operator==(const Part&) const = default;
};
Part part_of(const Summary& summary) { return {summary.suite, summary.api, summary.level, summary.pcie_only}; }

std::vector<Part> parts(const std::vector<const TargetComparison*>& targets) {
  std::vector<Part> all;
  for (const bool pcie_only : {false, true}) {
    for (const TargetComparison* target : targets) {
      for (const Summary& summary : target->summaries) {
        if (summary.pcie_only != pcie_only) continue;
        const Part part = part_of(summary);
        if (std::find(all.begin(), all.end(), part) == all.end()) all.push_back(part);
      }
    }
  }
  return all;
}

const Summary* summary_of(const TargetComparison& target, const Part& part) {
  for (const Summary& summary : target.summaries) {
    if (part_of(summary) == part) return &summary;
  }
  return nullptr;
}

// One block: as many targets as fit beside each other.
Grid table(const std::vector<const TargetComparison*>& targets) {
  Grid grid;
  const std::vector<Part> rows = parts(targets);
  const bool many_apis =
      std::any_of(rows.begin(), rows.end(), [&](const Part& part) { return part.api != rows[0].api; });
  std::vector<Cell> head{{"", Tint::none, true}, {"", Tint::none, true}}, under = head;
  for (size_t i = 0; i < targets.size(); ++i) {
    grid.widen(2 + 4 * i, 2);
    head.insert(head.end(), {{""}, {targets[i]->label, Tint::strong, true}, {""}, {"", Tint::none, true}});
    under.insert(under.end(), {{"mean", Tint::faint},
                               {"interval", Tint::faint, true},
                               {"max overhead", Tint::faint},
                               {"verdict of the mean", Tint::faint, true}});
  }
  grid.row(head);
  grid.row(under);
  bool pcie_begun = false, first = true;
  for (const Part& part : rows) {
    Summary named;
    named.suite = part.suite, named.level = part.level;
    const bool new_group = first || (part.pcie_only && !pcie_begun);
    if (part.pcie_only && !pcie_begun && !first) grid.row({{"", Tint::none, true}});
    pcie_begun = pcie_begun || part.pcie_only;
    first = false;
    std::vector<Cell> cells{{new_group ? part.pcie_only ? "PCIe only" : "all" : "", Tint::faint, true},
                            {level_text(named) + (many_apis ? " " + part.api : ""), Tint::none, true}};
    for (const TargetComparison* target : targets) {
      const Summary* summary = summary_of(*target, part);
      if (!summary) {
        cells.insert(cells.end(), {{"–", Tint::faint}, {"", Tint::none, true}, {""}, {"", Tint::none, true}});
        continue;
      }
      cells.push_back({ratio_text(summary->ratio), tint_of(summary->verdict)});
      cells.push_back({interval_text(summary->t), Tint::faint, true});
      cells.push_back({overhead_text(summary->max_overhead())});
      cells.push_back({verdict_name(summary->verdict), tint_of(summary->verdict), true});
    }
    grid.row(cells);
  }
  return grid;
}

Grid papers_table() {
  Grid grid;
  std::vector<Cell> gpus{{"", Tint::none, true}, {"", Tint::none, true}}, names = gpus;
  size_t column = 2;
  for (const std::string_view gpu : kPaperGpus) {
    grid.widen(column, 2);
    for (const std::string_view hypervisor : kPaperHypervisors) {
      gpus.push_back({hypervisor == kPaperHypervisors[0] ? std::string(gpu) : "", Tint::faint});
      gpus.push_back({""});
      names.push_back({std::string(hypervisor), Tint::faint});
      names.push_back({"max", Tint::faint});
      column += 2;
    }
  }
  grid.row(gpus);
  grid.row(names);
  for (const bool pcie_only : {false, true}) {
    for (int level = 0; level < 3; ++level) {
      std::vector<Cell> cells{{level == 0 ? pcie_only ? "PCIe only" : "all" : "", Tint::faint, true},
                              {fmt::format("level {}", level), Tint::faint, true}};
      for (const std::string_view gpu : kPaperGpus) {
        for (const std::string_view hypervisor : kPaperHypervisors) {
          const PaperRow* row = paper_row(gpu, hypervisor, level, pcie_only);
          cells.push_back({std::string(row->mean), Tint::faint});
          cells.push_back({std::string(row->max) + (row->max == "N/A" ? "" : "%"), Tint::faint});
        }
      }
      grid.row(cells);
    }
  }
  return grid;
}

void add(std::string& text, const Grid& grid, const ReportOptions& options) {
  for (const std::string& line : grid.lines(options.colour, 1)) text += line + "\n";
}

// Long sentences at the width of the terminal, further lines indented.
void add_wrapped(std::string& text, const std::string& sentence, const ReportOptions& options, Tint tint = Tint::none) {
  const size_t width = options.width ? std::max<size_t>(options.width, 40) : 110;
  std::string line;
  size_t begin = 0;
  bool first = true;
  const auto flush = [&] {
    text += (first ? "" : "  ") + tinted(line, tint, options.colour) + "\n";
    line.clear();
    first = false;
  };
  while (begin < sentence.size()) {
    size_t end = sentence.find(' ', begin);
    if (end == std::string::npos) end = sentence.size();
    const std::string word = sentence.substr(begin, end - begin);
    if (!line.empty() && width_of(line) + 1 + width_of(word) + (first ? 0 : 2) > width) flush();
    line += (line.empty() ? "" : " ") + word;
    begin = end + 1;
  }
  if (!line.empty()) flush();
}

// The worst, and if there are many the best as well: both ends are news.
Grid outstanding_table(const std::vector<const MetricComparison*>& list, bool intervals) {
  Grid grid;
  const size_t shown = std::min(list.size(), kOutstanding), from_end = list.size() > kOutstanding ? 3 : 0;
  for (size_t i = 0; i < shown; ++i) {
    const MetricComparison& metric = *list[i < shown - from_end ? i : list.size() - shown + i];
    std::vector<Cell> cells{{metric.program, Tint::none, true},
                            {metric.metric, Tint::none, true},
                            {value_text(median(metric.reference))},
                            {"→", Tint::faint},
                            {value_text(median(metric.target))},
                            {metric.unit, Tint::faint, true},
                            {ratio_text(metric.ratio), tint_of(metric.verdict)}};
    if (intervals) cells.push_back({interval_text(metric.t), Tint::faint, true});
    cells.push_back({verdict_name(metric.verdict), tint_of(metric.verdict), true});
    grid.row(cells);
  }
  return grid;
}

void add_outstanding(std::string& text, const TargetComparison& target, const ReportOptions& options) {
  const std::vector<const MetricComparison*> list = outstanding(target);
  const auto undecided =
      static_cast<size_t>(std::count_if(target.metrics.begin(), target.metrics.end(),
                                        [](const auto& metric) { return metric.verdict == Verdict::inconclusive; }));
  if (!list.empty()) {
    text += "\n" +
            tinted(fmt::format("{}: off by 0.5 % and more, or decided ({} of {} figures)", target.label, list.size(),
                               target.metrics.size()),
                   Tint::strong, options.colour) +
            "\n";
    Grid grid = outstanding_table(list, true);
    if (options.width && grid.width() + 1 > options.width) grid = outstanding_table(list, false);
    add(text, grid, options);
    if (list.size() > kOutstanding)
      text += fmt::format(" … and {} more between; --html FILE and -o json have all.\n", list.size() - kOutstanding);
  }
  if (undecided > 0) {
    int64_t most = 0;
    bool unknown = false;
    for (const MetricComparison& metric : target.metrics) {
      if (metric.verdict != Verdict::inconclusive) continue;
      unknown = unknown || !metric.pairs_needed;
      most = std::max(most, metric.pairs_needed.value_or(0));
    }
    add_wrapped(text,
                fmt::format("{}: {} of {} figures are INCONCLUSIVE at this number of pairs{}.", target.label, undecided,
                            target.metrics.size(),
                            unknown ? "; some vary too much for any reasonable number"
                                    : fmt::format("; {} pairs would decide the most variable one", most)),
                options, Tint::faint);
  }
}

}  // namespace

std::string terminal_report(const Comparison& comparison, const std::vector<ResultFile>&,
                            const ReportOptions& options) {
  std::string text;
  add_wrapped(text, headline(comparison), options, Tint::strong);
  text += "\n";
  // As many targets side by side as the terminal is wide.
  std::vector<const TargetComparison*> block;
  const auto flush = [&] {
    if (!block.empty()) add(text, table(block), options);
    block.clear();
  };
  for (const TargetComparison& target : comparison.targets) {
    block.push_back(&target);
    if (block.size() > 1 && options.width && table(block).width() + 1 > options.width) {
      block.pop_back();
      flush();
      text += "\n";
      block.push_back(&target);
    }
  }
  flush();
  add_wrapped(text, "Performance relative to " + comparison.reference + ": 1 is the same, less is overhead.", options,
              Tint::faint);
  text += "\n";
  add_wrapped(text, noise_sentence(comparison), options, comparison.self && !comparison.quiet ? Tint::bad : Tint::none);

  for (const TargetComparison& target : comparison.targets) {
    add_outstanding(text, target, options);
    for (const std::string& note : target.notes) add_wrapped(text, target.label + ": " + note, options, Tint::unsure);
  }

  const bool has_shoc = std::any_of(comparison.targets.begin(), comparison.targets.end(), [](const auto& target) {
    return std::any_of(target.summaries.begin(), target.summaries.end(),
                       [](const auto& part) { return part.suite == "shoc"; });
  });
  const Grid papers = papers_table();
  if (has_shoc && (!options.width || papers.width() + 1 <= options.width)) {
    text += "\n" +
            tinted(fmt::format("For comparison, 2014: guests with a passed-through GPU ({})", kPaperCitation),
                   Tint::faint, options.colour) +
            "\n";
    add(text, papers, options);
  }

  const std::vector<std::string> troubles = trouble_sentences(comparison);
  if (!troubles.empty()) text += "\n";
  for (const std::string& trouble : troubles) add_wrapped(text, trouble, options, Tint::bad);
  return text;
}

std::string run_table(const ResultFile& file, const ReportOptions& options) {
  // A program that ran several times is one row a figure: the median of its runs, and from the least to the most.
  struct Row {
    const Run* run;
    const Sample* sample;
    std::vector<double> units;
    size_t runs = 0;
  };
  std::vector<Row> rows;
  std::map<std::string, size_t> place;
  std::vector<std::string> troubles;
  const auto trouble = [&](const std::string& sentence) {
    if (std::find(troubles.begin(), troubles.end(), sentence) == troubles.end()) troubles.push_back(sentence);
  };
  for (const Run& run : file.runs) {
    if (run.warm_up) continue;
    for (const Sample& sample : run.samples) {
      const std::string key = run.target + "\n" + run.program + "\n" + run.api + "\n" + run.size + "\n" + sample.metric;
      const auto [at, fresh] = place.try_emplace(key, rows.size());
      if (fresh) rows.push_back({&run, &sample, {}, 0});
      Row& row = rows[at->second];
      ++row.runs;
      row.units.insert(row.units.end(), sample.values.begin(), sample.values.end());
    }
    for (const Skip& skip : run.skips) {
      trouble(run.program + (skip.metric == "*" ? "" : " " + skip.metric) + " skipped: " + skip.why);
    }
    if (run.status != Status::ok && run.status != Status::skipped) {
      trouble(fmt::format("{} ({}): {}: {}", run.program, run.api, status_name(run.status), run.sentence));
    }
  }
  const bool many_targets = file.targets.size() > 1;
  const bool many_apis =
      std::any_of(rows.begin(), rows.end(), [&](const Row& row) { return row.run->api != rows[0].run->api; });
  Grid grid;
  std::string program;
  for (const Row& row : rows) {
    const auto [least, most] = std::minmax_element(row.units.begin(), row.units.end());
    const std::string name =
        row.run->program + (many_targets ? " " + row.run->target : "") + (many_apis ? " " + row.run->api : "");
    grid.row(
        {{name == program ? "" : name, Tint::strong, true},
         {row.sample->metric, Tint::none, true},
         {value_text(median(row.units))},
         {row.sample->unit, Tint::faint, true},
         {row.units.size() > 1 ? fmt::format("{} … {}", value_text(*least), value_text(*most)) : "", Tint::faint, true},
         {row.runs > 1 ? fmt::format("{} runs", row.runs) : "", Tint::faint, true}});
    program = name;
  }
  std::string text;
  add(text, grid, options);
  for (const std::string& sentence : troubles) add_wrapped(text, sentence, options, Tint::unsure);
  return text;
}

}  // namespace nm::bench
