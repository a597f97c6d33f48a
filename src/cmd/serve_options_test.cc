#include "cmd/serve_options.h"

#include <gtest/gtest.h>

namespace nm::cmd {
namespace {

ServeSettings settings_of(const Args& args) {
  ServeSettings settings;
  std::string config;
  CLI::App app("", "nearmetal serve");
  add_serve_flags(app, settings, config);
  EXPECT_FALSE(parse(app, args));
  return settings;
}

std::string complaint(const ServeSettings& settings) {
  const auto plan = plan_serve(settings);
  return plan ? "planned" : plan.error().message;
}

TEST(ServeOptions, NothingSaidMeansTheDefaults) {
  const auto plan = plan_serve(settings_of({}));
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->daemon.listen.size(), 1u);
  EXPECT_EQ(plan->daemon.listen[0], wire::default_address());
  EXPECT_EQ(plan->driver, "auto");
  EXPECT_EQ(plan->daemon.pool.warm, 2u);
  EXPECT_EQ(plan->daemon.max_sessions, 0u);
  EXPECT_EQ(plan->daemon.drain, Millis(10'000));
  EXPECT_GE(plan->daemon.pool.max_starting, 3u);
}

TEST(ServeOptions, ListenMayBeRepeated) {
  const auto plan = plan_serve(settings_of({"--listen", "unix:/a", "--listen", "tcp:[::1]:4000", "--warm", "0"}));
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->daemon.listen.size(), 2u);
  EXPECT_EQ(plan->daemon.listen[1].text(), "tcp:[::1]:4000");
  EXPECT_EQ(plan->daemon.pool.warm, 0u);
}

TEST(ServeOptions, FlagsThatWereNotSaidLeaveRoomForTheFile) {
  ServeSettings settings = settings_of({"--warm", "5"});
  settings.fill_from({.driver = "soft", .warm = 1});
  const auto plan = plan_serve(settings);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->driver, "soft");
  EXPECT_EQ(plan->daemon.pool.warm, 5u);
}

TEST(ServeOptions, ValuesOutOfRangeAreNamed) {
  EXPECT_NE(complaint({.warm = -1}).find("--warm is -1"), std::string::npos);
  EXPECT_NE(complaint({.max_sessions = 9'999'999}).find("--max-sessions"), std::string::npos);
  EXPECT_NE(complaint({.drain_seconds = 100'000}).find("--drain-seconds"), std::string::npos);
  EXPECT_NE(complaint({.log_level = "loud"}).find("--log-level is \"loud\""), std::string::npos);
  EXPECT_NE(complaint({.listen = {{"nonsense"}}}).find("--listen: \"nonsense\""), std::string::npos);
  EXPECT_NE(complaint({.listen = std::vector<std::string>{}}).find("empty"), std::string::npos);
}

TEST(ServeOptions, AValueFromTheFileIsNamedWithTheFile) {
  const auto plan = plan_serve({.drain_seconds = -1}, "/etc/nm.toml");
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message.find("/etc/nm.toml: drain_seconds is -1"), 0u) << plan.error().message;
}

TEST(ServeOptions, ImagesAreKeptForClientsOverTcpOnly) {
  const auto bytes = [](const ServeSettings& settings) {
    const auto plan = plan_serve(settings);
    return plan ? plan->image_cache_bytes : ~uint64_t{0};
  };
  EXPECT_EQ(bytes(settings_of({"--listen", "unix:/a"})), 0u);
  EXPECT_EQ(bytes(settings_of({"--listen", "unix:/a", "--listen", "tcp:127.0.0.1:4000"})), 1ull << 30);
  EXPECT_EQ(bytes(settings_of({"--listen", "tcp:127.0.0.1:4000", "--image-cache-size", "7"})), 7ull << 20);
  EXPECT_EQ(bytes(settings_of({"--listen", "tcp:127.0.0.1:4000", "--image-cache-size", "0"})), 0u);
  const auto plan = plan_serve(settings_of({"--listen", "tcp:127.0.0.1:4000", "--image-cache", "/var/x"}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->image_cache, "/var/x");
  EXPECT_NE(complaint({.image_cache = "here"}).find("--image-cache is \"here\"; it must be an absolute path"),
            std::string::npos);
  EXPECT_NE(complaint({.image_cache_size = -1}).find("--image-cache-size is -1"), std::string::npos);
}

TEST(ServeOptions, AGroupWithoutAUnixSocketIsRefused) {
  EXPECT_NE(complaint({.listen = {{"tcp:127.0.0.1:4000"}}, .group = "gpu"}).find("--group: there is no Unix socket"),
            std::string::npos);
  EXPECT_EQ(complaint({.listen = {{"tcp:127.0.0.1:4000", "unix:/a"}}, .group = "gpu"}), "planned");
  EXPECT_EQ(complaint({.group = "gpu"}), "planned");
}

TEST(ServeOptions, WhatIsNoNumberIsNamedWithItsOption) {
  for (const std::string text : {"x", "1.5", "--", "99999999999999999999"}) {
    ServeSettings settings;
    std::string config;
    CLI::App app("", "nearmetal serve");
    add_serve_flags(app, settings, config);
    testing::internal::CaptureStderr();
    EXPECT_EQ(parse(app, {"--warm=" + text}), kUsage) << text;
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("--warm: \"" + text + "\" is not a whole number"), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace nm::cmd
