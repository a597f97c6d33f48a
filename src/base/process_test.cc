#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace nm {
namespace {

std::string read_all(int fd) {
  std::string out;
  char buffer[4096];
  ssize_t got;
  while ((got = ::read(fd, buffer, sizeof buffer)) > 0) out.append(buffer, static_cast<size_t>(got));
  return out;
}

std::string output_of(std::vector<std::string> argv, std::vector<std::string> env = {}) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd out(ends[0]), in(ends[1]);
  auto child = spawn({.argv = std::move(argv), .env = std::move(env), .fds = {{in.get(), 1}}});
  EXPECT_TRUE(child) << child.error().message;
  in.reset();
  std::string text = read_all(out.get());
  if (child) child->wait();
  return text;
}

TEST(Process, ReportsAProgramThatCannotBeStartedAsASentence) {
  auto child = spawn({.argv = {"/nonexistent/program"}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().message, "Cannot start /nonexistent/program: No such file or directory.");
}

TEST(Process, ReturnsExitStatusAndSignal) {
  auto exits = spawn({.argv = {"/bin/sh", "-c", "exit 3"}});
  ASSERT_TRUE(exits);
  EXPECT_EQ(exits->wait().describe(), "exited with status 3");
  auto killed = spawn({.argv = {"/bin/sh", "-c", "kill -9 $$"}});
  ASSERT_TRUE(killed);
  EXPECT_EQ(killed->wait().describe(), "was ended by signal 9 (Killed)");
}

TEST(Process, ChildSeesOnlyTheEnvironmentItWasGiven) {
  EXPECT_EQ(output_of({"/usr/bin/env"}, {"A=1", "B=two"}), "A=1\nB=two\n");
}

TEST(Process, ChildInheritsNoOtherDescriptor) {
  Fd leak(::memfd_create("leak", 0));  // deliberately without close-on-exec
  ASSERT_GT(leak.get(), 2);
  const std::string links = output_of({"/bin/sh", "-c", "ls -l /proc/$$/fd"}, {"PATH=/usr/bin:/bin"});
  EXPECT_NE(links.find("/dev/null"), links.npos) << links;
  EXPECT_EQ(links.find("leak"), links.npos) << links;
}

TEST(Process, DescriptorsMayTradePlaces) {
  int a[2], b[2];
  ASSERT_EQ(::pipe2(a, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(b, O_CLOEXEC), 0);
  auto child =
      spawn({.argv = {"/bin/bash", "-c",
                      std::string("echo first >&") + std::to_string(b[1]) + "; echo second >&" + std::to_string(a[1])},
             .fds = {{a[1], b[1]}, {b[1], a[1]}}});
  ASSERT_TRUE(child);
  ::close(a[1]);
  ::close(b[1]);
  EXPECT_TRUE(child->wait().clean());
  EXPECT_EQ(read_all(a[0]), "first\n");
  EXPECT_EQ(read_all(b[0]), "second\n");
  ::close(a[0]);
  ::close(b[0]);
}

TEST(Process, ChildStartsWithDefaultSignalsEvenIfTheParentIgnoresThem) {
  ::signal(SIGTERM, SIG_IGN);
  auto child = spawn({.argv = {"/bin/sleep", "60"}});
  ::signal(SIGTERM, SIG_DFL);
  ASSERT_TRUE(child);
  child->signal(SIGTERM);
  EXPECT_EQ(child->wait().describe(), "was ended by signal 15 (Terminated)");
}

TEST(Process, PidfdBecomesReadableAtTheEnd) {
  auto child = spawn({.argv = {"/bin/true"}});
  ASSERT_TRUE(child);
  pollfd poll = {.fd = child->pidfd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&poll, 1, 5000), 1);
  EXPECT_TRUE(child->wait().clean());
}

TEST(Process, SetEnvReplacesAndUnsetRemovesWholeNamesOnly) {
  std::vector<std::string> env = {"PATH=/bin", "PATHS=x"};
  set_env(env, "PATH", "/usr/bin");
  unset_env(env, "PAT");
  EXPECT_EQ(env.size(), 2u);
  EXPECT_NE(std::find(env.begin(), env.end(), "PATH=/usr/bin"), env.end());
  EXPECT_NE(std::find(env.begin(), env.end(), "PATHS=x"), env.end());
}

}  // namespace
}  // namespace nm
