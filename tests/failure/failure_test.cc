// How it may fail, and what the program sees then.
#include <gtest/gtest.h>

#include "cuda_abi.h"
#include "roles.h"
#include "server.h"

using test::Clock;
using test::seconds_since;
using test::Server;

namespace {

std::string line(const char* step, int value) { return std::string(step) + " " + std::to_string(value) + "\n"; }

TEST(Failure, NoServerIsSaidWithItsAddressAndIsAnErrorWithinSeconds) {
  Server server;
  server.process().signal(SIGTERM);
  ASSERT_EQ(0, server.process().wait(20));
  auto start = Clock::now();
  auto client = server.client("init");
  EXPECT_EQ(0, client->wait(5));
  EXPECT_LT(seconds_since(start), 5);
  std::string out = test::read_file(server.output("init"));
  EXPECT_NE(std::string::npos, out.find(line("init", CUDA_ERROR_NO_DEVICE))) << out;
  EXPECT_NE(std::string::npos, out.find(server.address())) << out;
}

TEST(Failure, AServerThatDiesMidRunIsAnErrorWithinSecondsAndNamed) {
  Server server;
  auto client = server.client("worker");
  ASSERT_TRUE(server.said("worker", "computing")) << server.log() << test::read_file(server.output("worker"));
  server.process().signal(SIGKILL);
  auto start = Clock::now();
  EXPECT_EQ(0, client->wait(10));
  EXPECT_LT(seconds_since(start), 5);
  std::string out = test::read_file(server.output("worker"));
  EXPECT_EQ(std::string::npos, out.find("wrong")) << out;
  EXPECT_NE(std::string::npos, out.find("lost the server at " + server.address())) << out;
  EXPECT_EQ(std::string::npos, out.find("error 0\n")) << out;
}

TEST(Failure, AServerThatDiesWhileTheClientWaitsEndsTheWait) {
  Server server;
  auto client = server.client("stuck");
  ASSERT_TRUE(server.said("stuck", "waiting")) << test::read_file(server.output("stuck"));
  server.process().signal(SIGKILL);
  EXPECT_EQ(0, client->wait(5));
  EXPECT_EQ(std::string::npos, test::read_file(server.output("stuck")).find("error 0\n"));
}

TEST(Failure, OutOfMemoryIsSynchronousAndRetryWorks) {
  Server server({"NEARMETAL_SOFTGPU_MEMORY=256M"});
  auto client = server.client("out_of_memory");
  ASSERT_EQ(0, client->wait(20));
  std::string out = test::read_file(server.output("out_of_memory"));
  EXPECT_EQ(line("too big", CUDA_ERROR_OUT_OF_MEMORY) + line("half", 0) +
                line("more than is left", CUDA_ERROR_OUT_OF_MEMORY) + line("free", 0) + line("again", 0) +
                line("usable", 0) + line("fine", 0),
            out);
}

TEST(Failure, AnIllegalAddressIsStickyForItsClientAlone) {
  Server server;
  auto other = server.client("worker");
  ASSERT_TRUE(server.said("worker", "computing"));
  auto client = server.client("bad_address");
  ASSERT_EQ(0, client->wait(20));
  EXPECT_EQ(line("first", CUDA_ERROR_ILLEGAL_ADDRESS) + line("then", CUDA_ERROR_ILLEGAL_ADDRESS) +
                line("still", CUDA_ERROR_ILLEGAL_ADDRESS),
            test::read_file(server.output("bad_address")));
  EXPECT_EQ(-1, other->wait(0.5)) << test::read_file(server.output("worker"));
}

TEST(Failure, ATrapIsStickyForItsClientAlone) {
  Server server;
  auto other = server.client("worker");
  ASSERT_TRUE(server.said("worker", "computing"));
  auto client = server.client("trap");
  ASSERT_EQ(0, client->wait(20));
  std::string out = test::read_file(server.output("trap"));
  EXPECT_EQ(line("launch", 0) + line("first", CUDA_ERROR_LAUNCH_FAILED) + line("then", CUDA_ERROR_LAUNCH_FAILED), out);
  EXPECT_EQ(-1, other->wait(0.5));
}

TEST(Failure, AKernelThatNeverEndsDoesNotOutliveItsClient) {
  Server server;
  auto client = server.client("freeing");
  ASSERT_TRUE(server.said("freeing", "freeing")) << test::read_file(server.output("freeing"));
  usleep(300'000);  // by now the worker waits for the kernel
  client->signal(SIGKILL);
  ASSERT_EQ(128 + SIGKILL, client->wait(5));
  auto start = Clock::now();
  while (server.log().find(" ended after") == std::string::npos && seconds_since(start) < 15) usleep(10000);
  EXPECT_LT(seconds_since(start), 10) << server.log();
}

TEST(Failure, AKilledClientsMemoryIsBackWithinASecond) {
  Server server({"NEARMETAL_SOFTGPU_MEMORY=256M"});
  auto hog = server.client("hog");
  ASSERT_TRUE(server.said("hog", "copying")) << test::read_file(server.output("hog"));
  hog->signal(SIGKILL);
  ASSERT_EQ(128 + SIGKILL, hog->wait(5));
  auto start = Clock::now();
  // Its worker is gone, and with the process everything that it held of the device.
  while (server.log().find(" ended after") == std::string::npos && seconds_since(start) < 5) usleep(10000);
  EXPECT_LT(seconds_since(start), 1) << server.log();
  auto heir = server.client("heir");
  EXPECT_EQ(0, heir->wait(20)) << test::read_file(server.output("heir"));
}

TEST(Failure, AForkedChildIsNotInitialisedAndTheParentGoesOn) {
  Server server;
  auto client = server.client("forked");
  ASSERT_EQ(0, client->wait(20));
  EXPECT_EQ(line("child alloc", CUDA_ERROR_NOT_INITIALIZED) + line("child init", CUDA_ERROR_NOT_INITIALIZED) +
                line("parent poke", 0) + line("parent read", 0) + line("value", 7),
            test::read_file(server.output("forked")));
}

TEST(Failure, HandlesOfNobodyAreRefusedAndHarmNothing) {
  Server server;
  auto client = server.client("foreign_handles");
  ASSERT_EQ(0, client->wait(20));
  EXPECT_EQ(line("unknown stream", CUDA_ERROR_INVALID_HANDLE) + line("module as stream", CUDA_ERROR_INVALID_HANDLE) +
                line("destroy", 0) + line("destroyed stream", CUDA_ERROR_INVALID_HANDLE) +
                line("random event", CUDA_ERROR_INVALID_HANDLE) + line("random function", CUDA_ERROR_INVALID_HANDLE) +
                line("still fine", 0),
            test::read_file(server.output("foreign_handles")));
}

TEST(Failure, NoRoomForPinnedMemoryIsAnErrorAndNothingElse) {
  Server server;
  auto client = server.client("no_room");
  ASSERT_EQ(0, client->wait(20));
  EXPECT_EQ(line("enormous", CUDA_ERROR_OUT_OF_MEMORY) + line("small", 0) + line("fine", 0),
            test::read_file(server.output("no_room")));
}

}  // namespace

int main(int argc, char** argv) {
  int status;
  if (argc == 3 && !strcmp(argv[1], "--role")) {
    if (run_role(argv[2], &status)) return status;
    fprintf(stderr, "no role %s\n", argv[2]);
    return 64;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
