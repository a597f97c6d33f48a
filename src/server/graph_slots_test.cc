#include "server/graph_slots.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

namespace nm::server {
namespace {

using Bytes = std::vector<uint8_t>;

class GraphSlotsTest : public testing::Test {
 protected:
  void SetUp() override {
    driver_.cuMemHostAlloc = [](void** out, size_t size, unsigned) {
      *out = malloc(size);
      return CUDA_SUCCESS;
    };
    driver_.cuMemFreeHost = [](void* p) {
      free(p);
      return CUDA_SUCCESS;
    };
    ASSERT_EQ(CUDA_SUCCESS, slots_->make(7, 4, true, nullptr, &slot_));
  }
  void TearDown() override {
    free(slot_->data);
    slot_->data = nullptr;  // as if its context were gone: nothing is kept for another one
  }
  // A launch that uses the slot writes to it.
  void write(uint8_t value) { memset(slot_->data, value, slot_->size); }
  std::vector<GraphSlots::Update> launch_is_over() { return slots_->take_written({&slot_, 1}); }

  static void expect_one(const std::vector<GraphSlots::Update>& updates, uint64_t version, uint8_t value) {
    ASSERT_EQ(1u, updates.size());
    EXPECT_EQ(7u, updates[0].slot);
    EXPECT_EQ(version, updates[0].version);
    EXPECT_EQ(Bytes(4, value), updates[0].bytes);
  }

  DriverTable driver_{};
  std::shared_ptr<GraphSlots> slots_ = std::make_shared<GraphSlots>(driver_, [](uint64_t, uint64_t) {});
  GraphSlots::Ref slot_;
};

TEST_F(GraphSlotsTest, WhatALaunchWroteIsToldOnce) {
  write(1);
  expect_one(launch_is_over(), 1, 1);
  EXPECT_TRUE(launch_is_over().empty());
}

TEST_F(GraphSlotsTest, WhatAHostFunctionWasHandedGoesThroughTheChannelTooWhileItHasNotReturned) {
  slot_->running = 1;
  write(1);
  expect_one(slots_->take_written(), 1, 1);
  expect_one(launch_is_over(), 1, 1);
  EXPECT_TRUE(launch_is_over().empty()) << "later replies are behind it";
}

TEST_F(GraphSlotsTest, WhatAHostFunctionWasHandedHasArrivedWhenItReturns) {
  slot_->running = 1;
  write(1);
  expect_one(slots_->take_written(), 1, 1);
  slots_->function_returned();
  EXPECT_TRUE(launch_is_over().empty());
}

TEST_F(GraphSlotsTest, WhatWasWrittenSinceAHostFunctionWasHandedItIsNewer) {
  slot_->running = 1;
  write(1);
  expect_one(slots_->take_written(), 1, 1);
  write(2);
  expect_one(launch_is_over(), 2, 2);
  slot_->running = 0;
  expect_one(slots_->take_written(), 2, 2);  // the next function may run before the channel is read
  EXPECT_TRUE(slots_->take_written().empty());
}

TEST_F(GraphSlotsTest, WhatTheClientWroteSinceIsNotTakenBack) {
  slot_->running = 1;
  write(1);
  expect_one(slots_->take_written(), 1, 1);
  const GraphSlots::Update newer{7, 1, Bytes(4, 9)};
  slots_->apply({&newer, 1});
  EXPECT_TRUE(launch_is_over().empty());
  EXPECT_EQ(9, slot_->data[0]);
}

}  // namespace
}  // namespace nm::server
