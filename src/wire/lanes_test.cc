#include "wire/lanes.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/socket.h>

#include <random>
#include <thread>

namespace nm::wire {
namespace {

std::vector<char> noise(size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<char> bytes(size);
  for (size_t i = 0; i < size; i++) bytes[i] = static_cast<char>(random());
  return bytes;
}

struct Sides {
  explicit Sides(int count) {
    for (int i = 0; i < count; i++) {
      auto [one, other] = pair();
      EXPECT_TRUE(a.add(std::move(one)));
      EXPECT_TRUE(b.add(std::move(other)));
    }
  }
  static std::pair<Fd, Fd> pair() {
    int fds[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    return {Fd(fds[0]), Fd(fds[1])};
  }
  Lanes a, b;
};

bool send_all(Lanes& lanes, uint64_t transfer, const std::vector<char>& bytes) {
  std::atomic<bool> sent{false};
  lanes.send(transfer, 0, bytes.data(), bytes.size(), [&] { sent = true; });
  return lanes.help_until(sent);
}

class LanesOf : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Number, LanesOf, testing::Values(1, 2, 4, 16));

TEST_P(LanesOf, CarryTransfersOfAnySizeWhole) {
  Sides sides(GetParam());
  uint64_t transfer = 0;
  for (size_t size : {size_t{1}, size_t{4095}, size_t{128} << 10, (size_t{1} << 20) + 1, size_t{9} << 20}) {
    transfer++;
    auto bytes = noise(size, static_cast<unsigned>(size));
    std::vector<char> got(size + 1, 'x');
    auto part = sides.b.expect(transfer, 0, got.data(), size, false);
    EXPECT_FALSE(part->is_here());
    ASSERT_TRUE(send_all(sides.a, transfer, bytes));
    ASSERT_TRUE(sides.b.wait(part, -1));
    EXPECT_EQ(0, memcmp(bytes.data(), got.data(), size)) << size;
    EXPECT_EQ('x', got[size]);
  }
}

TEST_P(LanesOf, WaitForTransfersThatAreExpectedLaterAndInParts) {
  Sides sides(GetParam());
  const size_t size = 10 << 20, cut = 4 << 20;  // a part ends where pieces end
  auto first = noise(size, 1), second = noise(size, 2);
  std::thread sender([&] {
    EXPECT_TRUE(send_all(sides.a, 1, first));
    EXPECT_TRUE(send_all(sides.a, 2, second));
  });
  std::vector<char> got(2 * size);
  for (int t = 0; t < 2; t++) {
    for (size_t at = 0; at < size; at += cut) {
      auto part = sides.b.expect(t + 1, at, got.data() + t * size + at, std::min(cut, size - at), false);
      ASSERT_TRUE(sides.b.wait(part, -1));
    }
  }
  sender.join();
  EXPECT_EQ(0, memcmp(got.data(), first.data(), size));
  EXPECT_EQ(0, memcmp(got.data() + size, second.data(), size));
}

TEST_P(LanesOf, DropWhatNobodyWants) {
  Sides sides(GetParam());
  auto bytes = noise(3 << 20, 1);
  auto dropped = sides.b.expect(1, 0, nullptr, bytes.size(), false);
  ASSERT_TRUE(send_all(sides.a, 1, bytes));
  ASSERT_TRUE(sides.b.wait(dropped, -1));
  EXPECT_EQ(bytes.size(), sides.b.bytes_received());
}

TEST_P(LanesOf, ATransferThatEndsEarlyIsHereWhenWhatWasSentIsHere) {
  Sides sides(GetParam());
  auto bytes = noise(2 << 20, 3);
  std::vector<char> got(8 << 20);
  auto part = sides.b.expect(7, 0, got.data(), got.size(), true);
  sides.a.send(7, 0, bytes.data(), bytes.size(), {});
  sides.a.drain();
  EXPECT_FALSE(sides.b.wait(part, 1'000));  // more may follow
  sides.a.end_transfer(7, bytes.size());
  ASSERT_TRUE(sides.b.wait(part, -1));
  EXPECT_EQ(0, memcmp(got.data(), bytes.data(), bytes.size()));

  auto none = sides.b.expect(8, 0, got.data(), got.size(), true);
  sides.a.end_transfer(8, 0);
  ASSERT_TRUE(sides.b.wait(none, -1));
}

TEST_P(LanesOf, CarryBothWaysAndForManyThreadsAtOnce) {
  Sides sides(GetParam());
  constexpr int kThreads = 4, kEach = 10;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      Lanes &from = t % 2 ? sides.a : sides.b, &to = t % 2 ? sides.b : sides.a;
      for (int i = 0; i < kEach; i++) {
        auto bytes = noise((i * 317 + 1) << 10, t * 100 + i);
        std::vector<char> got(bytes.size());
        const uint64_t transfer = t * kEach + i;
        auto part = to.expect(transfer, 0, got.data(), got.size(), true);
        from.send(transfer, 0, bytes.data(), bytes.size(), {});
        from.drain();
        from.end_transfer(transfer, bytes.size());
        ASSERT_TRUE(to.wait(part, -1));
        ASSERT_EQ(bytes, got);
      }
    });
  }
  for (auto& t : threads) t.join();
}

// Two copies to the same memory: the second one's bytes stay, even where the first one's come later or at the same
// time.
TEST_P(LanesOf, WhatWasExpectedLastStays) {
  for (unsigned round = 0; round < 10; round++) {
    Sides sides(GetParam());
    const size_t size = 4 << 20, shift = round % 2 ? 0 : 300'000;
    auto first = noise(size, round), second = noise(size, round + 100);
    std::vector<char> got(size + shift);
    auto a = sides.b.expect(1, 0, got.data(), size, false);
    auto b = sides.b.expect(2, 0, got.data() + shift, size, false);
    const bool in_order = round % 3 != 0;
    sides.a.send(in_order ? 1 : 2, 0, in_order ? first.data() : second.data(), size, {});
    sides.a.send(in_order ? 2 : 1, 0, in_order ? second.data() : first.data(), size, {});
    ASSERT_TRUE(sides.b.wait(a, -1));
    ASSERT_TRUE(sides.b.wait(b, -1));
    ASSERT_EQ(0, memcmp(got.data() + shift, second.data(), size)) << round;
    ASSERT_EQ(0, memcmp(got.data(), first.data(), shift)) << round;
  }
}

// As the server receives: pieces land before anybody asks for them, and are taken in the order of sending.
TEST_P(LanesOf, LandInBuffersBeforeTheyAreTaken) {
  Lanes from, to(Landing::buffers);
  for (int i = 0; i < GetParam(); i++) {
    auto [one, other] = Sides::pair();
    ASSERT_TRUE(from.add(std::move(one)) && to.add(std::move(other)));
  }
  std::vector<std::vector<char>> transfers;
  for (unsigned t = 0; t < 12; t++) transfers.push_back(noise((t * 700 + 1) << 10, t));
  std::thread sender([&] {
    for (unsigned t = 0; t < transfers.size(); t++) from.send(t, 0, transfers[t].data(), transfers[t].size(), {});
    from.drain();
  });
  for (unsigned t = 0; t < transfers.size(); t++) {
    std::vector<char> got;
    while (got.size() < transfers[t].size()) {
      Lanes::Arrived piece;
      ASSERT_TRUE(to.take(t, got.size(), -1, &piece));
      got.insert(got.end(), piece.data, piece.data + piece.size);
      to.give_back(piece);
    }
    ASSERT_EQ(transfers[t], got) << t;
  }
  sender.join();
  Lanes::Arrived piece;
  EXPECT_FALSE(to.take(99, 0, 1'000, &piece));
}

TEST(Lanes, HoldNoMoreThanTheirBuffersUntilOneIsTaken) {
  auto [one, other] = Sides::pair();
  Lanes to(Landing::buffers);
  ASSERT_TRUE(to.add(std::move(one)));
  std::vector<char> all(sizeof(LaneHeader) + 8, 'y');
  for (uint64_t i = 0; i <= Lanes::kSlots; i++) {
    LaneHeader header{1, i * 8, 8, 0};
    memcpy(all.data(), &header, sizeof header);
    ASSERT_EQ(ssize_t(all.size()), send(other.get(), all.data(), all.size(), 0));
  }
  Lanes::Arrived first, last;
  ASSERT_TRUE(to.take(1, 0, -1, &first));
  EXPECT_FALSE(to.take(1, Lanes::kSlots * 8, 5'000, &last));
  to.give_back(first);
  EXPECT_TRUE(to.take(1, Lanes::kSlots * 8, -1, &last));
  EXPECT_EQ('y', last.data[7]);
}

TEST(Lanes, AHostileSenderToBuffersEndsThem) {
  for (LaneHeader bad : {LaneHeader{1, 0, 0, 0}, LaneHeader{1, 0, kMaxPiece + 1, 0}, LaneHeader{1, 0, 8, 0}}) {
    auto [one, other] = Sides::pair();
    Lanes to(Landing::buffers);
    ASSERT_TRUE(to.add(std::move(one)));
    std::vector<char> all(2 * (sizeof bad + 8), 'y');  // the last of the three comes twice
    memcpy(all.data(), &bad, sizeof bad);
    memcpy(all.data() + sizeof bad + 8, &bad, sizeof bad);
    send(other.get(), all.data(), all.size(), MSG_NOSIGNAL);
    while (!to.ended()) std::this_thread::yield();
  }
}

TEST(Lanes, EndWithAllThatWaits) {
  Sides sides(2);
  auto bytes = noise(64 << 20, 1);  // more than the sockets hold
  std::vector<char> got(1 << 20);
  auto part = sides.a.expect(9, 0, got.data(), got.size(), false);
  std::thread sender([&] { EXPECT_FALSE(send_all(sides.a, 1, bytes)); });
  std::thread waiter([&] { EXPECT_FALSE(sides.a.wait(part, -1)); });
  std::vector<char> beginning(1 << 20);
  ASSERT_TRUE(sides.b.wait(sides.b.expect(1, 0, beginning.data(), beginning.size(), false), -1));
  sides.b.end();
  sender.join();
  waiter.join();
  EXPECT_TRUE(sides.a.ended());
  bool called = false;
  sides.a.send(2, 0, bytes.data(), 1, [&] { called = true; });
  EXPECT_TRUE(called);
  EXPECT_FALSE(sides.a.add(Sides::pair().first));
}

// Also when the piece that was being written came whole in the end.
TEST(Lanes, WhoWaitsWhileAPieceIsWrittenIsWokenWhenTheyEnd) {
  for (int round = 0; round < 200; round++) {
    auto [one, other] = Sides::pair();
    Lanes lanes;
    ASSERT_TRUE(lanes.add(std::move(one)));
    std::vector<char> got(2 << 20), all(sizeof(LaneHeader) + (100 << 10), 'y');
    auto part = lanes.expect(1, 0, got.data(), got.size(), false);
    LaneHeader header{1, 0, 100 << 10, 0};
    memcpy(all.data(), &header, sizeof header);
    std::thread waiter([&] { EXPECT_FALSE(lanes.wait(part, -1)); });
    send(other.get(), all.data(), all.size(), MSG_NOSIGNAL);
    lanes.end();
    waiter.join();
  }
}

TEST(Lanes, SayOnceThatTheyHaveEnded) {
  for (int round = 0; round < 200; round++) {
    std::atomic<int> ends{0};
    {
      Lanes lanes;
      lanes.on_end([&] { ends++; });
      auto [one, other] = Sides::pair();
      ASSERT_TRUE(lanes.add(std::move(one)));
      other.reset();
      while (!lanes.ended()) {
      }
      lanes.end();
    }
    EXPECT_EQ(1, ends);
  }
}

TEST(Lanes, AreNoMoreThanTheLimit) {
  Lanes lanes;
  std::vector<Fd> others;
  for (unsigned i = 0; i <= kMaxLanes; i++) {
    auto [one, other] = Sides::pair();
    EXPECT_EQ(i < kMaxLanes, lanes.add(std::move(one)));
    others.push_back(std::move(other));
  }
}

// What a hostile peer may send: each ends the lanes, and nothing is written outside what was expected.
class HostileLane : public testing::Test {
 protected:
  HostileLane() : got_(4096 + 2, 'x') {
    auto [one, other] = Sides::pair();
    EXPECT_TRUE(lanes_.add(std::move(one)));
    peer_ = std::move(other);
    part_ = lanes_.expect(5, 100, got_.data() + 1, 4096, false);
  }
  void say(LaneHeader header, size_t bytes) {
    std::vector<char> all(sizeof header + bytes, 'y');
    memcpy(all.data(), &header, sizeof header);
    send(peer_.get(), all.data(), all.size(), MSG_NOSIGNAL);
  }
  void expect_end() {
    EXPECT_FALSE(lanes_.wait(part_, -1));
    EXPECT_TRUE(lanes_.ended());
    EXPECT_EQ('x', got_.front());
    EXPECT_EQ('x', got_.back());
  }
  std::vector<char> got_;
  Lanes lanes_;
  Fd peer_;
  Lanes::Expected part_;
};

TEST_F(HostileLane, APieceThatIsTooLarge) { say({5, 100, kMaxPiece + 1, 0}, 0), expect_end(); }
TEST_F(HostileLane, APieceThatReachesBeyondItsPart) { say({5, 100 + 4090, 7, 0}, 7), expect_end(); }
TEST_F(HostileLane, ThePartTwice) {
  say({5, 100, 4000, 0}, 4000);
  say({5, 100, 4000, 0}, 4000);
  expect_end();
}
TEST_F(HostileLane, HalfAPiece) {
  say({5, 100, 4096, 0}, 17);
  peer_.reset();
  expect_end();
}
TEST_F(HostileLane, APieceOfAnotherTransferWaitsForIt) {
  say({6, 0, 10, 0}, 10);
  EXPECT_FALSE(lanes_.wait(part_, 2'000));
  EXPECT_FALSE(lanes_.ended());
  char other[10];
  auto part = lanes_.expect(6, 0, other, sizeof other, false);
  EXPECT_TRUE(lanes_.wait(part, -1));
}
TEST_F(HostileLane, AnEndThatClaimsMoreThanWasExpected) {
  lanes_.expect(7, 0, got_.data() + 1, 10, true);
  say({7, 11, 0, 0}, 0);
  expect_end();
}
TEST_F(HostileLane, AnEndThatClaimsLessThanHasCome) {
  lanes_.expect(7, 0, got_.data() + 1, 10, true);
  say({7, 0, 10, 0}, 10);
  say({7, 9, 0, 0}, 0);
  expect_end();
}

}  // namespace
}  // namespace nm::wire
