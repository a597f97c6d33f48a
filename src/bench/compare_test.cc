#include "bench/compare.h"

#include <gtest/gtest.h>

#include <cmath>

namespace nm::bench {
namespace {

Sample figure(const std::string& metric, double value, bool higher = true) {
  Sample out;
  out.metric = metric;
  out.unit = "u";
  out.higher_is_better = higher;
  out.values = {value * 0.9, value, value * 1.3};
  return out;
}

Run run_of(const std::string& target, int64_t pair, std::vector<Sample> samples, const std::string& program = "p") {
  Run run;
  run.target = target;
  run.pair = pair;
  run.program = program;
  run.suite = "shoc";
  run.level = 1;
  run.api = "cuda";
  run.size = "ci";
  run.suite_version = "1";
  run.device = {{"name", "GPU"}};
  run.samples = std::move(samples);
  return run;
}

// A little of noise that is the same every time.
double wobble(int64_t i) { return 1 + 0.0005 * std::sin(static_cast<double>(7 * i * i + 3)); }

ResultFile file_of(double overhead, int64_t pairs = 6) {
  ResultFile file;
  file.complete = true;
  file.targets = {{"a", {}}, {"b", {"run"}}};
  for (int64_t pair = 0; pair < pairs; ++pair) {
    file.runs.push_back(
        run_of("a", pair, {figure("rate", 100 * wobble(pair)), figure("time", 7 * wobble(3 * pair), false)}));
    file.runs.push_back(run_of("b", pair,
                               {figure("rate", 100 * wobble(pair + 9) * (1 - overhead)),
                                figure("time", 7 * wobble(5 * pair) / (1 - overhead), false)}));
  }
  return file;
}

Comparison compared(const ResultFile& file, bool different_gpus = false) {
  const auto comparison = compare({{"a", {{&file, "a"}}}, {"b", {{&file, "b"}}}},
                                  {.margin = 0.01, .seed = 1, .different_gpus = different_gpus});
  EXPECT_TRUE(comparison) << (comparison ? "" : comparison.error().message);
  return *comparison;
}

TEST(Compare, overhead_is_below_one_whatever_is_better) {
  const Comparison out = compared(file_of(0.05));
  ASSERT_EQ(out.targets[0].metrics.size(), 2u);
  for (const MetricComparison& metric : out.targets[0].metrics) {
    EXPECT_NEAR(metric.ratio, 0.95, 0.001) << metric.metric;
    EXPECT_EQ(metric.verdict, Verdict::overhead) << metric.metric;
    EXPECT_EQ(metric.reference.size(), 6u);
  }
  EXPECT_NEAR(out.targets[0].metrics[0].reference[0], 100, 0.1);  // the median of the passes, not their mean
  EXPECT_NEAR(out.targets[0].summaries[0].max_overhead(), 0.05, 0.002);
  EXPECT_FALSE(out.self);
}

TEST(Compare, a_detail_is_shown_and_is_no_member_of_the_mean) {
  ResultFile file = file_of(0);
  for (auto& run : file.runs) {
    Sample part = figure("part", run.target == "b" ? 50 : 100);
    part.detail = true;
    run.samples.push_back(part);
  }
  const Comparison out = compared(file);
  ASSERT_EQ(out.targets[0].metrics.size(), 3u);
  EXPECT_NEAR(out.targets[0].metrics[2].ratio, 0.5, 0.001);
  EXPECT_EQ(out.targets[0].summaries[0].metrics, 2u);
  EXPECT_EQ(out.targets[0].summaries[0].verdict, Verdict::equivalent);
}

TEST(Compare, verdicts_by_the_interval) {
  EXPECT_EQ(compared(file_of(0)).targets[0].summaries[0].verdict, Verdict::equivalent);
  EXPECT_EQ(compared(file_of(0.005)).targets[0].summaries[0].verdict, Verdict::equivalent);
  EXPECT_EQ(compared(file_of(-0.05)).targets[0].summaries[0].verdict, Verdict::faster);
  EXPECT_EQ(compared(file_of(0, 2)).targets[0].summaries[0].verdict, Verdict::inconclusive);
  EXPECT_FALSE(compared(file_of(0, 2)).targets[0].summaries[0].t.finite());
}

TEST(Compare, a_pair_that_lacks_one_side_is_no_pair_and_is_counted) {
  ResultFile file = file_of(0.05);
  file.runs[4].status = Status::crashed;  // a, pair 2
  file.runs[4].sentence = "It crashed.";
  file.runs[7].device_after = {{"clocks_event_reasons", 0x40}};  // b, pair 3
  file.runs[8].warm_up = true;                                   // a, pair 4
  const Comparison out = compared(file);
  EXPECT_EQ(out.targets[0].metrics[0].pairs_used, (std::vector<int64_t>{0, 1, 5}));
  ASSERT_EQ(out.failed.size(), 1u);
  EXPECT_EQ(out.failed[0].sentence, "It crashed.");
  ASSERT_EQ(out.dropped.size(), 1u);
  EXPECT_NE(out.dropped[0].sentence.find("for heat during the run"), std::string::npos) << out.dropped[0].sentence;
}

TEST(Compare, an_outlier_is_flagged_and_counts) {
  ResultFile file = file_of(0, 12);
  const double before = compared(file).targets[0].metrics[0].ratio;
  file.runs[9].samples[0].values = {50};  // b, pair 4
  const Comparison out = compared(file);
  EXPECT_EQ(out.targets[0].metrics[0].outliers, std::vector<size_t>{4});
  EXPECT_EQ(out.targets[0].metrics[0].reference.size(), 12u);
  EXPECT_LT(out.targets[0].metrics[0].ratio, before - 0.04);
}

TEST(Compare, a_curve_counts_once_in_the_mean) {
  ResultFile file = file_of(0);
  for (bench::Run& run : file.runs) {
    for (int x = 0; x < 10; ++x) {
      Sample point = figure("curve/" + std::to_string(x), run.target == "b" ? 80 : 100);
      point.series = "curve";
      point.x = x;
      run.samples.push_back(point);
    }
  }
  const Summary level = compared(file).targets[0].summaries[0];
  EXPECT_EQ(level.metrics, 12u);
  EXPECT_EQ(level.items, 3u);
  EXPECT_NEAR(level.ratio, std::pow(0.8, 1.0 / 3), 0.001);
  EXPECT_EQ(level.worst_metric.substr(0, 5), "curve");
}

TEST(Compare, the_first_target_against_itself_tells_the_noise) {
  ResultFile file = file_of(0.05);
  const auto runs = file.runs;
  for (bench::Run run : runs) {
    if (run.target != "a") continue;
    run.self = true;
    run.samples[0].values = {100 * (1 + 0.04 * static_cast<double>(run.pair % 3))};
    file.runs.push_back(run);
  }
  const Comparison out = compared(file);
  ASSERT_TRUE(out.self);
  EXPECT_FALSE(out.quiet);
  EXPECT_NE(out.noise.find("too noisy"), std::string::npos) << out.noise;
  EXPECT_EQ(out.targets[0].metrics[0].reference.size(), 6u);  // A/A runs are no runs of the target
}

TEST(Compare, files_of_two_sessions_are_not_paired) {
  const ResultFile one = file_of(0.05), two = file_of(0.05);
  const auto out = compare({{"a", {{&one, "a"}}}, {"b", {{&two, "b"}}}}, {});
  ASSERT_TRUE(out);
  EXPECT_FALSE(out->targets[0].paired);
  EXPECT_NEAR(out->targets[0].metrics[0].ratio, 0.95, 0.001);
  EXPECT_EQ(out->targets[0].summaries[0].verdict, Verdict::overhead);
  EXPECT_NE(out->targets[0].notes.back().find("not paired"), std::string::npos);
}

// Three boots that differ among themselves: their runs are many, but what they say of the target is three values.
TEST(Compare, boots_are_what_counts_where_there_are_several) {
  const ResultFile host = file_of(0, 10);
  std::vector<ResultFile> boots;
  for (int boot = 0; boot < 3; ++boot) {
    boots.push_back(file_of(0.02 * boot, 10));
    boots.back().fingerprints = {{{"boot", std::to_string(boot)}}};
  }
  Arm guest{"guest", {}};
  for (const auto& boot : boots) guest.sources.push_back({&boot, "b"});
  const auto out = compare({{"host", {{&host, "a"}}}, guest}, {});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->targets[0].summaries[0].verdict, Verdict::inconclusive);
  for (auto& boot : boots) boot.fingerprints.clear();
  const auto pooled = compare({{"host", {{&host, "a"}}}, guest}, {});
  EXPECT_EQ(pooled->targets[0].summaries[0].verdict, Verdict::overhead);  // which is what one would wrongly conclude
}

TEST(Compare, refuses_what_is_not_comparable) {
  const ResultFile file = file_of(0);
  ResultFile other = file_of(0);
  const auto sentence = [&](bool different_gpus) {
    const auto out = compare({{"a", {{&file, "a"}}}, {"b", {{&other, "b"}}}}, {.different_gpus = different_gpus});
    return out ? "" : out.error().message;
  };
  for (bench::Run& run : other.runs) run.device["name"] = "Another";
  EXPECT_NE(sentence(false).find("GPU and b on Another"), std::string::npos) << sentence(false);
  EXPECT_EQ(sentence(true), "");
  for (bench::Run& run : other.runs) run.suite_version = "2";
  EXPECT_NE(sentence(true).find("version 2"), std::string::npos) << sentence(true);
  other = file_of(0);
  for (bench::Run& run : other.runs) run.size = "gpu";
  EXPECT_NE(sentence(false).find("no figure in common"), std::string::npos) << sentence(false);
}

// One of forty looks slower, with p = 0.03: among forty that is what chance does.
TEST(Compare, individuals_are_named_only_if_they_survive_holm) {
  constexpr double kSlower[] = {-0.030, -0.020, -0.010, -0.012, -0.003};
  constexpr double kChance[] = {0.010, -0.012, 0.009, -0.008, 0.001};
  const auto verdict = [&](int metrics) {
    ResultFile file = file_of(0, 5);
    for (bench::Run& run : file.runs) {
      run.samples.clear();
      for (int m = 0; m < metrics; ++m) {
        const double d = run.target == "a" ? 0 : (m == 0 ? kSlower : kChance)[run.pair];
        run.samples.push_back(figure("m" + std::to_string(m), 10 * std::exp(d)));
      }
    }
    const MetricComparison metric = compared(file).targets[0].metrics[0];
    EXPECT_NEAR(metric.p_difference, 0.03, 0.005);
    return metric.verdict;
  };
  EXPECT_EQ(verdict(1), Verdict::overhead);
  EXPECT_EQ(verdict(40), Verdict::inconclusive);
}

}  // namespace
}  // namespace nm::bench
