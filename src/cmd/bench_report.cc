// nearmetal bench report: what was measured before, here or on other machines. And how every comparison is shown.
#include <errno.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "bench/compare.h"
#include "bench/report.h"
#include "bench/results_io.h"
#include "cmd/bench.h"

namespace nm::cmd {
namespace {

bench::ReportOptions terminal() {
  bench::ReportOptions options;
  winsize size = {};
  if (!::isatty(STDOUT_FILENO)) return options;
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) options.width = size.ws_col;
  options.colour = ::getenv("NO_COLOR") == nullptr;
  return options;
}

struct Named {
  bench::Source source;
  std::string label;
};

// Every target of every file. Labels that two of them have get the host's name, or the file's.
std::vector<Named> targets_of(const std::vector<bench::ResultFile>& files) {
  std::vector<Named> out;
  std::map<std::string, int> labels, with_host;
  for (const auto& file : files) {
    for (const auto& target : file.targets) {
      out.push_back({{&file, target.label}, target.label});
      ++labels[target.label];
      ++with_host[target.label + "@" + file.host()];
    }
  }
  for (Named& each : out) {
    if (labels[each.label] < 2) continue;
    const std::string hosted = each.label + "@" + each.source.file->host();
    each.label = with_host[hosted] < 2 ? hosted : each.label + " " + each.source.file->path;
  }
  return out;
}

std::vector<bench::Arm> arms_of(const std::vector<bench::ResultFile>& files) {
  std::vector<bench::Arm> arms;
  for (const Named& each : targets_of(files)) arms.push_back({each.label, {each.source}});
  return arms;
}

}  // namespace

void add_show_flags(CLI::App& app, ShowOptions& options) {
  app.add_option("-o,--output", options.output, "table (the default), json or tsv (as SHOC's own driver writes)")
      ->check(CLI::IsMember({"table", "json", "tsv"}))
      ->type_name("FORMAT");
  app.add_option("--html", options.html, "write a page with figures, one file that needs nothing else")
      ->type_name("FILE");
}

int show_comparison(const bench::Comparison& comparison, const std::vector<bench::ResultFile>& files,
                    const ShowOptions& options) {
  if (options.output == "json") {
    fmt::print("{}", bench::json_report(comparison));
  } else if (options.output == "tsv") {
    fmt::print("{}", bench::shoc_tsv(comparison, files));
  } else {
    fmt::print("{}", bench::terminal_report(comparison, files, terminal()));
  }
  if (std::fflush(stdout) != 0) return fail(fmt::format("The report could not be written: {}.", strerror(errno)));
  if (!options.html.empty()) {
    std::ofstream out(options.html, std::ios::binary);
    if (!(out << bench::html_report(comparison, files)) || !out.flush()) {
      return fail(fmt::format("Cannot write {}: {}. Give --html a place that can be written to.", options.html,
                              strerror(errno)));
    }
  }
  if (!comparison.failed.empty()) return fail(fmt::format("{} runs failed.", comparison.failed.size()));
  return 0;
}

int bench_report_verb(const Args& args) {
  std::vector<std::string> paths;
  std::string margin_text = "1%";
  bool different_gpus = false;
  uint64_t seed = 1;
  ShowOptions show;
  CLI::App app(
      "Compares what was measured before. The first target of the first FILE is the reference. Targets of one FILE "
      "were "
      "measured by turns; those of different ones, of a host and its guest for instance, were not, and the report says "
      "so.",
      "nearmetal bench report");
  app.add_option("FILE", paths, "what --save wrote; one or more")->required();
  app.add_option("--margin", margin_text, "what counts as no difference (default 1%)")->type_name("PERCENT");
  app.add_option("--seed", seed, "of the bootstrap (default 1)")->type_name("NUMBER");
  app.add_flag("--different-gpus", different_gpus, "compare although the targets reach different GPUs");
  add_show_flags(app, show);
  app.footer("Example:\n  nearmetal bench report host.jsonl guest.jsonl --html report.html");
  if (const auto status = parse(app, args)) return *status;

  const auto margin = parse_margin(margin_text);
  if (!margin) return fail(margin.error().message, kUsage);
  std::vector<bench::ResultFile> files;
  for (const std::string& path : paths) {
    auto file = bench::read_results(path);
    if (!file) return fail(file.error().message);
    if (file->targets.empty()) return fail(fmt::format("{} names no target.", path));
    files.push_back(std::move(*file));
  }
  const auto arms = arms_of(files);
  if (arms.size() == 1 && show.output == "table" && show.html.empty()) {
    for (const auto& file : files) fmt::print("{}", bench::run_table(file, terminal()));
    return 0;
  }
  const auto comparison = bench::compare(arms, {.margin = *margin, .seed = seed, .different_gpus = different_gpus});
  if (!comparison) return fail(comparison.error().message);
  return show_comparison(*comparison, files, show);
}

}  // namespace nm::cmd
