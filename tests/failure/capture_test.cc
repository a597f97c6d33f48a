// Clients that go in the middle of captures, in any way, leave nothing behind but an ended session.
#include <gtest/gtest.h>

#include "roles.h"
#include "server.h"

using test::Server;

namespace {

// NM_SEEDS: from, and how many.
TEST(Failure, AClientThatGoesInTheMiddleOfCapturesEndsItsSessionOnly) {
  unsigned from = 0, count = 60;
  if (const char* wish = getenv("NM_SEEDS")) sscanf(wish, "%u %u", &from, &count);
  Server server;
  for (unsigned seed = from; seed < from + count; seed++) {
    auto client = server.client("captures", {"NM_SEED=" + std::to_string(seed), "NEARMETAL_QUIET=1"});
    const int status = client->wait(60);
    ASSERT_TRUE(status == 0 || status == 128 + SIGKILL) << "seed " << seed << ": " << status << "\n"
                                                        << test::read_file(server.output("captures")) << server.log();
    ASSERT_EQ(std::string::npos, server.log().find("abnormally")) << "seed " << seed << "\n" << server.log();
  }
  server.process().signal(SIGTERM);
  EXPECT_EQ(0, server.process().wait(20));
  EXPECT_EQ(std::string::npos, server.log().find("abnormally")) << server.log();
}

}  // namespace
