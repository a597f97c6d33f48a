#include "wire/handover.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

namespace nm::wire {
namespace {

class HandoverTest : public testing::TestWithParam<int> {
 protected:
  HandoverTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, GetParam() | SOCK_CLOEXEC, 0, ends), 0);
    here_.reset(ends[0]);
    there_.reset(ends[1]);
  }
  bool receive() { return receive_handover(there_.get(), Millis(5000), &got_, &fd_); }
  Fd here_, there_, fd_;
  Handover got_;
};

TEST_P(HandoverTest, BringsTheDescriptorAndWhoIsAtItsOtherEnd) {
  Handover sent = {.kind = Handover::session};
  put_text(sent.peer, "user alice");
  put_text(sent.sentence, std::string(5000, 'x'));
  ASSERT_TRUE(send_handover(here_.get(), sent, here_.get()));
  ASSERT_TRUE(receive());
  EXPECT_EQ(text_in(got_.peer), "user alice");
  EXPECT_EQ(text_in(got_.sentence).size(), sizeof got_.sentence - 1);
  EXPECT_TRUE(fd_);
}

TEST_P(HandoverTest, ARefusalBringsNone) {
  ASSERT_TRUE(send_handover(here_.get(), {}, -1));
  ASSERT_TRUE(receive());
  EXPECT_FALSE(fd_);
}

TEST_P(HandoverTest, AKindWithoutItsDescriptorIsNoHandover) {
  ASSERT_TRUE(send_handover(here_.get(), {.kind = Handover::session}, -1));
  EXPECT_FALSE(receive());
}

TEST_P(HandoverTest, ADescriptorWithoutAKindIsNoHandover) {
  ASSERT_TRUE(send_handover(here_.get(), {}, here_.get()));
  EXPECT_FALSE(receive());
}

TEST_P(HandoverTest, OtherBytesAreNoHandover) {
  const std::string noise(sizeof(Handover), 'n');
  ASSERT_EQ(::send(here_.get(), noise.data(), noise.size(), 0), static_cast<ssize_t>(noise.size()));
  EXPECT_FALSE(receive());
}

TEST_P(HandoverTest, AnEndInTheMiddleIsNoHandover) {
  const Handover whole = {};
  ::send(here_.get(), &whole, sizeof whole / 2, 0);
  here_.reset();
  EXPECT_FALSE(receive());
}

INSTANTIATE_TEST_SUITE_P(EverySocket, HandoverTest, testing::Values(SOCK_STREAM, SOCK_SEQPACKET));

}  // namespace
}  // namespace nm::wire
