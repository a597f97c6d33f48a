#include "identity/policy.h"

#include <gtest/gtest.h>

#include "identity/test_pool.h"

namespace nm::identity {
namespace {

constexpr char kFile[] = R"(
[[allow]]
users = ["alice", "bob"]
projects = ["vision"]
models = ["H200"]
max_gpus = 4

[[allow]]
users = ["*"]
paths = ["network"]
max_gpus = 1
)";

Policy parsed(const std::string& text) {
  auto policy = parse_policy(text, "policy.toml");
  EXPECT_TRUE(policy) << (policy ? "" : policy.error().message);
  return policy ? *policy : Policy{};
}
std::string complaint(const std::string& text) {
  const auto policy = parse_policy(text, "policy.toml");
  return policy ? "read" : policy.error().message;
}
std::string said(const Policy& policy, const std::string& name, const Request& request, Role role = Role::user) {
  const auto may = allowed(policy, {"0123456789abcdef", role, name}, request);
  return may ? "yes" : may.error().message;
}

TEST(Policy, WithoutAFileEveryUserMayAndNoHost) {
  EXPECT_EQ(said({}, "anybody", {.model = "h200", .path = "passthrough", .gpus = 1000}), "yes");
  EXPECT_PRED2(holds, said({}, "gpu1", {}, Role::host), "only users claim GPUs");
}

TEST(Policy, OneRuleThatFitsIsEnough) {
  const Policy policy = parsed(kFile);
  EXPECT_EQ(said(policy, "alice", {.project = "vision", .model = "h200", .path = "passthrough", .gpus = 4}), "yes");
  EXPECT_EQ(said(policy, "alice", {.project = "vision", .model = "h200", .path = "network", .gpus = 2, .held = 2}),
            "yes");
  EXPECT_EQ(said(policy, "eve", {}), "yes");
}

TEST(Policy, WhatNoRuleAllowsIsRefusedAndTold) {
  const Policy policy = parsed(kFile);
  EXPECT_PRED2(holds, said(policy, "eve", {.model = "h200", .path = "passthrough"}),
               "no rule that lets user eve have h200 by the path passthrough");
  EXPECT_PRED2(holds, said(policy, "alice", {.project = "vision", .model = "h200", .gpus = 3, .held = 2}),
               "hold 4 GPU(s) of this kind; 2 are held, 3 more are asked for");
  EXPECT_PRED2(holds, said(policy, "alice", {.project = "other", .model = "h200", .path = "passthrough"}),
               "for the project other");
  EXPECT_PRED2(holds, said(policy, "alice", {.project = "vision", .model = "", .path = "passthrough"}), "no rule")
      << "any model is more than an H200";
  EXPECT_PRED2(holds, said(policy, "eve", {.gpus = std::numeric_limits<int64_t>::max(), .held = 1}), "hold 1 GPU");
  EXPECT_PRED2(holds, said(policy, "eve", {.gpus = 0}), "one GPU or more");
  EXPECT_PRED2(holds, said(parsed(""), "alice", {}), "no rule");
}

TEST(Policy, MistakesAreToldWithTheirLine) {
  EXPECT_PRED2(holds, complaint("\n[[allow]]\nuser = [\"a\"]\n"), "policy.toml:3: a rule has no key \"user\"");
  EXPECT_PRED2(holds, complaint("\n[[allow]]\nmodels = [\"a\"]\n"), "policy.toml:2: a rule needs users");
  EXPECT_PRED2(holds, complaint("[[allow]]\nusers = \"a\"\n"), "policy.toml:2: users must be a list of strings");
  EXPECT_PRED2(holds, complaint("[[allow]]\nusers = []\n"), "policy.toml:2: users must be");
  EXPECT_PRED2(holds, complaint("[[allow]]\nusers = [\"a b\"]\n"), "policy.toml:2: \"a b\" is not the name");
  EXPECT_PRED2(holds, complaint("[[allow]]\nusers = [\"*\"]\npaths = [\"wire\"]\n"), "policy.toml:3: a path is");
  EXPECT_PRED2(holds, complaint("[[allow]]\nusers = [\"*\"]\nmax_gpus = -1\n"), "policy.toml:3: max_gpus must be");
  EXPECT_PRED2(holds, complaint("[[deny]]\n"), "policy.toml:1: a policy has no key \"deny\"");
  EXPECT_PRED2(holds, complaint("allow = 1\n"), "policy.toml:1: rules are written [[allow]]");
  EXPECT_PRED2(holds, complaint("[[allow]\n"), "policy.toml:1: ");
}

TEST(Policy, AFileThatCannotBeReadIsNoPermission) {
  TestPool pool;
  EXPECT_TRUE(read_policy(pool.dir())->open);
  std::filesystem::create_directory(pool.dir().policy());
  EXPECT_FALSE(read_policy(pool.dir()));
}

}  // namespace
}  // namespace nm::identity
