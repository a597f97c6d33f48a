#include "bench/sampler.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace nm::bench {
namespace {

TEST(Plan, blocks_read_the_same_from_both_ends_and_every_order_comes) {
  const auto steps = plan(2, 3, 40, true, 1);
  ASSERT_EQ(steps.size(), 2u * 3 * (1 + 40));
  for (size_t i = 0; i < 6; ++i) EXPECT_TRUE(steps[i].warm_up);
  std::set<std::vector<size_t>> orders;
  for (size_t block = 0; block < 40; ++block) {  // 20 of each program
    std::vector<size_t> ways;
    for (size_t i = 0; i < 6; ++i) {
      const Step& step = steps[6 + 6 * block + i];
      EXPECT_FALSE(step.warm_up);
      EXPECT_EQ(step.program, block % 2);
      EXPECT_EQ(step.pair, static_cast<int64_t>(block / 2 * 2 + i / 3));
      ways.push_back(step.way);
    }
    EXPECT_EQ(ways, std::vector(ways.rbegin(), ways.rend()));
    EXPECT_EQ(std::set(ways.begin(), ways.end()).size(), 3u);
    orders.insert(ways);
  }
  EXPECT_EQ(orders.size(), 6u);
}

TEST(Plan, an_odd_number_of_pairs_ends_with_half_a_block) {
  const auto steps = plan(1, 2, 3, false, 1);
  ASSERT_EQ(steps.size(), 6u);
  EXPECT_EQ(steps[4].pair, 2);
  EXPECT_EQ(steps[5].pair, 2);
  EXPECT_NE(steps[4].way, steps[5].way);
}

// A world in which runs end as the test says.
class FakeBench : public Bench {
 public:
  std::function<void(const Program&, const Way&, bench::Run&)> world = [](const Program&, const Way&, bench::Run&) {};
  std::map<std::string, int> measured;
  std::vector<double> left;
  int room = 1'000'000;

  void measure(const Program& program, const Way& way, bench::Run& run) override {
    ++measured[way.target.label + (way.self ? "'" : "") + ":" + program.name];
    run.suite_version = "1";
    run.device = {{"name", "GPU"}, {"uuid", "GPU-1"}};
    run.seconds = 2;
    world(program, way, run);
  }
  Result<void> keep(const bench::Run&) override { return room-- > 0 ? Result<void>() : Error{"The disk is full."}; }
  void show(const Progress& progress) override { left.push_back(progress.seconds_left); }
};

Session session_of(int64_t pairs) {
  Session session;
  for (const char* name : {"p", "q"}) {
    Program program;
    program.name = name;
    program.api = "cuda";
    session.programs.push_back(program);
  }
  for (const char* label : {"a", "b"}) session.ways.push_back({{.label = label}, false});
  session.ways.push_back({{.label = "a"}, true});
  session.pairs = pairs;
  session.warm_up = true;
  return session;
}

TEST(Sampler, runs_everything_once_for_warming_up_and_once_a_pair) {
  FakeBench bench;
  const Outcome outcome = sample(session_of(4), bench);
  EXPECT_TRUE(outcome.complete);
  EXPECT_EQ(outcome.runs.size(), 2u * 3 * 5);
  for (const auto& [name, count] : bench.measured) EXPECT_EQ(count, 5) << name;
  EXPECT_EQ(bench.left.front(), -1);
  EXPECT_EQ(bench.left.back(), 0);
  EXPECT_EQ(bench.left[bench.left.size() - 2], 2);
}

TEST(Sampler, a_program_that_fails_twice_is_not_tried_again_and_others_go_on) {
  FakeBench bench;
  bench.world = [](const Program& program, const Way& way, bench::Run& run) {
    if (program.name == "p" && way.target.label == "b") run.status = Status::crashed;
  };
  const Outcome outcome = sample(session_of(4), bench);
  EXPECT_TRUE(outcome.complete);
  EXPECT_EQ(bench.measured["b:p"], 2);
  EXPECT_EQ(bench.measured["b:q"], 5);
  EXPECT_EQ(bench.measured["a:p"], 5);
}

TEST(Sampler, what_the_reference_cannot_run_nobody_runs) {
  FakeBench bench;
  bench.world = [](const Program& program, const Way& way, bench::Run& run) {
    if (program.name == "p" && way.target.label == "a") run.status = Status::skipped;
  };
  sample(session_of(4), bench);
  EXPECT_EQ(bench.measured["a:p"], 1);
  EXPECT_EQ(bench.measured.count("b:p"), 0u);
  EXPECT_EQ(bench.measured["b:q"], 5);
}

TEST(Sampler, a_target_that_never_starts_ends_the_session) {
  FakeBench bench;
  bench.world = [](const Program&, const Way& way, bench::Run& run) {
    if (way.target.label == "b") run.status = Status::not_started;
  };
  const Outcome outcome = sample(session_of(4), bench);
  EXPECT_FALSE(outcome.complete);
  EXPECT_NE(outcome.stopped.find("Target b does not start"), std::string::npos) << outcome.stopped;
}

TEST(Sampler, another_gpu_in_the_middle_ends_the_session) {
  FakeBench bench;
  int runs = 0;
  bench.world = [&](const Program&, const Way&, bench::Run& run) {
    if (++runs == 12) run.device["uuid"] = "GPU-2";
  };
  const Outcome outcome = sample(session_of(4), bench);
  EXPECT_NE(outcome.stopped.find("another GPU than before"), std::string::npos) << outcome.stopped;
  EXPECT_EQ(outcome.runs.size(), 12u);
  EXPECT_EQ(outcome.runs.back().status, Status::other_gpu);
}

TEST(Sampler, different_gpus_are_compared_only_if_somebody_says_so) {
  FakeBench bench;
  bench.world = [](const Program&, const Way& way, bench::Run& run) {
    if (way.target.label == "b") run.device["uuid"] = "GPU-2";
  };
  Session session = session_of(2);
  EXPECT_NE(sample(session, bench).stopped.find("not two ways to one GPU"), std::string::npos);
  session.different_gpus = true;
  EXPECT_TRUE(sample(session, bench).complete);
}

TEST(Sampler, two_versions_of_the_suite_end_the_session) {
  FakeBench bench;
  bench.world = [](const Program&, const Way& way, bench::Run& run) {
    if (way.target.label == "b") run.suite_version = "2";
  };
  const Outcome outcome = sample(session_of(2), bench);
  EXPECT_NE(outcome.stopped.find("a runs version 1 of the suite and b version 2"), std::string::npos)
      << outcome.stopped;
}

TEST(Sampler, a_file_that_cannot_be_written_ends_the_session_and_loses_nothing) {
  FakeBench bench;
  bench.room = 7;
  const Outcome outcome = sample(session_of(4), bench);
  EXPECT_EQ(outcome.stopped, "The disk is full.");
  EXPECT_EQ(outcome.runs.size(), 8u);
}

TEST(Sampler, ctrl_c_ends_the_session_and_loses_nothing) {
  FakeBench bench;
  int runs = 0;
  bench.world = [&](const Program&, const Way&, bench::Run& run) {
    if (++runs == 9) run.status = Status::interrupted;
  };
  const Outcome outcome = sample(session_of(4), bench);
  EXPECT_TRUE(outcome.interrupted);
  EXPECT_EQ(outcome.runs.size(), 9u);
}

}  // namespace
}  // namespace nm::bench
