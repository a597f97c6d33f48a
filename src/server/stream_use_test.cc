#include "server/stream_use.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace nm::server {
namespace {

const auto kOne = reinterpret_cast<CUcontext>(0x10), kTwo = reinterpret_cast<CUcontext>(0x20);
const auto kA = reinterpret_cast<CUstream>(0x100), kB = reinterpret_cast<CUstream>(0x200);
const auto kEvent = reinterpret_cast<CUevent>(0x1000);
using Streams = std::vector<CUstream>;

TEST(StreamUse, AStreamIsWaitedForOnceAfterItWasUsed) {
  StreamUse use;
  use.created(kA, kOne, false);
  EXPECT_EQ(use.take(kOne).streams, Streams{nullptr});
  use.named(kA, kOne);
  EXPECT_EQ(use.take(kOne).streams, (Streams{nullptr, kA}));
  EXPECT_EQ(use.take(kOne).streams, Streams{nullptr});
}

TEST(StreamUse, KnowsWhichStreamsTakePart) {
  StreamUse use;
  use.created(kA, kOne, false);
  use.created(kB, kOne, true);
  EXPECT_FALSE(use.is_blocking(kA));
  EXPECT_TRUE(use.is_blocking(kB));
  EXPECT_TRUE(use.is_blocking(nullptr));
}

TEST(StreamUse, AWaitForOneContextLeavesTheOthersStreamsToTheirs) {
  StreamUse use;
  use.created(kA, kOne, false);
  use.created(kB, kTwo, false);
  use.named(kA, kOne);
  use.named(kB, kTwo);
  EXPECT_EQ(use.take(kOne).streams, (Streams{nullptr, kA}));
  EXPECT_EQ(use.take(kTwo).streams, (Streams{nullptr, kB}));
}

TEST(StreamUse, BlockingStreamsAreTheLegacyStreamsBusiness) {
  StreamUse use;
  use.created(kA, kOne, true);
  use.named(kA, kOne);
  auto wait = use.take(kOne);
  EXPECT_EQ(wait.streams, Streams{nullptr});
  EXPECT_TRUE(wait.blocking);
  EXPECT_FALSE(use.take(kTwo).blocking);
  EXPECT_FALSE(use.retire(kA));
  EXPECT_FALSE(use.take(kOne).blocking);
}

TEST(StreamUse, WorkOutlivesItsStream) {
  StreamUse use;
  use.created(kA, kOne, false);
  use.named(kA, kOne);
  EXPECT_TRUE(use.retire(kA));
  use.left_behind(kOne, kEvent);
  EXPECT_TRUE(use.take(kTwo).events.empty());
  EXPECT_EQ(use.take(kOne).events, std::vector<CUevent>{kEvent});
  EXPECT_TRUE(use.take(kOne).events.empty());
}

TEST(StreamUse, AContextTakesItsStreamsWithIt) {
  StreamUse use;
  use.created(kA, kOne, true);
  use.named(kB, kOne);
  use.left_behind(kOne, kEvent);
  use.forget(kOne);
  auto wait = use.take(kOne);
  EXPECT_EQ(wait.streams, Streams{nullptr});
  EXPECT_TRUE(wait.events.empty());
  EXPECT_FALSE(wait.blocking);
}

}  // namespace
}  // namespace nm::server
