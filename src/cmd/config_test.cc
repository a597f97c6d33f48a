#include "cmd/config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace nm::cmd {
namespace {

class Config : public testing::Test {
 protected:
  Config() {
    char dir[] = "/tmp/nm-config-XXXXXX";
    dir_ = ::mkdtemp(dir);
  }
  ~Config() override { std::filesystem::remove_all(dir_); }
  std::string file(const std::string& text, const std::string& name = "c.toml") {
    const std::string path = dir_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    return path;
  }
  std::string complaint(const std::string& text) {
    const auto settings = read_serve_config(file(text));
    return settings ? "read" : settings.error().message;
  }
  std::string dir_;
};

TEST_F(Config, EveryOptionOfServeCanBeSet) {
  const auto settings = read_serve_config(file(R"(
    listen = ["unix:/run/nm.sock", "tcp:127.0.0.1:4000"]
    group = "gpu"
    driver = "soft"
    nvml = "/opt/libnvidia-ml.so.1"
    warm = 3
    max_sessions = 8
    drain_seconds = 30
    log_level = "debug"
  )"));
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->listen, (std::vector<std::string>{"unix:/run/nm.sock", "tcp:127.0.0.1:4000"}));
  EXPECT_EQ(settings->group, "gpu");
  EXPECT_EQ(settings->driver, "soft");
  EXPECT_EQ(settings->nvml, "/opt/libnvidia-ml.so.1");
  EXPECT_EQ(settings->warm, 3);
  EXPECT_EQ(settings->max_sessions, 8);
  EXPECT_EQ(settings->drain_seconds, 30);
  EXPECT_EQ(settings->log_level, "debug");
}

TEST_F(Config, ASingleAddressNeedsNoList) {
  const auto settings = read_serve_config(file("listen = \"unix:/a\""));
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->listen, std::vector<std::string>{"unix:/a"});
}

TEST_F(Config, UnknownKeyIsNamedWithItsLine) {
  const std::string message = complaint("warm = 1\n\nwram = 2\n");
  EXPECT_NE(message.find("c.toml:3: unknown key \"wram\""), message.npos) << message;
  EXPECT_NE(message.find("drain_seconds"), message.npos) << message;
}

TEST_F(Config, WrongTypeIsNamedWithItsLine) {
  EXPECT_NE(complaint("\nwarm = \"two\"").find("c.toml:2: \"warm\" must be a whole number"), std::string::npos);
  EXPECT_NE(complaint("listen = [1]").find("a list of strings"), std::string::npos);
  EXPECT_NE(complaint("driver = 3").find("must be a string"), std::string::npos);
}

TEST_F(Config, SyntaxErrorIsNamedWithItsLine) {
  EXPECT_NE(complaint("warm = 1\nwarm\n").find("c.toml:2:"), std::string::npos);
}

TEST_F(Config, MissingFileIsNamed) {
  const auto settings = read_serve_config("/nonexistent/c.toml");
  ASSERT_FALSE(settings);
  EXPECT_NE(settings.error().message.find("/nonexistent/c.toml"), std::string::npos);
}

TEST_F(Config, ADirectoryIsNoEmptyFile) {
  const auto settings = read_serve_config(dir_);
  ASSERT_FALSE(settings);
  EXPECT_NE(settings.error().message.find(dir_ + ": Is a directory."), std::string::npos) << settings.error().message;
  EXPECT_FALSE(read_client_config(dir_));
}

TEST_F(Config, APipeIsReadLikeAFile) {
  const std::string path = dir_ + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&path] { std::ofstream(path) << "warm = 7"; });
  const auto settings = read_serve_config(path);
  writer.join();
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->warm, 7);
}

TEST_F(Config, AFlagWinsOverTheFile) {
  ServeSettings flags = {.warm = 1};
  flags.fill_from({.group = "gpu", .warm = 5});
  EXPECT_EQ(flags.warm, 1);
  EXPECT_EQ(flags.group, "gpu");
}

TEST_F(Config, ServerComesFromFlagThenVariableThenFileThenDefault) {
  ::unsetenv("NEARMETAL_SERVER");
  ::setenv("XDG_CONFIG_HOME", dir_.c_str(), 1);
  EXPECT_EQ(*client_server(""), wire::default_address());
  file("server = \"unix:/from/file\"", "nearmetal/config.toml");
  EXPECT_EQ(client_server("")->text(), "unix:/from/file");
  ::setenv("NEARMETAL_SERVER", "unix:/from/variable", 1);
  EXPECT_EQ(client_server("")->text(), "unix:/from/variable");
  EXPECT_EQ(client_server("unix:/from/flag")->text(), "unix:/from/flag");
}

TEST_F(Config, ABadAddressNamesWhereItCameFrom) {
  ::unsetenv("NEARMETAL_SERVER");
  ::setenv("XDG_CONFIG_HOME", dir_.c_str(), 1);
  const std::string path = file("server = \"nonsense\"", "nearmetal/config.toml");
  EXPECT_EQ(client_server("").error().message.find(path), 0u);
  ::setenv("NEARMETAL_SERVER", "nonsense", 1);
  EXPECT_EQ(client_server("").error().message.find("NEARMETAL_SERVER"), 0u);
  ::unsetenv("NEARMETAL_SERVER");
}

}  // namespace
}  // namespace nm::cmd
