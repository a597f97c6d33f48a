// The checker finds what it is there for.
#include <gtest/gtest.h>

#include "store/history.h"

namespace nm::store {
namespace {

// Two holds of one GPU, one after the other: the first was abandoned, the second released. All is well.
class CheckerTest : public testing::Test {
 protected:
  CheckerTest() {
    first_ = {.gpu = "gpu/0",
              .token = "a",
              .revision = 2,
              .ttl = 2000,
              .from = 1000,
              .until = 1500,
              .last_sent = 990,
              .last_acked = 995,
              .end = Hold::End::abandoned};
    second_ = {.gpu = "gpu/0",
               .token = "b",
               .revision = 4,
               .ttl = 2000,
               .from = 4000,
               .until = 5000,
               .last_sent = 4500,
               .last_acked = 4510};
    events_ = {made("gpu/0", "a", 2, 1000), ended("gpu/0", 3, 3400), made("gpu/0", "b", 4, 4000),
               ended("gpu/0", 5, 5010)};
  }

  static Seen made(const std::string& gpu, const std::string& token, Revision revision, int64_t at) {
    return {at, {Event::Kind::put, {gpu, token, revision, revision, 7}}};
  }
  static Seen ended(const std::string& gpu, Revision revision, int64_t at) {
    return {at, {Event::Kind::erased, {gpu, "", 0, revision, 0}}};
  }

  Finding check() {
    History history;
    history.holds = {first_, second_};
    history.tried = {"a", "b"};
    history.seen = {events_, events_};
    history.leader_changes = changes_;
    return check_history(history, 2000);
  }
  void expect(const char* violation) {
    const Finding finding = check();
    ASSERT_FALSE(finding.violations.empty()) << violation;
    EXPECT_NE(finding.violations[0].find(violation), std::string::npos) << finding.violations[0];
  }

  Hold first_, second_;
  std::vector<Seen> events_;
  std::vector<LeaderChange> changes_;
};

TEST_F(CheckerTest, finds_nothing_where_all_is_well) {
  const Finding finding = check();
  EXPECT_EQ(finding.violations, std::vector<std::string>());
  EXPECT_EQ(finding.ran_out, 1);
  EXPECT_EQ(finding.latest_end, 3400 - 995 - 2000);
}

TEST_F(CheckerTest, finds_two_that_hold_one_gpu) {
  first_.end = Hold::End::released;
  first_.until = 4100;
  expect("two held it at a time");
}

TEST_F(CheckerTest, finds_a_grant_over_another) {
  events_.erase(events_.begin() + 1);
  expect("was granted to b over a");
}

TEST_F(CheckerTest, finds_a_lease_that_was_taken_too_early) {
  second_.end = Hold::End::taken;
  second_.taken_at = 4900;
  expect("before its time");
}

TEST_F(CheckerTest, finds_an_end_while_it_was_held) {
  events_[3].at = 4990;
  expect("while it was held");
}

TEST_F(CheckerTest, finds_a_lease_that_outlives_its_time) {
  events_[1].at = 995 + 2000 + 2001;
  second_.from = events_[2].at = 5005;
  second_.until = 6000;
  second_.last_sent = 5004;
  events_[3].at = 6010;
  expect("outlived its time by 2001 ms");
  changes_ = {{1200, 1300}};
  EXPECT_EQ(check().violations, std::vector<std::string>()) << "its time began anew with the leader";
  EXPECT_EQ(check().latest_end, 2001) << "which is told";
  changes_ = {{10, 900}};
  expect("outlived its time by 2001 ms");
}

TEST_F(CheckerTest, finds_an_acknowledged_claim_that_nobody_saw) {
  second_.revision = 9;
  expect("never seen");
}

TEST_F(CheckerTest, finds_a_claim_that_nobody_made) {
  events_[2].event.entry.value = "c";
  expect("who never asked");
}

TEST_F(CheckerTest, finds_a_claim_that_never_ends) {
  events_.pop_back();
  expect("the claim of b never ended");
}

TEST_F(CheckerTest, finds_watchers_that_differ) {
  History history;
  history.tried = {"a"};
  history.seen = {{made("gpu/0", "a", 2, 1)}, {}};
  EXPECT_NE(check_history(history, 2000).violations.at(0).find("differ"), std::string::npos);
}

TEST_F(CheckerTest, finds_revisions_out_of_order) {
  std::swap(events_[0], events_[2]);
  std::swap(events_[1], events_[3]);
  expect("was seen after");
}

}  // namespace
}  // namespace nm::store
