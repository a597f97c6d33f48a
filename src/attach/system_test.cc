// This machine itself, as far as a test may act on it.
#include "attach/system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "inventory/scratch.h"

namespace nm::attach {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(System, WritesAndTellsWhatTheKernelAnswers) {
  const inventory::Scratch scratch;
  RealSystem system;
  const std::string path = scratch.path() + "/file";
  EXPECT_TRUE(has(system.write(path, "x", Millis(60'000)).error().message, "file: No such file or directory"));
  std::ofstream(path) << "";
  ASSERT_TRUE(system.write(path, "0000:01:00.0", Millis(60'000)));
  EXPECT_EQ(system.host().read(path, 100).text, "0000:01:00.0");
  EXPECT_TRUE(has(system.write(scratch.path(), "x", Millis(60'000)).error().message, "Is a directory"));
}

TEST(System, AWriteThatDoesNotComeBackIsGivenUp) {
  const inventory::Scratch scratch;
  RealSystem system;
  const std::string path = scratch.path() + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);  // waits for a reader
  const auto written = system.write(path, "x", Millis(100));
  ASSERT_FALSE(written);
  EXPECT_TRUE(has(written.error().message, "the kernel has not finished it within 100 ms")) << written.error().message;
  EXPECT_TRUE(system.stuck().empty());  // it could be killed
}

TEST(System, RunsProgramsAndKillsThoseThatTakeTooLong) {
  RealSystem system;
  const auto good = system.run({"sh", "-c", "cat; echo err >&2; exit 3"}, Millis(60'000), "hello");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->status, 3);
  EXPECT_EQ(good->out, "hello");
  EXPECT_EQ(good->err, "err\n");
  const auto late = system.run({"sleep", "1000"}, Millis(100), "");
  ASSERT_TRUE(late);
  EXPECT_TRUE(late->late);
  EXPECT_EQ(late->status, 128 + 9);
  EXPECT_TRUE(
      has(system.run({"no-such-program-x"}, Millis(100), "").error().message, "There is no program no-such-program-x"));
  // Whatever a program leaves in the background keeps nobody waiting.
  const auto left = system.run({"sh", "-c", "sleep 30 & echo done"}, Millis(20'000), "");
  ASSERT_TRUE(left);
  EXPECT_FALSE(left->late);
  EXPECT_EQ(left->out, "done\n");
  const auto much = system.run({"sh", "-c", "head -c 3000000 /dev/zero; true"}, Millis(60'000), "");
  ASSERT_TRUE(much);
  EXPECT_EQ(much->status, 0);
  EXPECT_EQ(much->out.size(), 1u << 20);
}

TEST(System, EndsTheProcessThatIsMeantAndNoOther) {
  RealSystem system;
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  const uint64_t started = start_of_process(system.host(), pid);
  ASSERT_GT(started, 0u);
  EXPECT_TRUE(system.end_process(pid, started + 1, Millis(60'000)));  // another one had that number
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), 0);
  // It is ours to reap, so "ended" is when it could be.
  EXPECT_TRUE(system.end_process(pid, started, Millis(60'000)));
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  EXPECT_TRUE(system.end_process(pid, started, Millis(0)));  // is no more
}

TEST(System, ThisStartOfTheKernelHasAName) { EXPECT_EQ(boot_id(RealSystem().host()).size(), 36u); }

}  // namespace
}  // namespace nm::attach
