// What waits for the device, against a driver whose streams and events are numbers.
#include "server/completions.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace nm::server {
namespace {

const auto kOne = reinterpret_cast<CUcontext>(0x10), kTwo = reinterpret_cast<CUcontext>(0x20);
const auto kA = reinterpret_cast<CUstream>(0x100), kB = reinterpret_cast<CUstream>(0x200);

// The driver: which streams are busy, which event lies behind which stream's work, and what it answers to a record.
struct World {
  CUcontext current = nullptr;
  uint64_t events_made = 0;
  std::map<CUevent, CUcontext> made_in;
  std::map<CUevent, CUstream> behind;
  std::set<CUstream> busy;
  CUresult record = CUDA_SUCCESS, create = CUDA_SUCCESS, query = CUDA_ERROR_NOT_READY;
  int stream_queries = 0, event_queries = 0;
  bool foreign = false;  // an event was used in a context that is not its own
} g;

class CompletionsTest : public testing::Test {
 protected:
  CompletionsTest() : completions_(driver_, [](CUcontext context) { g.current = context; }) {
    g = {};
    driver_.cuEventCreate = [](CUevent* out, unsigned) {
      if (g.create != CUDA_SUCCESS) return g.create;
      *out = reinterpret_cast<CUevent>(0x1000 + 16 * g.events_made++);
      g.made_in[*out] = g.current;
      return CUDA_SUCCESS;
    };
    driver_.cuEventRecord = [](CUevent event, CUstream stream) {
      if (g.record != CUDA_SUCCESS) return g.record;
      g.foreign |= g.made_in[event] != g.current;
      g.behind[event] = stream;
      return CUDA_SUCCESS;
    };
    driver_.cuEventQuery = [](CUevent event) {
      g.event_queries++;
      g.foreign |= g.made_in[event] != g.current;
      return g.busy.count(g.behind[event]) ? g.query : CUDA_SUCCESS;
    };
    driver_.cuStreamQuery = [](CUstream stream) {
      g.stream_queries++;
      return g.busy.count(stream) ? g.query : CUDA_SUCCESS;
    };
  }

  // Writes down that it was called, with what, and whether the streams were then still as when_idle() found them.
  Completions::Done note(const std::string& name) {
    return [this, name](CUresult result) {
      told_ +=
          name + (result == CUDA_SUCCESS ? "" : "!" + std::to_string(result)) + (completions_.is_idle() ? "i " : " ");
    };
  }
  // Drains, or gives up: a loop without end would be the suite's end, too.
  bool drains() {
    for (int i = 0; i < 100 && !completions_.empty(); i++) completions_.progress();
    return completions_.empty();
  }

  DriverTable driver_{};
  Completions completions_;
  std::string told_;
};

TEST_F(CompletionsTest, WhatFinishedIsToldInTheOrderInWhichItWasArranged) {
  g.current = kOne;
  g.busy = {kA, kB};
  ASSERT_EQ(completions_.after(kOne, kA, note("1")), CUDA_SUCCESS);
  ASSERT_EQ(completions_.after(kOne, kB, note("2")), CUDA_SUCCESS);
  ASSERT_EQ(completions_.after_all(kOne, {kA, kB}, {}, note("3")), CUDA_SUCCESS);
  EXPECT_FALSE(completions_.progress());
  g.busy = {kA};
  EXPECT_TRUE(completions_.progress());
  EXPECT_EQ(told_, "2 ");
  g.busy = {};
  EXPECT_TRUE(completions_.progress());
  EXPECT_EQ(told_, "2 1 3 ");
  EXPECT_TRUE(completions_.empty());
}

TEST_F(CompletionsTest, AStreamIsAskedOnceHoweverMuchWaitsInIt) {
  g.current = kOne;
  g.busy = {kA, kB};
  for (int i = 0; i < 20; i++) ASSERT_EQ(completions_.after(kOne, i % 2 ? kA : kB, note("x")), CUDA_SUCCESS);
  EXPECT_FALSE(completions_.progress());
  EXPECT_EQ(g.event_queries, 2);
}

TEST_F(CompletionsTest, WhatAFinishedOneWaitedForIsToldBeforeIt) {
  g.current = kOne;
  g.busy = {kA, kB};
  ASSERT_EQ(completions_.after(kOne, kA, note("1")), CUDA_SUCCESS);
  ASSERT_EQ(completions_.after(kOne, kB, note("2")), CUDA_SUCCESS);
  // Both finish between the question to the first stream and the one to the second, which waited for it.
  driver_.cuEventQuery = [](CUevent event) {
    if (g.event_queries++ == 0) return CUDA_ERROR_NOT_READY;
    g.busy = {};
    return g.made_in.count(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  };
  EXPECT_TRUE(completions_.progress());
  EXPECT_EQ(told_, "1 2 ");
}

TEST_F(CompletionsTest, WhatWaitsInADestroyedStreamHoldsUpNothingInItsSuccessor) {
  g.current = kOne;
  ASSERT_EQ(completions_.after(kOne, kA, note("old")), CUDA_SUCCESS);
  completions_.retire(kA);
  ASSERT_EQ(completions_.after(kOne, kA, note("new")), CUDA_SUCCESS);
  driver_.cuEventQuery = [](CUevent event) {
    return event == g.made_in.begin()->first ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
  };
  EXPECT_TRUE(completions_.progress());
  EXPECT_EQ(told_, "new ");
}

// A stream may wait for a word that another one's later work writes.
TEST_F(CompletionsTest, BytesAreSentBeforeNewsOfWhatWaitedForThem) {
  g.current = kOne;
  g.busy = {kA, kB};
  ASSERT_EQ(completions_.after(kOne, kA, note("news"), Completions::Brings::news), CUDA_SUCCESS);
  ASSERT_EQ(completions_.after(kOne, kB, note("bytes")), CUDA_SUCCESS);
  // The newer one finishes when it has been asked, and lets the older one finish.
  driver_.cuEventQuery = [](CUevent event) {
    const bool busy = g.busy.count(g.behind[event]);
    if (g.behind[event] == kB) g.busy = {};
    return busy ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
  };
  EXPECT_TRUE(drains());
  EXPECT_EQ(told_, "bytes news ");
}

TEST_F(CompletionsTest, BytesKeepTheirOrderHoweverTheyAreFound) {
  g.current = kOne;
  g.busy = {kA, kB};
  for (const char* name : {"1", "2", "3", "4"})
    ASSERT_EQ(completions_.after(kOne, name[0] % 2 ? kA : kB, note(name)), CUDA_SUCCESS);
  completions_.when_idle(kOne, {kA}, note("news"), Completions::Brings::news);
  ASSERT_EQ(completions_.after(kOne, kB, note("5")), CUDA_SUCCESS);
  g.busy = {};
  EXPECT_TRUE(drains());
  EXPECT_EQ(told_, "1 2 3 4 5 news ");
}

TEST_F(CompletionsTest, AnOccupiedStreamHasAnEventThatNobodyAsksFor) {
  static std::vector<std::pair<CUstream, CUevent>> waits;
  waits.clear();
  driver_.cuStreamWaitEvent = [](CUstream stream, CUevent event, unsigned) {
    waits.emplace_back(stream, event);
    return CUDA_SUCCESS;
  };
  g.current = kOne;
  ASSERT_EQ(completions_.occupy(kOne, kA, false), CUDA_SUCCESS);
  EXPECT_TRUE(waits.empty());
  ASSERT_EQ(g.behind.size(), 1u);
  const CUevent event = g.behind.begin()->first;
  EXPECT_EQ(g.behind[event], kA);
  ASSERT_EQ(completions_.occupy(kOne, kB, true), CUDA_SUCCESS);
  EXPECT_EQ(g.behind[event], kB);  // the same event again
  EXPECT_EQ(waits, (std::vector<std::pair<CUstream, CUevent>>{{kB, event}}));
  EXPECT_TRUE(completions_.empty());
  g.record = CUDA_ERROR_INVALID_HANDLE;
  EXPECT_EQ(completions_.occupy(kOne, kA, true), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(waits.size(), 1u);
}

TEST_F(CompletionsTest, EventsAreUsedAgain) {
  g.current = kOne;
  for (int i = 0; i < 10; i++) {
    ASSERT_EQ(completions_.after_all(kOne, {kA, kB}, {}, note("x")), CUDA_SUCCESS);
    ASSERT_TRUE(drains());
  }
  EXPECT_EQ(g.events_made, 2u);
}

TEST_F(CompletionsTest, ARecordThatSaysNotReadyArrangesNothing) {
  g.current = kOne;
  g.record = CUDA_ERROR_NOT_READY;
  EXPECT_EQ(completions_.after(kOne, kA, note("x")), CUDA_ERROR_UNKNOWN);
  EXPECT_EQ(completions_.after_all(kOne, {kA, kB}, {}, note("x")), CUDA_ERROR_UNKNOWN);
  g.create = CUDA_ERROR_NOT_READY;
  EXPECT_EQ(completions_.after_all(kTwo, {kA}, {}, note("x")), CUDA_ERROR_UNKNOWN);
  EXPECT_TRUE(completions_.empty());
  EXPECT_EQ(told_, "");
}

TEST_F(CompletionsTest, WhoWaitsForIdleStreamsIsToldOfAnErrorOnSettling) {
  for (auto [said, told] :
       {std::pair{CUDA_ERROR_NOT_READY, "x!999 "}, std::pair{CUDA_ERROR_ILLEGAL_ADDRESS, "x!700 "}}) {
    told_.clear();
    g.busy = {kA};
    g.record = said;
    completions_.when_idle(kOne, {kA}, note("x"));
    completions_.settle();
    EXPECT_TRUE(drains());
    EXPECT_EQ(told_, told);
  }
}

TEST_F(CompletionsTest, AnEventOfAFailedSettlementIsSpareOnce) {
  g.busy = {kA, kB};
  completions_.when_idle(kOne, {kA, kB}, note("x"));
  static int records;
  records = 0;
  driver_.cuEventRecord = [](CUevent event, CUstream stream) {
    if (records++) return CUDA_ERROR_NOT_READY;
    g.behind[event] = stream;
    return CUDA_SUCCESS;
  };
  completions_.settle();
  ASSERT_TRUE(drains());
  EXPECT_EQ(told_, "x!999 ");
  // Two at once: never the same one twice.
  driver_.cuEventRecord = [](CUevent, CUstream) { return CUDA_SUCCESS; };
  std::set<CUevent> distinct;
  for (int i = 0; i < 4; i++) {
    CUevent event;
    ASSERT_EQ(completions_.record(kOne, kA, &event), CUDA_SUCCESS);
    EXPECT_TRUE(distinct.insert(event).second);
  }
}

TEST_F(CompletionsTest, EventsOfAFailedQueryAreSpareAgain) {
  g.current = kOne;
  g.busy = {kA, kB};
  ASSERT_EQ(completions_.after_all(kOne, {kA, kB}, {}, note("x")), CUDA_SUCCESS);
  g.query = CUDA_ERROR_ILLEGAL_ADDRESS;
  ASSERT_TRUE(drains());
  EXPECT_EQ(told_, "x!700 ");
  ASSERT_EQ(completions_.after_all(kOne, {kA, kB}, {}, note("y")), CUDA_SUCCESS);
  EXPECT_EQ(g.events_made, 2u);
}

TEST_F(CompletionsTest, OnlyOneThatWaitsAloneAndUnsettledFindsItsStreamsIdle) {
  g.busy = {kA};
  completions_.when_idle(kOne, {kA}, note("alone"));
  EXPECT_FALSE(completions_.progress());
  g.busy = {};
  completions_.progress();
  EXPECT_EQ(told_, "alonei ");
  EXPECT_FALSE(completions_.is_idle());
  EXPECT_EQ(g.events_made, 0u);

  told_.clear();
  completions_.when_idle(kOne, {kA}, note("settled"));
  completions_.settle();
  completions_.progress();
  EXPECT_EQ(told_, "settled ");

  told_.clear();
  completions_.when_idle(kOne, {kA}, note("first"));
  completions_.when_idle(kOne, {kB}, note("second"));
  completions_.progress();
  EXPECT_EQ(told_, "first second ");
}

TEST_F(CompletionsTest, AfterSettlingNewWorkInTheStreamIsNotWaitedFor) {
  completions_.when_idle(kOne, {kA}, note("x"));
  completions_.settle();
  const int asked = g.stream_queries;
  // What comes later lies behind the event, which has come to pass.
  driver_.cuStreamQuery = [](CUstream) {
    g.stream_queries++;
    return CUDA_ERROR_NOT_READY;
  };
  EXPECT_TRUE(drains());
  EXPECT_EQ(g.stream_queries, asked);
  EXPECT_EQ(told_, "x ");
}

TEST_F(CompletionsTest, SettlingOtherContextsLeavesTheCallersCurrent) {
  g.busy = {kA, kB};
  completions_.when_idle(kTwo, {kB}, note("two"));
  g.current = kOne;
  ASSERT_EQ(completions_.after(kOne, kA, note("one")), CUDA_SUCCESS);
  EXPECT_EQ(g.current, kOne);
  g.busy = {};
  EXPECT_TRUE(drains());
  EXPECT_FALSE(g.foreign);
  EXPECT_EQ(told_, "two one ");
}

TEST_F(CompletionsTest, AProgramsOwnEventIsNeverSpare) {
  g.current = kOne;
  const auto theirs = reinterpret_cast<CUevent>(0x5000);
  g.made_in[theirs] = kOne;
  ASSERT_EQ(completions_.after_event(kOne, theirs, note("x")), CUDA_SUCCESS);
  ASSERT_TRUE(drains());
  CUevent event;
  ASSERT_EQ(completions_.record(kOne, kA, &event), CUDA_SUCCESS);
  EXPECT_NE(event, theirs);
}

}  // namespace
}  // namespace nm::server
