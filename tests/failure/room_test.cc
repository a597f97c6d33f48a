// Memory that is shared with the server cannot be had: the limit on files ends it, or the machine has no more.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "cuda_abi.h"
#include "server.h"

using test::Server;

namespace {

std::string line(const char* step, int value) { return std::string(step) + " " + std::to_string(value) + "\n"; }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) n++;
  return n;
}

// Runs the role to its end, and the server after it. What the program printed, both ways.
std::string output_of(const std::string& role, int* status) {
  Server server;
  *status = server.client(role)->wait(60);
  server.process().signal(SIGTERM);
  EXPECT_EQ(0, server.process().wait(20)) << "a session or a worker stayed: " << server.log();
  EXPECT_FALSE(has(server.log(), "abnormally")) << server.log();
  std::set<std::string> left;
  for (auto& file : std::filesystem::directory_iterator(server.folder())) left.insert(file.path().filename());
  EXPECT_EQ((std::set<std::string>{"server.log", role + ".out"}), left);
  return test::read_file(server.output(role));
}

TEST(Room, PinnedMemoryBeyondTheLimitOnFilesIsAnErrorThatIsExplainedOnce) {
  int status;
  std::string out = output_of("small_files", &status);
  EXPECT_EQ(0, status) << out;
  EXPECT_TRUE(has(out, line("rings", 1) + "nearmetal: there is no room for 8388608 bytes")) << out;
  EXPECT_TRUE(has(out, "ulimit -f")) << out;
  EXPECT_EQ(1, count(out, "no room")) << out;
  EXPECT_TRUE(has(out, line("8 MiB", CUDA_ERROR_OUT_OF_MEMORY) + line("managed", CUDA_ERROR_OUT_OF_MEMORY) +
                           line("1 MiB", 0) + line("computed", 0) + line("again", CUDA_ERROR_OUT_OF_MEMORY)))
      << out;
}

TEST(Room, CopiesGoOnWithTheSlotsThatThereAre) {
  int status;
  std::string out = output_of("one_slot", &status);
  EXPECT_EQ(0, status) << out;
  EXPECT_TRUE(has(out, line("1 MiB", CUDA_ERROR_OUT_OF_MEMORY) + line("computed", 0))) << out;
}

TEST(Room, CopiesGoThroughTheChannelWhereThereIsNoSlot) {
  int status;
  std::string out = output_of("no_slot", &status);
  EXPECT_EQ(0, status) << out;
  EXPECT_TRUE(has(out, line("1 MiB", CUDA_ERROR_OUT_OF_MEMORY) + line("computed", 0))) << out;
}

TEST(Room, ASessionWithoutRoomForRingsUsesItsSocket) {
  int status;
  std::string out = output_of("no_rings", &status);
  EXPECT_EQ(0, status) << out;
  EXPECT_TRUE(has(out, line("rings", 0))) << out;
  EXPECT_TRUE(has(out, line("computed", 0))) << out;
}

TEST(Room, AMachineWithoutMemoryIsAnErrorAndNoSignal) {
  int status;
  std::string out = output_of("memory_gone", &status);
  if (status == 77) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(0, status) << out;
  EXPECT_TRUE(has(out, "no room for 1048576 bytes of pinned or managed host memory: No space left on device.")) << out;
  EXPECT_TRUE(has(out, line("1 MiB", CUDA_ERROR_OUT_OF_MEMORY) + line("computed", 0))) << out;
}

TEST(Room, AMachineWithoutMemoryForRingsLeavesTheSocket) {
  int status;
  std::string out = output_of("memory_gone_early", &status);
  if (status == 77) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(0, status) << out;
  EXPECT_TRUE(has(out, line("rings", 0))) << out;
  EXPECT_TRUE(has(out, line("1 MiB", CUDA_ERROR_OUT_OF_MEMORY) + line("computed", 0))) << out;
}

}  // namespace
