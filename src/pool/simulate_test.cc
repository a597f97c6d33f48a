// Traces, and what a decision costs: counted in hosts looked at, not in time.
#include "pool/simulate.h"

#include "pool/generate.h"
#include "pool/test_pool.h"

namespace nm::pool {
namespace {

std::string trouble(const std::string& text) {
  const auto trace = parse_trace(text);
  return trace ? "" : trace.error().message;
}

Outcome replayed(const Trace& trace, const std::string& policy) {
  const auto outcome = simulate(trace, *contender(policy, trace), {});
  EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().message);
  return *outcome;
}

TEST(Trace, IsReadFromATable) {
  const auto trace = parse_trace(
      "at,runs,gpus,model,memory,topology,limit,project,priority\r\n"
      "5,60.5,2,h200,,nvlink,3600,vision,3\n"
      "0.25,1,1,,0.5\n");
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->claims.size(), 2u);
  EXPECT_EQ(trace->claims[0].claim.id, "c2") << "in order of time";
  EXPECT_EQ(trace->claims[0].at, Time(Duration(250)));
  EXPECT_EQ(trace->claims[0].claim.memory.thousandths, 500);
  EXPECT_EQ(trace->claims[1].runs, Duration(60'500));
  EXPECT_EQ(trace->claims[1].claim.topology, Topology::nvlink);
  EXPECT_EQ(trace->claims[1].claim.limit, Duration(3'600'000));
  EXPECT_EQ(trace->claims[1].claim.project, "vision");
  EXPECT_EQ(trace->claims[1].claim.priority, 3);
}

TEST(Trace, SurvivesBeingWrittenAndRead) {
  const Trace trace = generate({.gpus = 20, .claims = 50, .seed = 3});
  std::string text;
  print_trace(trace, [&](const std::string& line) { text += line + "\n"; });
  const auto back = parse_trace(text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, trace);
}

TEST(Trace, NamesTheLineThatIsWrong) {
  EXPECT_EQ(trouble(""), "The trace is empty. src/pool/trace.md has an example.");
  EXPECT_EQ(trouble("at,gpus,runs\n"), "The trace has no claim. src/pool/trace.md has an example.");
  EXPECT_EQ(trouble("at,gpus\n1,1\n"), "Line 1: the column \"runs\" is missing.");
  EXPECT_EQ(trouble("at,gpus,runs,color\n"),
            "Line 1: there is no column \"color\"; src/pool/trace.md has their names.");
  EXPECT_EQ(trouble("at,gpus,runs\n1,x,1\n"), "Line 2, column gpus: \"x\" is not a whole number.");
  EXPECT_EQ(trouble("at,gpus,runs\n-1,1,1\n"), "Line 2, column at: \"-1\" is not a number of seconds.");
  EXPECT_EQ(trouble("at,gpus,runs\n1e9,1,1\n"), "Line 2, column at: \"1e9\" is not a number of seconds.");
  EXPECT_EQ(trouble("at,gpus,runs\n99999999999999999999,1,1\n"),
            "Line 2, column at: \"99999999999999999999\" is not a number of seconds.");
  EXPECT_EQ(trouble("at,gpus,runs\n1,1,0\n"), "Line 2, column runs: a claim runs for some time.");
  EXPECT_EQ(trouble("at,gpus,runs\n1,1,1,1\n"), "Line 2 has 4 values for 3 columns.");
  EXPECT_EQ(trouble("at,gpus,runs,topology\n1,1,1,ring\n"),
            "Line 2, column topology: \"ring\" is none of any, same-host, same-numa, nvlink.");
  EXPECT_EQ(trouble("at,gpus,runs,id\n1,1,1,a\n2,1,1,a\n"), "Claim a is there twice. Give it another id.");
  EXPECT_EQ(trouble("{\"claim\": {\"id\": \"a\"}, \"at_ms\": 0}\n"), "Line 1: The line's \"runs_ms\" is missing.");
  EXPECT_EQ(trouble("\n{nonsense\n"), "Line 2: The line is no JSON. Check for a missing quote or brace.");
}

TEST(Generate, IsTheSameFromTheSameSeed) {
  const Generate wish{.gpus = 100, .claims = 200, .seed = 5};
  EXPECT_EQ(generate(wish), generate(wish));
  Generate other = wish;
  other.seed = 6;
  EXPECT_FALSE(generate(wish) == generate(other));
  size_t gpus = 0;
  for (const Host& host : generate({.gpus = 100}).hosts) gpus += host.devices.size();
  EXPECT_EQ(gpus, 100u);
}

TEST(Simulate, CountsWhatHappened) {
  Trace trace{.hosts = {host("h", 2)}};
  const auto add = [&](const char* id, int number, int64_t at_s, int64_t runs_s) {
    TraceClaim entry{claim(id, number), Time(std::chrono::seconds(at_s)), std::chrono::seconds(runs_s)};
    entry.claim.model = "h200";
    trace.claims.push_back(entry);
  };
  add("a", 1, 0, 100);
  add("b", 2, 0, 50);  // waits for a: 100 s
  add("c", 3, 10, 1);  // never possible
  add("d", 1, 200, 100);
  const Outcome outcome = replayed(trace, "first-fit");
  EXPECT_EQ(outcome.served, 3u);
  EXPECT_EQ(outcome.refused, 1u);
  EXPECT_EQ(outcome.never, 0u);
  EXPECT_EQ(outcome.wait.max, 100);
  EXPECT_EQ(outcome.wait.p50, 0);
  EXPECT_DOUBLE_EQ(outcome.utilisation, (1.0 * 100 + 2.0 * 50) / (2 * 200)) << "until the last claim comes";
  EXPECT_EQ(outcome.makespan, std::chrono::seconds(300));
  EXPECT_EQ(outcome.decisions, 7u);
}

TEST(Simulate, ServesEveryClaimThatCanBeServed) {
  for (const uint64_t seed : {1, 2, 3}) {
    const Trace trace = generate({.gpus = 128, .claims = 1500, .seed = seed});
    for (const char* policy : {"pack", "spread", "first-fit", "best-fit"}) {
      const Outcome outcome = replayed(trace, policy);
      EXPECT_EQ(outcome.served + outcome.refused, trace.claims.size()) << policy << " " << seed;
      EXPECT_EQ(outcome.never, 0u) << policy << " " << seed;
      EXPECT_EQ(outcome.refused, 0u) << policy << " " << seed;
    }
  }
}

TEST(Simulate, PackingLeavesMoreWholeHostsThanTheTextbook) {
  std::map<Placement, double> broken;
  for (const uint64_t seed : {1, 2, 3, 4}) {
    const Trace trace = generate({.gpus = 512, .claims = 1500, .seed = seed, .load = 0.7});
    for (const Placement placement : {Placement::pack, Placement::spread, Placement::first_fit, Placement::best_fit}) {
      Contender same = *contender("first-fit", trace);  // in all but where claims go
      same.policy.placement = placement;
      const auto outcome = simulate(trace, same, {});
      ASSERT_TRUE(outcome);
      broken[placement] += outcome->fragmentation / 4;
    }
  }
  EXPECT_LT(broken[Placement::pack], broken[Placement::first_fit]);
  EXPECT_LT(broken[Placement::pack], broken[Placement::spread] / 2);
  EXPECT_LE(broken[Placement::pack], broken[Placement::best_fit]);
}

// The bar is 5 ms for 10,000 GPUs; what makes it possible is that a decision looks at few hosts, however many there
// are.
TEST(Simulate, ADecisionLooksAtFewHostsHoweverManyThereAre) {
  double mean[2] = {};
  for (const int large : {0, 1}) {
    const Trace trace = generate({.gpus = large ? 10'000 : 1'250, .claims = large ? 10'000 : 5'000, .seed = 9});
    const Outcome outcome = replayed(trace, "pack");
    mean[large] = outcome.examined.mean;
    EXPECT_LE(outcome.examined.p99, 250) << trace.hosts.size() << " hosts";
    EXPECT_GT(outcome.examined.mean, 0.1);
  }
  EXPECT_LT(mean[1], 3 * mean[0] + 5) << "eight times the hosts, and not eight times the work";
}

}  // namespace
}  // namespace nm::pool
