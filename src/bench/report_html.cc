// The comparison as one page: no script, no font, no picture from elsewhere, so that it can be kept and sent.
#include <fmt/format.h>

#include "base/version.h"
#include "bench/page/figures.h"
#include "bench/page/style.h"
#include "bench/page/svg.h"
#include "bench/page/tables.h"
#include "bench/report.h"
#include "bench/report_words.h"

namespace nm::bench {
namespace {

using page::escaped;

std::string cards(const TargetComparison& target) {
  std::string html = "<div class=\"verdicts\">\n";
  for (const Summary& summary : target.summaries) {
    if (summary.pcie_only || (summary.suite == "shoc" && !summary.level)) continue;
    html += fmt::format(
        "<div class=\"card\"><span class=\"what\">{}{}</span><b>{}</b><span class=\"what\">{}</span><br><span "
        "class=\"word {}\">{}</span></div>\n",
        escaped(part_text(summary)), summary.api == "opencl" ? " (OpenCL)" : "", ratio_text(summary.ratio),
        escaped(interval_text(summary.t)), verdict_name(summary.verdict), verdict_name(summary.verdict));
  }
  return html + "</div>\n";
}

std::string commands(const Comparison& comparison) {
  const auto joined = [](const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    return text.empty() ? "(natively)" : text;
  };
  std::string html = "<p class=\"soft\">";
  html +=
      fmt::format("{}: <code>{}</code>", escaped(comparison.reference), escaped(joined(comparison.reference_command)));
  for (const TargetComparison& target : comparison.targets) {
    html += fmt::format(" · {}: <code>{}</code>", escaped(target.label), escaped(joined(target.command)));
  }
  return html + "</p>\n";
}

constexpr std::string_view kHow =
    R"(<p>A unit is one run of one program in a process of its own, summarised by the median of its passes. Runs of the
reference and of each target are interleaved in random ABBA blocks, never two at once, so that a drifting machine drifts for
both. A ratio is the geometric mean over pairs of runs; its interval is Student's t on the logarithms (and, beside it, a
BCa bootstrap of 10,000). A verdict is two one-sided tests against the margin: EQUIVALENT if the whole interval lies within it;
OVERHEAD or FASTER if a difference is certain after Holm's adjustment for the number of figures; else INCONCLUSIVE. The
maximum's interval allows for its having been chosen as the worst. The reference runs against itself as well (A/A): if
that is not EQUIVALENT, no verdict here is worth much, and the page says so at its top.</p>
)";

}  // namespace

std::string html_report(const Comparison& comparison, const std::vector<ResultFile>& files) {
  std::string title = "nearmetal bench: ";
  for (size_t i = 0; i < comparison.targets.size(); ++i) title += (i ? ", " : "") + comparison.targets[i].label;
  title += " against " + comparison.reference;

  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  html +=
      "<title>" + escaped(title) + "</title>\n<style>" + std::string(page::kStyle) + "</style></head>\n<body><main>\n";
  html += "<h1>" + escaped(title.substr(std::string("nearmetal bench: ").size())) + "</h1>\n";
  html += "<p class=\"soft\">" + escaped(headline(comparison)) + "</p>\n" + commands(comparison);

  html += fmt::format("<div class=\"note {}\">{}</div>\n", comparison.self ? comparison.quiet ? "good" : "bad" : "",
                      escaped(noise_sentence(comparison)));
  for (const std::string& trouble : trouble_sentences(comparison))
    html += "<div class=\"note bad\">" + escaped(trouble) + "</div>\n";

  for (const TargetComparison& target : comparison.targets) {
    html += fmt::format("<h2>{} <small>relative to {}</small></h2>\n", escaped(target.label),
                        escaped(comparison.reference));
    html += cards(target);
    for (const std::string& note : target.notes) html += "<div class=\"note\">" + escaped(note) + "</div>\n";
  }

  html += "<h2 id=\"levels\">Levels</h2>\n" + page::levels_table(comparison);
  html += "<h2 id=\"relative\">Figure by figure</h2>\n<div class=\"card\">" + page::relative_figure(comparison) +
          "</div>\n";
  const std::string curves = page::curves_figure(comparison);
  if (!curves.empty()) html += "<h2 id=\"curves\">Over sizes</h2>\n" + curves;
  const std::string samples = page::samples_figure(comparison);
  if (!samples.empty())
    html += "<h2 id=\"samples\">Distributions</h2>\n<p class=\"soft\">A dot is one process, a bar their median.</p>\n" +
            samples;
  html += "<h2 id=\"numbers\">All numbers</h2>\n" + page::metrics_table(comparison);
  html += "<h2 id=\"machines\">What it was measured on</h2>\n" + page::machines(comparison, files);
  html += "<h2 id=\"how\">How to read this</h2>\n" + std::string(kHow);
  html += fmt::format("<p class=\"soft\">nearmetal {}, suite {}.</p>\n</main></body></html>\n", kVersion,
                      escaped(comparison.suite_version.empty() ? "of scenarios" : comparison.suite_version));
  return html;
}

}  // namespace nm::bench
