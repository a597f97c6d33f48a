#include "cmd/top_rows.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace nm::cmd {
namespace {

wire::ServerStatus status_at(uint64_t clock_us, std::vector<wire::SessionStatus> sessions) {
  wire::ServerStatus status;
  status.clock_us = clock_us;
  status.sessions_in_all = sessions.size();
  status.sessions = std::move(sessions);
  return status;
}

TEST(TopRows, RatesAreOverTheServersTimeBetweenTheAnswers) {
  const auto before = status_at(1'000'000, {{.id = 1,
                                             .age_us = 9'000'000,
                                             .posted = 100,
                                             .waited = 10,
                                             .bytes_in = 1000,
                                             .bytes_out = 500,
                                             .kernels = 50,
                                             .graphs = 1,
                                             .worker_cpu_us = 100'000}});
  const auto now = status_at(3'000'000, {{.id = 1,
                                          .age_us = 11'000'000,
                                          .posted = 300,
                                          .waited = 20,
                                          .bytes_in = 5000,
                                          .bytes_out = 700,
                                          .kernels = 90,
                                          .graphs = 3,
                                          .worker_cpu_us = 1'100'000}});
  const TopView view = compare(before, now, false);
  EXPECT_EQ(2.0, view.seconds);
  ASSERT_EQ(1u, view.rows.size());
  const TopRow& row = view.rows[0];
  EXPECT_EQ(100.0, row.posted);
  EXPECT_EQ(5.0, row.waited);
  EXPECT_EQ(2000.0, row.bytes_in);
  EXPECT_EQ(100.0, row.bytes_out);
  EXPECT_EQ(21.0, row.launches);
  EXPECT_EQ(50.0, row.cpu_percent);
}

TEST(TopRows, ANewSessionsRatesAreOverItsLife) {
  const auto view =
      compare(status_at(0, {}), status_at(10'000'000, {{.id = 1, .age_us = 500'000, .posted = 100}}), false);
  EXPECT_EQ(200.0, view.rows.at(0).posted);
  EXPECT_EQ(0.0, view.rows.at(0).cpu_percent);
}

TEST(TopRows, WhatGoesBackIsNoRate) {
  const auto before = status_at(5, {{.id = 1, .posted = 100, .bytes_in = ~0ull}});
  const auto now = status_at(1'000'005, {{.id = 1, .posted = 50, .bytes_in = 7}});
  EXPECT_EQ(0.0, compare(before, now, false).rows.at(0).posted);
  EXPECT_EQ(0.0, compare(before, now, false).rows.at(0).bytes_in);
  EXPECT_EQ(0.0, compare(now, status_at(4, {{.id = 1, .posted = 500}}), false).rows.at(0).posted) << "another server";
}

TEST(TopRows, TheBusiestComeFirstAndThenThoseThatCalledLast) {
  const auto before = status_at(0, {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}});
  const auto now = status_at(1'000'000, {{.id = 1, .idle_us = 900},
                                         {.id = 2, .idle_us = 5},
                                         {.id = 3, .posted = 10, .waited = 1},
                                         {.id = 4, .posted = 9, .waited = 10}});
  std::vector<uint64_t> order;
  for (auto& row : compare(before, now, false).rows) order.push_back(row.session.id);
  EXPECT_EQ((std::vector<uint64_t>{4, 3, 2, 1}), order);
}

TEST(TopRows, UsersHaveNamesWhereTheyAreKnown) {
  const auto now = status_at(0, {{.id = 1, .local = true, .uid = 0},
                                 {.id = 2, .local = false, .uid = 0},
                                 {.id = 3, .local = true, .uid = ~0ull}});
  const auto here = compare({}, now, true), there = compare({}, now, false);
  EXPECT_EQ("root", here.rows[0].user);
  EXPECT_EQ("", here.rows[1].user) << "over TCP nobody says who it is";
  EXPECT_EQ("18446744073709551615", here.rows[2].user);
  EXPECT_EQ("0", there.rows[0].user);
}

TEST(TopRows, NumbersAreShort) {
  EXPECT_EQ("0", short_count(0));
  EXPECT_EQ("0.5", short_count(0.5));
  EXPECT_EQ("12", short_count(12));
  EXPECT_EQ("999", short_count(999.4));
  EXPECT_EQ("1.0k", short_count(999.6));
  EXPECT_EQ("3.4k", short_count(3400));
  EXPECT_EQ("120k", short_count(120'000));
  EXPECT_EQ("1.2M", short_count(1'200'000));
  EXPECT_EQ("1023", short_bytes(1023));
  EXPECT_EQ("1.0K", short_bytes(1024));
  EXPECT_EQ("1.5G", short_bytes(1.5 * (1 << 30)));
  EXPECT_EQ("16E", short_bytes(static_cast<double>(UINT64_MAX)));
  for (double n = 0.01; n < 1e40; n *= 1.37) {
    EXPECT_LE(short_count(n).size(), 5u) << n;
    EXPECT_LE(short_bytes(n).size(), 5u) << n;
  }
}

TEST(TopRows, TimesAreShort) {
  EXPECT_EQ("0.0s", short_time(0));
  EXPECT_EQ("9.9s", short_time(9'999'999));
  EXPECT_EQ("12s", short_time(12'000'000));
  EXPECT_EQ("3m05s", short_time(185'000'000));
  EXPECT_EQ("2h10m", short_time(7'800'000'000));
  EXPECT_EQ("4d07h", short_time((4 * 86400 + 7 * 3600) * 1'000'000ull));
  EXPECT_EQ("99999d", short_time(UINT64_MAX));
}

}  // namespace
}  // namespace nm::cmd
