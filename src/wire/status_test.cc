#include "wire/status.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace nm::wire {
namespace {

ServerStatus some_status() {
  ServerStatus s;
  s.clock_us = 5'000'000;
  s.uptime_us = 4'000'000;
  s.sessions_in_all = 3;
  s.max_sessions = 16;
  s.gpus.push_back({"NVIDIA H200", {1, 2, 3}, 150'000'000'000, 12});
  s.sessions.push_back({.id = 0x1234,
                        .program = "python3",
                        .from = "unix:/s",
                        .local = true,
                        .pid = 7,
                        .uid = 1000,
                        .transport = StatusTransport::ring,
                        .age_us = 1,
                        .idle_us = 2,
                        .memory = 3,
                        .posted = 4,
                        .waited = 5,
                        .bytes_in = 6,
                        .bytes_out = 7,
                        .kernels = 8,
                        .graphs = 9,
                        .worker_pid = 10,
                        .worker_cpu_us = 11});
  s.sessions.push_back({.id = ~0ull, .from = "tcp:[::1]:4000", .nvml = true});
  return s;
}

std::vector<uint8_t> bytes_of(const ServerStatus& status) {
  std::vector<uint8_t> bytes;
  Writer out(bytes);
  write_status(status, out);
  return bytes;
}

bool reads(const std::vector<uint8_t>& bytes, ServerStatus* out) {
  Reader in(bytes);
  return read_status(in, out);
}

TEST(Status, ArrivesAsItWasSent) {
  ServerStatus back;
  ASSERT_TRUE(reads(bytes_of(some_status()), &back));
  EXPECT_EQ(some_status(), back);
  ASSERT_TRUE(reads(bytes_of({}), &back));
  EXPECT_EQ(ServerStatus{}, back);
}

TEST(Status, AnswersThatAreNotWholeAreRefused) {
  const auto whole = bytes_of(some_status());
  ServerStatus back;
  for (size_t size = 0; size < whole.size(); size++) {
    EXPECT_FALSE(reads({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)}, &back)) << size;
  }
  auto longer = whole;
  longer.resize(whole.size() + 8);
  EXPECT_FALSE(reads(longer, &back));
}

TEST(Status, AnotherVersionIsRefused) {
  auto bytes = bytes_of(some_status());
  bytes[0]++;
  ServerStatus back;
  EXPECT_FALSE(reads(bytes, &back));
}

TEST(Status, MoreThanAServerMaySayIsRefusedBeforeThereIsMemoryForIt) {
  constexpr size_t kGpus = 5 * 8;  // where their number stands
  auto bytes = bytes_of({});
  ServerStatus back;
  bytes[kGpus + 7] = 0xff;
  EXPECT_FALSE(reads(bytes, &back));
  EXPECT_TRUE(back.gpus.empty());
  bytes = bytes_of({});
  bytes[kGpus + 8 + 7] = 0xff;
  EXPECT_FALSE(reads(bytes, &back));
  EXPECT_TRUE(back.sessions.empty());
}

TEST(Status, MoreSessionsThanThereAreInAllAreRefused) {
  ServerStatus lies = some_status(), back;
  lies.sessions_in_all = 1;
  EXPECT_FALSE(reads(bytes_of(lies), &back));
}

TEST(Status, TheLargestAnswerIsWithinItsLimit) {
  ServerStatus large;
  large.sessions_in_all = kMaxStatusSessions;
  large.gpus.assign(kMaxStatusGpus, {std::string(500, 'g')});
  SessionStatus session;
  session.program = session.from = std::string(500, 's');
  large.sessions.assign(kMaxStatusSessions, session);
  const auto bytes = bytes_of(large);
  EXPECT_LE(bytes.size(), kMaxStatus);
  ServerStatus back;
  EXPECT_TRUE(reads(bytes, &back));
  EXPECT_EQ(kMaxStatusText, back.sessions[5].program.size());
}

TEST(Status, TextHoldsNothingThatATerminalWouldObey) {
  EXPECT_EQ("a?[2Jb???c", plain_text("a\x1b[2Jb\n\xc3\xa9"
                                     "c"));
  // From a server that does not care, too.
  auto bytes = bytes_of(some_status());
  const std::string name = "python3";
  auto at = std::search(bytes.begin(), bytes.end(), name.begin(), name.end());
  ASSERT_NE(bytes.end(), at);
  *at = 0x1b;
  ServerStatus back;
  ASSERT_TRUE(reads(bytes, &back));
  EXPECT_EQ("?ython3", back.sessions[0].program);
}

}  // namespace
}  // namespace nm::wire
