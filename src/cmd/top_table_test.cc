#include "cmd/top_table.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace nm::cmd {
namespace {

TopView some_view() {
  TopView view;
  view.address = "unix:/run/nearmetal/nearmetal.sock";
  view.release = "0.1.0";
  view.seconds = 1;
  view.server.uptime_us = 185'000'000;
  view.server.sessions_in_all = 2;
  view.server.max_sessions = 16;
  view.server.gpus.push_back({"NVIDIA H200", {0x65}, 150'000'000'000, 12ull << 30});
  TopRow busy;
  busy.session = {.id = 0x123456789abcdef0,
                  .program = "python3",
                  .from = "unix:/run/nearmetal/nearmetal.sock",
                  .local = true,
                  .pid = 4711,
                  .uid = 1000,
                  .transport = wire::StatusTransport::ring,
                  .age_us = 60'000'000,
                  .idle_us = 0,
                  .memory = 12ull << 30,
                  .posted = 1000,
                  .waited = 10,
                  .bytes_in = 5,
                  .bytes_out = 6,
                  .kernels = 7,
                  .graphs = 8,
                  .worker_pid = 4800,
                  .worker_cpu_us = 9};
  busy.user = "ada";
  busy.posted = 125'000, busy.waited = 40, busy.launches = 110'000, busy.bytes_in = 3 << 20, busy.bytes_out = 900;
  busy.cpu_percent = 99.6;
  TopRow far;
  far.session = {.id = 5,
                 .program = "",
                 .from = "tcp:192.0.2.7:50123",
                 .nvml = true,
                 .transport = wire::StatusTransport::socket,
                 .age_us = 1,
                 .idle_us = 1,
                 .worker_pid = 4801};
  view.rows = {busy, far};
  return view;
}

// Its columns by their headings.
std::map<std::string, std::string> cells(const std::vector<std::string>& lines, size_t row) {
  std::map<std::string, std::string> out;
  std::istringstream titles(lines.at(3)), values(lines.at(4 + row));
  for (std::string title, value; titles >> title && values >> value;) out[title] = value;
  return out;
}

TEST(TopTable, SaysWhatThereIs) {
  const auto lines = top_lines(some_view(), 0);
  ASSERT_EQ(6u, lines.size());
  EXPECT_EQ("nearmetal 0.1.0 at unix:/run/nearmetal/nearmetal.sock, up 3m05s, 2 sessions of 16", lines[0]);
  EXPECT_EQ("GPU 0  NVIDIA H200  12.0 of 139.7 GiB held by sessions", lines[1]);
  EXPECT_EQ("", lines[2]);
  auto busy = cells(lines, 0);
  const std::map<std::string, std::string> expected = {
      {"SESSION", "12345678"}, {"PROGRAM", "python3"}, {"PID", "4711"},    {"USER", "ada"},
      {"FROM", "unix"},        {"VIA", "ring"},        {"AGE", "1m00s"},   {"IDLE", "0.0s"},
      {"GPUMEM", "12G"},       {"POST/s", "125k"},     {"WAIT/s", "40"},   {"LAUNCH/s", "110k"},
      {"IN/s", "3.0M"},        {"OUT/s", "900"},       {"WORKER", "4800"}, {"CPU%", "100"}};
  EXPECT_EQ(expected, busy);
  EXPECT_NE(std::string::npos, lines[5].find("- (nvml)")) << lines[5];
  EXPECT_NE(std::string::npos, lines[5].find("192.0.2.7:50123")) << lines[5];
  EXPECT_NE(std::string::npos, lines[5].find(" tcp ")) << lines[5];
}

TEST(TopTable, FitsTheWidthAndKeepsWhatTellsMost) {
  for (size_t width = 1; width < 200; width++) {
    for (const std::string& line : top_lines(some_view(), width)) EXPECT_LE(line.size(), width) << line;
  }
  const std::string at_80 = top_lines(some_view(), 80).at(3);
  for (const char* title : {"PROGRAM", "PID", "GPUMEM", "POST/s", "LAUNCH/s", "IN/s"}) {
    EXPECT_NE(std::string::npos, at_80.find(title)) << at_80;
  }
  EXPECT_EQ(std::string::npos, at_80.find("FROM")) << at_80;
}

TEST(TopTable, StandsWithoutSessionsAndWithoutGpus) {
  TopView view;
  view.server.sessions_in_all = 1;
  EXPECT_NE(std::string::npos, top_lines(view, 0)[0].find("1 session (0 shown)"));
  EXPECT_EQ(3u, top_lines(view, 40).size());
}

TEST(TopTable, AServersLiesAreOnlyText) {
  TopView view = some_view();
  view.rows[1].session.from = "x";
  view.rows[1].session.memory = view.rows[1].session.age_us = view.rows[1].session.idle_us = ~0ull;
  view.rows[1].posted = 1e300;
  view.rows[1].cpu_percent = 1e300;
  for (const std::string& line : top_lines(view, 120)) EXPECT_LE(line.size(), 120u);
}

TEST(TopJson, HasEverythingUnderAName) {
  const auto json = nlohmann::json::parse(top_json(some_view()));
  EXPECT_EQ(16, json["server"]["max_sessions"]);
  EXPECT_EQ("GPU-65000000-0000-0000-0000-000000000000", json["server"]["gpus"][0]["uuid"]);
  const auto &busy = json["sessions"][0], &far = json["sessions"][1];
  EXPECT_EQ("123456789abcdef0", busy["id"]);
  EXPECT_EQ(1000, busy["calls_posted"]);
  EXPECT_EQ(125'000.0, busy["posted_per_second"]);
  EXPECT_EQ(60.0, busy["age_seconds"]);
  EXPECT_EQ("ada", busy["user"]);
  EXPECT_TRUE(far["user"].is_null());
  EXPECT_TRUE(far["pid"].is_null());
  EXPECT_EQ("nvml", far["kind"]);
  EXPECT_EQ("tcp", far["transport"]);
}

}  // namespace
}  // namespace nm::cmd
