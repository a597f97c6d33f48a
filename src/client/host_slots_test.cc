#include "client/host_slots.h"

#include <gtest/gtest.h>

#include <numeric>

namespace nm::client {
namespace {

class HostSlotsTest : public ::testing::Test {
 protected:
  HostSlotsTest() { std::iota(memory_.begin(), memory_.end(), uint8_t{1}); }
  CUDA_MEMCPY3D_PEER whole() {
    CUDA_MEMCPY3D_PEER c{};
    c.srcHost = c.dstHost = memory_.data();
    c.WidthInBytes = memory_.size();
    c.Height = c.Depth = 1;
    return c;
  }
  uint64_t add(const CUDA_MEMCPY3D_PEER& copy, bool source, uint64_t context = 1) {
    return slots_.add(copy, source, context);
  }
  std::vector<SlotUpdate> launch(uint64_t slot) { return slots_.begin_launch({&slot, 1}); }
  void end(uint64_t slot) { slots_.end_launch({&slot, 1}); }

  std::vector<uint8_t> memory_ = std::vector<uint8_t>(24);
  HostSlots slots_;
};

TEST_F(HostSlotsTest, ItIsKnownWhichBytesTheyTouch) {
  EXPECT_FALSE(slots_.touch(memory_.data(), memory_.size()));
  uint64_t slot = add(whole(), true);
  EXPECT_TRUE(slots_.touch(memory_.data() + 23, 100));
  EXPECT_TRUE(slots_.touch(memory_.data() - 1, 2));
  EXPECT_FALSE(slots_.touch(memory_.data() - 2, 2));
  EXPECT_FALSE(slots_.touch(memory_.data() + 24, 100));
  slots_.drop(slot, 1);
  EXPECT_FALSE(slots_.touch(memory_.data(), memory_.size()));
}

TEST_F(HostSlotsTest, OnlyWhatChangedGoesWithALaunch) {
  uint64_t slot = add(whole(), true);
  EXPECT_EQ(24u, slots_.size(slot));
  auto first = launch(slot);
  ASSERT_EQ(1u, first.size());
  EXPECT_EQ(memory_, first[0].bytes);
  EXPECT_TRUE(launch(slot).empty());
  memory_[23]++;
  auto second = launch(slot);
  ASSERT_EQ(1u, second.size());
  EXPECT_EQ(memory_, second[0].bytes);
  EXPECT_GT(second[0].version, first[0].version);
}

TEST_F(HostSlotsTest, WhatMayNotHaveArrivedGoesAgain) {
  uint64_t slot = add(whole(), true);
  launch(slot);
  slots_.lost(slot);
  EXPECT_EQ(1u, launch(slot).size());
}

TEST_F(HostSlotsTest, RowsTravelWithoutTheirGaps) {
  CUDA_MEMCPY3D_PEER c = whole();
  c.WidthInBytes = 2;
  c.Height = 3;
  c.srcPitch = 8;
  c.srcXInBytes = 1;
  c.dstPitch = 4;
  auto sent = launch(add(c, true));
  ASSERT_EQ(1u, sent.size());
  EXPECT_EQ((std::vector<uint8_t>{2, 3, 10, 11, 18, 19}), sent[0].bytes);
  uint64_t out = add(c, false);
  slots_.write(out, 1, std::vector<uint8_t>{100, 101, 102, 103, 104, 105});
  EXPECT_EQ((std::vector<uint8_t>{100, 101, 3, 4, 102, 103, 7, 8, 104, 105}),
            std::vector<uint8_t>(memory_.begin(), memory_.begin() + 10));
}

TEST_F(HostSlotsTest, OnlyANewerWholeOutputIsWritten) {
  uint64_t in = add(whole(), true), out = add(whole(), false, 2);
  const auto before = memory_;
  const std::vector<uint8_t> sevens(24, 7), eights(24, 8);
  slots_.write(in, 1, sevens);  // nothing that a graph writes
  slots_.write(out, 1, std::vector<uint8_t>(23, 7));
  slots_.write(99, 1, sevens);
  EXPECT_EQ(before, memory_);
  slots_.write(out, 2, sevens);
  EXPECT_EQ(sevens, memory_);
  slots_.write(out, 2, eights);
  slots_.write(out, 1, eights);
  EXPECT_EQ(sevens, memory_);
  EXPECT_TRUE(launch(out).empty()) << "the server has what it sent";
}

TEST_F(HostSlotsTest, AHostFunctionsChangesReachLaunchesUnderWay) {
  uint64_t slot = add(whole(), true);
  EXPECT_TRUE(slots_.take_changes().empty()) << "no launch is under way";
  auto sent = launch(slot);
  // An earlier launch may still be to come and has not seen what went with this one: once more, as the same version.
  auto again = slots_.take_changes();
  ASSERT_EQ(1u, again.size());
  EXPECT_EQ(sent[0].version, again[0].version);
  EXPECT_TRUE(slots_.take_changes().empty());
  memory_[0] = 200;
  auto changed = slots_.take_changes();
  ASSERT_EQ(1u, changed.size());
  EXPECT_GT(changed[0].version, sent[0].version);
  end(slot);
  memory_[0] = 201;
  EXPECT_TRUE(slots_.take_changes().empty());
}

TEST_F(HostSlotsTest, WhatOneCopyWritesAndAnotherReadsIsOneSlot) {
  uint64_t in = add(whole(), true);
  EXPECT_NE(in, add(whole(), true)) << "two that read";
  uint64_t out = add(whole(), false);
  EXPECT_TRUE(slots_.is_source(out) && slots_.is_destination(out));
  EXPECT_EQ(out, add(whole(), true)) << "what a copy writes, read once more";
  EXPECT_EQ(out, add(whole(), false)) << "two that write";
  EXPECT_NE(out, add(whole(), true, 2)) << "in another context";
  CUDA_MEMCPY3D_PEER half = whole();
  half.WidthInBytes /= 2;
  EXPECT_NE(out, add(half, true)) << "other bytes";
  launch(out);
  const std::vector<uint8_t> sevens(24, 7);
  slots_.write(out, 1, sevens);
  EXPECT_EQ(sevens, memory_);
  EXPECT_TRUE(launch(out).empty()) << "the server has what it sent";
}

TEST_F(HostSlotsTest, ASlotLivesAsLongAsSomeCopyUsesIt) {
  uint64_t slot = add(whole(), true);
  ASSERT_EQ(slot, add(whole(), false));
  slots_.drop(slot, 1);
  EXPECT_EQ(24u, slots_.size(slot));
  // Named again before it was heard that both are gone.
  ASSERT_EQ(slot, add(whole(), true));
  slots_.drop(slot, 1);
  EXPECT_EQ(24u, slots_.size(slot));
  slots_.drop(slot, 5);
  EXPECT_EQ(0u, slots_.size(slot));
  EXPECT_NE(slot, add(whole(), false));
}

TEST_F(HostSlotsTest, ASlotOfAnEndedContextIsNotShared) {
  uint64_t slot = add(whole(), true);
  slots_.leave(1);
  EXPECT_NE(slot, add(whole(), false));
  EXPECT_EQ(24u, slots_.size(slot)) << "its graph may still be there";
}

TEST_F(HostSlotsTest, AProgramReadsBackWhatItNamed) {
  CUDA_MEMCPY3D_PEER named = whole(), asked{};
  named.srcXInBytes = 3;
  named.srcPitch = 24;
  named.WidthInBytes = 4;
  uint64_t slot = add(named, true);
  ASSERT_TRUE(slots_.restore(slot, true, &asked));
  EXPECT_FALSE(slots_.restore(slot, false, &asked));
  EXPECT_EQ(memory_.data(), asked.srcHost);
  EXPECT_EQ(3u, asked.srcXInBytes);
  EXPECT_EQ(24u, asked.srcPitch);
  EXPECT_EQ(nullptr, asked.dstHost);
  slots_.drop(slot, 1);
  EXPECT_FALSE(slots_.restore(slot, true, &asked));
  EXPECT_EQ(0u, slots_.size(slot));
  EXPECT_EQ(nullptr, slots_.box(slot));
}

}  // namespace
}  // namespace nm::client
