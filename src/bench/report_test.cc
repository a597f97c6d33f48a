#include "bench/report.h"

#include <gtest/gtest.h>

#include <sstream>

#include "base/grid.h"
#include "bench/papers.h"
#include "bench/report_example.h"
#include "bench/report_words.h"

namespace nm::bench {
namespace {

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

std::string terminal(size_t width, bool colour = false) {
  const Example example = example_report();
  return terminal_report(example.comparison, example.files, {width, colour});
}

TEST(Grid, AlignsNumbersRightAndWordsLeft) {
  Grid grid;
  grid.row({{"a", Tint::none, true}, {"1"}});
  grid.row({{"long", Tint::none, true}, {"100"}});
  EXPECT_EQ(grid.lines(false), (std::vector<std::string>{"a       1", "long  100"}));
}

TEST(Grid, CountsColumnsOfTheScreenNotBytesNorColours) {
  Grid grid;
  grid.row({{"→", Tint::bad, true}, {"x"}});
  grid.row({{"ab", Tint::none, true}, {"y"}});
  EXPECT_EQ(grid.width(), 5u);
  EXPECT_EQ(grid.lines(true)[0], "\033[31m→\033[0m   x");
}

TEST(Words, NumbersAreShortAndHonest) {
  EXPECT_EQ(ratio_text(0.99849), "0.998");
  EXPECT_EQ(overhead_text(0.0157), "1.57 %");
  EXPECT_EQ(overhead_text(-0.02), "none");
  EXPECT_EQ(value_text(61234.4), "61,234");
  EXPECT_EQ(value_text(0.01234), "0.012");
  EXPECT_EQ(size_text(1 << 20, "B"), "1 MiB");
  EXPECT_EQ(interval_text({0, std::numeric_limits<double>::infinity()}), "unknown");
}

TEST(TerminalReport, HasARowALevelForAllAndForPcie) {
  const std::string text = terminal(0);
  EXPECT_EQ(count(text, " level 1  "), 2u + 2u);  // ours and 2014's, all and PCIe only
  EXPECT_NE(text.find("native and"), 0u);
  for (const char* word :
       {"rings", "tcp", "mean", "max overhead", "PCIe only", "EQUIVALENT", "OVERHEAD", "20 pairs", "NVIDIA H200"}) {
    EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
  }
}

TEST(TerminalReport, KeepsToTheWidthOfTheTerminal) {
  for (const size_t width : {80u, 100u, 132u}) {
    std::istringstream lines(terminal(width));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(width_of(line), width) << line;
    EXPECT_NE(terminal(width).find("tcp"), std::string::npos);
  }
}

TEST(TerminalReport, NamesWhatStandsOutWorstFirst) {
  const std::string text = terminal(0);
  const size_t of_tcp = text.find("tcp: off by"), bus = text.find("bspeed_download", of_tcp),
               reduction = text.find("reduction  ", of_tcp);
  ASSERT_NE(of_tcp, std::string::npos) << text;
  ASSERT_NE(bus, std::string::npos) << text;
  EXPECT_LT(bus, reduction) << text;
  EXPECT_EQ(count(text.substr(of_tcp), "h2d_pinned"), 1u) << "a curve is named by its worst point alone";
}

TEST(TerminalReport, SaysOnceWhatFailedTwice) {
  EXPECT_NE(terminal(0).find("GEMM was ended after 60 s without a result. (2 times)"), std::string::npos);
}

TEST(TerminalReport, ANoisyMachineIsSaid) {
  Example example = example_report();
  example.comparison.quiet = false;
  example.comparison.noise = "The machine is too noisy: A/A of level 1 is OVERHEAD.";
  EXPECT_NE(terminal_report(example.comparison, {}, {}).find("too noisy"), std::string::npos);
  EXPECT_NE(html_report(example.comparison, {}).find("note bad\">The machine is too noisy"), std::string::npos);
}

TEST(TerminalReport, ColoursOnlyWhenAsked) {
  EXPECT_EQ(terminal(0).find('\033'), std::string::npos);
  EXPECT_NE(terminal(0, true).find("\033[31m"), std::string::npos);
}

TEST(Papers, HaveEveryCellOfTableThree) {
  EXPECT_EQ(paper_rows().size(), 2u * 2 * 3 * 4);
  for (const auto gpu : kPaperGpus) {
    for (const auto hypervisor : kPaperHypervisors) {
      for (int level = 0; level < 3; ++level) {
        for (const bool pcie : {false, true}) EXPECT_NE(paper_row(gpu, hypervisor, level, pcie), nullptr);
      }
    }
  }
  EXPECT_EQ(paper_row("K20m", "KVM", 1, false)->mean, "0.998");
  EXPECT_EQ(paper_row("C2075", "VMware", 1, true)->max, "36.6");
}

TEST(HtmlReport, NeedsNothingFromElsewhere) {
  const Example example = example_report();
  const std::string page = html_report(example.comparison, example.files);
  for (const char* word : {"http://", "https://", "<script", "<link", "@import", "url("}) {
    EXPECT_EQ(page.find(word), std::string::npos) << word;
  }
}

TEST(HtmlReport, ShowsEveryFigureOfEveryTarget) {
  const Example example = example_report();
  const std::string page = html_report(example.comparison, example.files);
  EXPECT_EQ(count(page, "class=\"mark\""), 9u * 2);
  EXPECT_EQ(count(page, "class=\"curve"), 3u);  // one series: the reference and two targets
  EXPECT_EQ(count(page, "class=\"median\""), 9u * 3);
  EXPECT_EQ(count(page, "class=\"unit\""), 9u * 3 * 20);
}

TEST(HtmlReport, NamesOfAFileDoNotBecomeMarkup) {
  const Example example = example_report("<img src=x onerror=alert(1)>&\"'");
  const std::string page = html_report(example.comparison, example.files);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_NE(page.find("&lt;img src=x"), std::string::npos);
}

TEST(HtmlReport, OfNothingMeasuredIsStillAPage) {
  Comparison nothing;
  nothing.reference = "native";
  nothing.targets.resize(1);
  nothing.targets[0].label = "tcp";
  nothing.complete = false;
  const std::string page = html_report(nothing, {});
  EXPECT_NE(page.find("Stopped early"), std::string::npos);
  EXPECT_NE(page.find("</html>"), std::string::npos);
  EXPECT_FALSE(terminal_report(nothing, {}, {}).empty());
}

TEST(ShocTsv, HasShocsColumnsAndATrialAUnit) {
  const Example example = example_report();
  std::istringstream lines(shoc_tsv(example.comparison, example.files));
  std::string head, line;
  std::getline(lines, head);
  EXPECT_EQ(head, "test\tatts\tunits\tmedian\tmean\tstddev\tmin\tmax\ttrial0\ttrial1\ttrial2");
  std::getline(lines, line);
  EXPECT_EQ(line, "sgemm_n\tnative,shoc,cuda\tGFLOPS\t48125\t48125\t0\t48125\t48125\t48125\t48125\t48125");
}

TEST(RunTable, ShowsMediansAndWhatWasSkipped) {
  Example example = example_report();
  example.files[0].runs[0].skips = {{"tex_readbw", "The device has no textures."}};
  const std::string text = run_table(example.files[0], {});
  EXPECT_NE(text.find("48,125"), std::string::npos);
  EXPECT_NE(text.find("GEMM tex_readbw skipped: The device has no textures."), std::string::npos);
}

}  // namespace
}  // namespace nm::bench
