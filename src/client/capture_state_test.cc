#include "client/capture_state.h"

#include <gtest/gtest.h>

namespace nm::client {
namespace {

using Part = CaptureState::Part;
constexpr uint64_t kA = 100, kB = 101, kC = 102, kContext = 7, kOther = 8, kEvent = 50, kSecond = 51;

TEST(CaptureState, OnlyTheStreamWhereItBeganTakesPartAtFirst) {
  CaptureState s;
  s.begin(kA, kContext);
  EXPECT_EQ(1, s.open());
  EXPECT_EQ(Part::surely, s.part(kA));
  EXPECT_EQ(Part::none, s.part(kB));
  s.end(kB);
  EXPECT_EQ(1, s.open());
  s.end(kA);
  EXPECT_EQ(0, s.open());
  EXPECT_EQ(Part::none, s.part(kA));
}

TEST(CaptureState, ANewCaptureInAStreamTakesThePlaceOfOneThatWasNotHeardToEnd) {
  CaptureState s;
  s.begin(kA, kContext);
  s.begin(kA, kContext);
  EXPECT_EQ(1, s.open());
  s.end(kA);
  EXPECT_EQ(0, s.open());
}

TEST(CaptureState, AStreamThatWaitsForACapturedEventMayHaveJoined) {
  CaptureState s;
  s.begin(kA, kContext);
  s.record(kEvent, kA, false);
  EXPECT_FALSE(s.wait(kB, kEvent, false));
  EXPECT_EQ(Part::may, s.part(kB));
  s.record(kSecond, kB, false);
  EXPECT_FALSE(s.wait(kC, kSecond, false));
  EXPECT_EQ(Part::may, s.part(kC));
  EXPECT_FALSE(s.wait(kA, kSecond, false));  // joined again
  s.settle(kB, true);
  EXPECT_EQ(Part::surely, s.part(kB));
  s.settle(kC, false);
  EXPECT_EQ(Part::none, s.part(kC));
  s.end(kA);
  EXPECT_EQ(Part::none, s.part(kB));
}

TEST(CaptureState, WaitsThatCrossTheBoundaryAreAnsweredByTheDriver) {
  CaptureState s;
  s.begin(kA, kContext);
  EXPECT_TRUE(s.wait(kA, kEvent, false));  // recorded before, or never
  s.record(kEvent, kC, false);
  EXPECT_TRUE(s.wait(kA, kEvent, false));  // recorded outside
  EXPECT_FALSE(s.wait(kA, kEvent, true));  // an external one is a node
  s.begin(kB, kContext);
  s.record(kEvent, kB, false);
  EXPECT_TRUE(s.wait(kA, kEvent, false));  // of another capture
  EXPECT_EQ(Part::surely, s.part(kA));
  s.end(kB);
  EXPECT_TRUE(s.wait(kA, kEvent, false));  // of one that is over
  EXPECT_FALSE(s.wait(kC, kEvent, false));
  EXPECT_EQ(Part::none, s.part(kC));
}

TEST(CaptureState, AnEventRecordedElsewhereIsCapturedNoMore) {
  CaptureState s;
  s.begin(kA, kContext);
  s.record(kEvent, kA, false);
  s.record(kEvent, kB, false);
  EXPECT_FALSE(s.wait(kC, kEvent, false));
  EXPECT_EQ(Part::none, s.part(kC));
  s.record(kEvent, kA, true);  // a node of the graph, not a fork
  EXPECT_FALSE(s.wait(kC, kEvent, false));
  EXPECT_EQ(Part::none, s.part(kC));
}

TEST(CaptureState, AContextTakesItsCapturesWithIt) {
  CaptureState s;
  s.begin(kA, kContext);
  s.begin(kB, kContext);
  s.begin(kC, kOther);
  s.end_context(kContext);
  EXPECT_EQ(1, s.open());
  EXPECT_EQ(Part::none, s.part(kA));
  EXPECT_EQ(Part::surely, s.part(kC));
}

TEST(CaptureState, DoubtLastsAsLongAsTheCapture) {
  CaptureState s;
  s.begin(kA, kContext);
  EXPECT_FALSE(s.is_doubted(kA));
  s.doubt();
  EXPECT_TRUE(s.is_doubted(kA));
  EXPECT_FALSE(s.is_doubted(kB));
  s.record(kEvent, kA, false);
  EXPECT_TRUE(s.wait(kB, kEvent, false));
  EXPECT_TRUE(s.is_doubted(kB));
  s.end(kA);
  s.begin(kA, kContext);
  EXPECT_FALSE(s.is_doubted(kA));
}

}  // namespace
}  // namespace nm::client
