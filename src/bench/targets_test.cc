#include "bench/targets.h"

#include <gtest/gtest.h>

namespace nm::bench {
namespace {

const Tree kTree = tree_of("/opt/bin");
using Words = std::vector<std::string>;

TEST(Targets, native_is_nothing_in_front) {
  const auto target = parse_target("native", kTree);
  ASSERT_TRUE(target);
  EXPECT_TRUE(target->prefix.empty());
  EXPECT_TRUE(target->here);
  EXPECT_EQ(target->label, "native");
}

TEST(Targets, run_is_our_own_verb) {
  const auto target = parse_target("remote=run --server unix:/tmp/s", kTree);
  ASSERT_TRUE(target);
  EXPECT_EQ(target->label, "remote");
  EXPECT_TRUE(target->here);
  EXPECT_EQ(target->prefix, (Words{"/opt/bin/nearmetal", "run", "--server", "unix:/tmp/s", "--"}));
  EXPECT_EQ(parse_target("run --gpus 0 --", kTree)->prefix.size(), 5u);
}

TEST(Targets, any_command_that_is_there) {
  const auto target = parse_target("env A='b c' D=\"e\\\"f\"", kTree);
  ASSERT_TRUE(target);
  EXPECT_EQ(target->prefix, (Words{"env", "A=b c", "D=e\"f"}));
  EXPECT_FALSE(target->here);
  EXPECT_FALSE(parse_target("no-such-command-anywhere x", kTree));
}

TEST(Targets, labels_that_would_be_alike_get_a_number) {
  const auto targets = parse_targets({"native", "native", "native"}, kTree);
  ASSERT_TRUE(targets);
  EXPECT_EQ((*targets)[1].label, "native (2)");
  EXPECT_EQ((*targets)[2].label, "native (3)");
}

TEST(Targets, words_are_split_as_a_shell_does) {
  EXPECT_EQ(*split_words("a  'b c'\"d\" e\\ f ''"), (Words{"a", "b cd", "e f", ""}));
  EXPECT_EQ(*split_words(R"("a\b\"c")"), (Words{R"(a\b"c)"}));
  EXPECT_TRUE(split_words("")->empty());
  EXPECT_FALSE(split_words("'a"));
  EXPECT_FALSE(split_words("a\\"));
}

}  // namespace
}  // namespace nm::bench
