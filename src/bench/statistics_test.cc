#include "bench/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bench/bootstrap.h"

namespace nm::bench {
namespace {

// Student's own data of 1908, the additional hours of sleep: mean 1.58, t = 4.0621, p = 0.00283 with 9 degrees of
// freedom, 95 % interval 0.7001 to 2.4599, as every textbook has them.
const std::vector<double> kSleep = {1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4};

TEST(Statistics, paired_t_is_students) {
  const Estimate estimate = paired(kSleep);
  EXPECT_NEAR(estimate.mean, 1.58, 1e-12);
  EXPECT_EQ(estimate.freedom, 9);
  EXPECT_NEAR(estimate.mean / estimate.error, 4.0621, 1e-4);
  EXPECT_NEAR(p_difference(estimate), 0.002833, 1e-6);
  const LogInterval interval = t_interval(estimate, 0.95);
  EXPECT_NEAR(interval.low, 0.7001142, 1e-6);
  EXPECT_NEAR(interval.high, 2.4598858, 1e-6);
}

// The same ten patients as two groups: Welch's t = -1.8608, 17.776 degrees of freedom, p = 0.07939.
TEST(Statistics, welch_is_welchs) {
  const std::vector<double> one = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
  const std::vector<double> two = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
  const Estimate estimate = welch(one, two);
  EXPECT_NEAR(estimate.mean / estimate.error, 1.8608, 1e-4);
  EXPECT_NEAR(estimate.freedom, 17.776, 1e-3);
  EXPECT_NEAR(p_difference(estimate), 0.07939, 1e-5);
}

TEST(Statistics, fewer_than_three_pairs_say_nothing) {
  for (size_t count : {0, 1, 2}) {
    const std::vector<double> d(count, 0.5);
    const Estimate estimate = paired(d);
    EXPECT_TRUE(std::isinf(t_interval(estimate, 0.9).low)) << count;
    EXPECT_TRUE(std::isinf(t_interval(estimate, 0.9).high)) << count;
    EXPECT_TRUE(std::isinf(bca(d, Draws(count, 100, 1), 0.9).high)) << count;
    EXPECT_EQ(p_difference(estimate), 1) << count;
    EXPECT_EQ(p_equivalence(estimate, 0.01), 1) << count;
    EXPECT_TRUE(std::isinf(detectable_difference(estimate))) << count;
    EXPECT_TRUE(std::isinf(welch(d, kSleep).error)) << count;
  }
}

TEST(Statistics, equal_values_have_an_interval_of_one_point) {
  const std::vector<double> d(5, 0.25);
  const Estimate estimate = paired(d);
  EXPECT_EQ(t_interval(estimate, 0.9).low, 0.25);
  EXPECT_EQ(t_interval(estimate, 0.9).high, 0.25);
  EXPECT_EQ(bca(d, Draws(5, 100, 1), 0.9).low, 0.25);
  EXPECT_EQ(p_difference(estimate), 0);
  EXPECT_EQ(p_equivalence(estimate, 0.3), 0);
  EXPECT_EQ(p_equivalence(estimate, 0.2), 1);
  const std::vector<double> none(5, 0.0);
  EXPECT_EQ(p_difference(paired(none)), 1);
  EXPECT_EQ(p_equivalence(paired(none), 0.01), 0);
}

// The two one-sided tests and the 90 % interval are one statement in two forms.
TEST(Statistics, equivalence_is_an_interval_within_the_margins) {
  for (double shift : {-0.02, -0.008, -0.004, 0.0, 0.003, 0.0065, 0.009, 0.05}) {
    std::vector<double> d;
    for (double each : kSleep) d.push_back((each - 1.58) * 0.004 + shift);
    const Estimate estimate = paired(d);
    const LogInterval interval = t_interval(estimate, 0.9);
    EXPECT_EQ(p_equivalence(estimate, 0.01) < 0.05, interval.low > -0.01 && interval.high < 0.01) << shift;
  }
}

TEST(Statistics, holm_steps_down) {
  const auto adjusted = holm(std::vector<double>{0.01, 0.04, 0.03, 0.005});
  const std::vector<double> expected = {0.03, 0.06, 0.06, 0.02};
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-12) << i;
  EXPECT_TRUE(holm({}).empty());
  EXPECT_EQ(holm(std::vector<double>{0.7, 0.9})[0], 1);
}

// The protocol's table: for 90 % power at a margin of 1 %.
TEST(Statistics, pairs_needed_are_the_protocols) {
  const double margin = -std::log(0.99);
  EXPECT_EQ(pairs_needed(0.0025, margin), 3);
  EXPECT_EQ(pairs_needed(0.005, margin), 5);
  EXPECT_EQ(pairs_needed(0.01, margin), 13);
  EXPECT_EQ(pairs_needed(0.02, margin), 45);
  EXPECT_EQ(pairs_needed(10, margin), std::nullopt);
  EXPECT_EQ(pairs_needed(0, margin), 3);
  EXPECT_EQ(pairs_needed(INFINITY, margin), std::nullopt);
}

// Against the normal approximation, which 1,000 pairs are enough for: (1.6449 + 1.2816) standard errors.
TEST(Statistics, detectable_difference_is_where_the_power_is_ninety_percent) {
  Estimate estimate{.mean = 0, .sd = 1, .error = 0.1, .freedom = 1e6, .count = 1000};
  EXPECT_NEAR(detectable_difference(estimate), 0.29264, 1e-4);
  estimate.freedom = 2;
  EXPECT_GT(detectable_difference(estimate), 0.45);  // few degrees of freedom: more is needed
}

TEST(Statistics, outliers_are_found_and_not_imagined) {
  EXPECT_EQ(outliers(kSleep), std::vector<size_t>{8});
  EXPECT_TRUE(outliers(std::vector<double>{1, 1, 1, 1, 1, 9}).empty());  // no spread to be far out of
  EXPECT_TRUE(outliers(std::vector<double>{1, 2, 900}).empty());         // too few to say
}

TEST(Bootstrap, draws_are_the_same_for_the_same_seed) {
  const Draws a(20, 50, 7), b(20, 50, 7), c(20, 50, 8);
  bool differ = false;
  for (size_t i = 0; i < 50; ++i) {
    for (size_t j = 0; j < 20; ++j) {
      EXPECT_EQ(a[i][j], b[i][j]);
      EXPECT_LT(a[i][j], 20u);
      differ = differ || a[i][j] != c[i][j];
    }
  }
  EXPECT_TRUE(differ);
}

// A skewed sample: BCa leans to where the tail is, Student's interval cannot.
TEST(Bootstrap, bca_leans_with_the_skew) {
  const LogInterval interval = bca(kSleep, Draws(kSleep.size(), kResamples, 1), 0.9);
  EXPECT_GT(interval.high - 1.58, 1.58 - interval.low);
  EXPECT_GT(interval.low, 0.5);
  EXPECT_LT(interval.high, 3.2);
}

TEST(Bootstrap, a_band_for_several_means_is_wider_than_for_one_and_not_wider_than_bonferronis) {
  std::vector<std::vector<double>> columns;
  for (int m = 0; m < 10; ++m) {
    columns.emplace_back();
    for (int i = 0; i < 20; ++i) columns.back().push_back(std::sin(1.0 + 37 * m + 11 * i * (m + 1)));
  }
  const Draws draws(20, kResamples, 3);
  const double one = bonferroni_t(19, 1, 0.9);
  const double many = simultaneous_t(columns, draws, 0.9);
  EXPECT_NEAR(one, 1.7291, 1e-4);
  EXPECT_GT(many, one + 0.3);
  EXPECT_LE(many, bonferroni_t(19, 10, 0.9));
  // Ten times the same metric is one metric.
  const double same = simultaneous_t(std::vector(10, columns[0]), draws, 0.9);
  EXPECT_LT(same, many);
}

}  // namespace
}  // namespace nm::bench
