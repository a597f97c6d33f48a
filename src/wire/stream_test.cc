// Both kinds of stream behave the same: every case runs over a socket and over rings.
#include "wire/stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "wire/ring_stream.h"

namespace nm::wire {
namespace {

struct Pair {
  std::unique_ptr<Stream> client, server;
};

Pair connect(bool is_unix, bool ring) {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Pair p;
  std::thread server([&] { p.server = accept_transport(Fd(ends[1]), is_unix); });
  p.client = offer_transport(Fd(ends[0]), is_unix, ring);
  server.join();
  return p;
}

void write_all(Stream& s, const void* data, size_t size, int fd = -1) {
  iovec left{const_cast<void*>(data), size};
  while (left.iov_len) {
    ssize_t n = s.write({&left, 1}, fd);
    ASSERT_GE(n, 0);
    if (n == 0) s.wait(Stream::kWritable, -1);
    if (n) fd = -1;
    left = {static_cast<char*>(left.iov_base) + n, left.iov_len - static_cast<size_t>(n)};
  }
}

bool read_all(Stream& s, void* to, size_t size) {
  auto* p = static_cast<char*>(to);
  while (size) {
    ssize_t n = s.read(p, size);
    if (n < 0) return false;
    if (n == 0) s.wait(Stream::kReadable, -1);
    p += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

class StreamTest : public testing::TestWithParam<bool> {
 protected:
  Pair pair_ = connect(true, GetParam());
};
INSTANTIATE_TEST_SUITE_P(Transports, StreamTest, testing::Bool(),
                         [](auto& info) { return std::string(info.param ? "ring" : "socket"); });

TEST_P(StreamTest, IsWhatWasAskedFor) {
  EXPECT_EQ(pair_.client->writes_directly(), GetParam());
  EXPECT_EQ(pair_.server->writes_directly(), GetParam());
}

TEST_P(StreamTest, CarriesEveryByteInOrderBothWaysAtOnce) {
  constexpr size_t kTotal = 48 << 20;  // many times around every ring
  auto pump = [](Stream& s, unsigned seed) {
    std::minstd_rand sizes(seed);
    std::vector<uint8_t> piece(300 << 10);
    uint8_t next = static_cast<uint8_t>(seed);
    for (size_t sent = 0; sent < kTotal;) {
      size_t n = std::min<size_t>(kTotal - sent, sizes() % (sizes() % 8 ? 200 : piece.size()) + 1);
      for (size_t i = 0; i < n; i++) piece[i] = next++;
      write_all(s, piece.data(), n);
      sent += n;
    }
  };
  auto drain = [](Stream& s, unsigned seed) {
    std::minstd_rand sizes(seed + 7);
    std::vector<uint8_t> piece(300 << 10);
    uint8_t next = static_cast<uint8_t>(seed);
    for (size_t got = 0; got < kTotal;) {
      size_t n = std::min<size_t>(kTotal - got, sizes() % piece.size() + 1);
      if (!read_all(s, piece.data(), n)) return got;
      for (size_t i = 0; i < n; i++) {
        if (piece[i] != next++) return got + i;
      }
      got += n;
    }
    return kTotal;
  };
  std::thread up([&] { pump(*pair_.client, 1); }), down([&] { pump(*pair_.server, 2); });
  size_t at_client = 0;
  std::thread reader([&] { at_client = drain(*pair_.client, 2); });
  EXPECT_EQ(drain(*pair_.server, 1), kTotal);
  for (auto* t : {&up, &down, &reader}) t->join();
  EXPECT_EQ(at_client, kTotal);
}

TEST_P(StreamTest, WakesASleeperAThousandTimes) {
  std::thread echo([&] {
    char c;
    while (read_all(*pair_.server, &c, 1)) write_all(*pair_.server, &c, 1);
  });
  for (int i = 0; i < 1000; i++) {
    char c = static_cast<char>(i), back;
    write_all(*pair_.client, &c, 1);
    ASSERT_TRUE(read_all(*pair_.client, &back, 1));
    ASSERT_EQ(c, back);
  }
  pair_.client->shut();
  echo.join();
}

TEST_P(StreamTest, DescriptorsComeInTheirOrder) {
  for (int i = 0; i < 40; i++) {
    Fd event(eventfd(static_cast<unsigned>(i), EFD_CLOEXEC));
    char c = 'x';
    write_all(*pair_.client, &c, 1, event.get());
  }
  char got[40];
  ASSERT_TRUE(read_all(*pair_.server, got, sizeof got));
  for (uint64_t i = 0; i < 40; i++) {
    Fd event = pair_.server->take_fd();
    ASSERT_TRUE(event);
    eventfd_t value = 0;
    if (i) eventfd_read(event.get(), &value);
    EXPECT_EQ(value, i);
  }
  EXPECT_FALSE(pair_.server->take_fd());
}

TEST_P(StreamTest, WhatWasWrittenBeforeTheEndIsStillRead) {
  std::vector<char> sent(50'000, 'n'), got(50'000);
  write_all(*pair_.client, sent.data(), sent.size());
  pair_.client.reset();
  ASSERT_TRUE(read_all(*pair_.server, got.data(), got.size()));
  EXPECT_EQ(sent, got);
  char more;
  EXPECT_FALSE(read_all(*pair_.server, &more, 1));
}

TEST_P(StreamTest, ASleeperLearnsThatTheOtherSideIsGone) {
  std::thread leaver([&] {
    usleep(20'000);
    pair_.client.reset();
  });
  char c;
  EXPECT_FALSE(read_all(*pair_.server, &c, 1));
  leaver.join();
}

TEST_P(StreamTest, AWriterWithoutRoomLearnsThatTheOtherSideIsGone) {
  std::thread leaver([&] {
    usleep(20'000);
    pair_.client.reset();
  });
  std::vector<char> much(8 << 20);
  iovec all{much.data(), much.size()};
  ssize_t n;
  while ((n = pair_.server->write({&all, 1})) >= 0) {
    if (n == 0) pair_.server->wait(Stream::kWritable, -1);
  }
  leaver.join();
}

// Who is far ahead is not let in, nor woken, for every record that is read.
TEST(Ring, OnceFullItTakesMoreWhenHalfOfItIsFree) {
  Pair p = connect(true, true);
  std::vector<char> much(4 << 20), some(4096);
  iovec all{much.data(), much.size()}, one{much.data(), 1};
  const ssize_t size = p.client->write({&all, 1});
  ASSERT_GT(size, 0);
  ASSERT_LT(size, static_cast<ssize_t>(much.size()));
  ssize_t read = 0;
  while (read + static_cast<ssize_t>(some.size()) < size / 2) {
    read += p.server->read(some.data(), some.size());
    ASSERT_EQ(p.client->write({&one, 1}), 0);
  }
  std::thread reader([&] {
    usleep(20'000);
    while (read < size) read += p.server->read(some.data(), some.size());
  });
  p.client->wait(Stream::kWritable, -1);
  EXPECT_EQ(p.client->write({&one, 1}), 1);
  reader.join();
}

TEST(Transport, WithoutAUnixSocketTheSocketCarriesIt) { EXPECT_FALSE(connect(false, true).client->writes_directly()); }

// ---- offers that a hostile client might make ----

class HostileOffer : public testing::Test {
 protected:
  HostileOffer() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0);
    memory_.reset(memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    for (auto& bell : bells_) bell.reset(eventfd(0, EFD_CLOEXEC));
    offer_ = {Transport::ring, 64 << 10, 64 << 10, 0};
    size_ = 4096 + (128 << 10);
  }
  ~HostileOffer() override { close(ends_[0]); }

  void seal() { EXPECT_EQ(fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0); }
  Transport answer(int count) {
    EXPECT_EQ(ftruncate(memory_.get(), size_), 0);
    if (seal_) seal();
    int fds[5] = {memory_.get(), bells_[0].get(), bells_[1].get(), bells_[2].get(), bells_[3].get()};
    iovec iov{&offer_, sizeof offer_};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * static_cast<size_t>(count));
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * static_cast<size_t>(count));
    memcpy(CMSG_DATA(c), fds, sizeof(int) * static_cast<size_t>(count));
    EXPECT_EQ(sendmsg(ends_[0], &message, 0), static_cast<ssize_t>(sizeof offer_));
    server_ = accept_transport(Fd(ends_[1]), true);
    TransportAnswer a;
    EXPECT_EQ(recv(ends_[0], &a, sizeof a, MSG_WAITALL), static_cast<ssize_t>(sizeof a));
    return a.transport;
  }

  int ends_[2];
  Fd memory_, bells_[4];
  TransportOffer offer_;
  off_t size_;
  bool seal_ = true;
  std::unique_ptr<Stream> server_;
};

TEST_F(HostileOffer, AProperOneIsTaken) { EXPECT_EQ(answer(5), Transport::ring); }
TEST_F(HostileOffer, MissingDescriptors) { EXPECT_EQ(answer(3), Transport::socket); }
TEST_F(HostileOffer, MemoryThatCouldBeCutShort) {
  seal_ = false;
  EXPECT_EQ(answer(5), Transport::socket);
}
TEST_F(HostileOffer, MemorySmallerThanItSays) {
  size_ = 4096;
  EXPECT_EQ(answer(5), Transport::socket);
}
TEST_F(HostileOffer, SizeThatIsNoPowerOfTwo) {
  offer_.to_server = 65'537;
  EXPECT_EQ(answer(5), Transport::socket);
}
TEST_F(HostileOffer, SizeBeyondReason) {
  offer_.to_client = 1u << 31;
  EXPECT_EQ(answer(5), Transport::socket);
}
TEST_F(HostileOffer, ImpossibleIndexEndsTheStream) {
  ASSERT_EQ(answer(5), Transport::ring);
  void* at = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
  ASSERT_NE(at, MAP_FAILED);
  memset(at, 0xff, 4096);
  char buffer[256];
  EXPECT_EQ(server_->read(buffer, sizeof buffer), -1);
  std::vector<char> much(128 << 10);
  iovec all{much.data(), much.size()};
  EXPECT_EQ(server_->write({&all, 1}), -1);
  munmap(at, 4096);
}

}  // namespace
}  // namespace nm::wire
