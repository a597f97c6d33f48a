// Bytes through a pump on each side, as they go from a program to its worker and back.
#include "identity/pump.h"

#include <gtest/gtest.h>

#include "identity/test_gate.h"

namespace nm::identity {
namespace {

class PumpTest : public GateTest {
 protected:
  // Local sockets at both ends, pumps and TLS between them.
  void connect(const PumpOptions& options = {}) {
    start();
    auto connection = call(pool_.dir());
    ASSERT_TRUE(connection) << connection.error().message;
    ASSERT_TRUE(hear(&worker_));
    server_is_kernel_ = connection->server_is_kernel();
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    program_.reset(ends[0]);
    pump_ = std::thread(
        [options, ssl = connection->take_ssl(), network = connection->take_fd(), local = Fd(ends[1])]() mutable {
          pump(std::move(ssl), std::move(network), std::move(local), options);
        });
  }
  ~PumpTest() override {
    program_.reset();
    worker_.reset();
    if (pump_.joinable()) pump_.join();
  }
  static std::string read_all(int fd) {
    std::string out;
    std::vector<char> part(1 << 16);
    for (ssize_t got; (got = ::recv(fd, part.data(), part.size(), 0)) > 0;)
      out.append(part.data(), static_cast<size_t>(got));
    return out;
  }
  static void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<size_t>(sent));
    }
  }
  static std::string pattern(size_t size, unsigned seed) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
    return out;
  }
  Fd program_, worker_;
  bool server_is_kernel_ = false;
  std::thread pump_;
};

TEST_F(PumpTest, MegabytesGoBothWaysAtOnceUnchanged) {
  connect();
  const std::string there = pattern(20 << 20, 1), back = pattern(24 << 20, 2);
  std::thread a([&] { write_all(program_.get(), there), ::shutdown(program_.get(), SHUT_WR); });
  std::thread b([&] { write_all(worker_.get(), back), ::shutdown(worker_.get(), SHUT_WR); });
  std::string got_back;
  std::thread c([&] { got_back = read_all(program_.get()); });
  EXPECT_TRUE(read_all(worker_.get()) == there);
  for (auto* thread : {&a, &b, &c}) thread->join();
  EXPECT_TRUE(got_back == back);
}

TEST_F(PumpTest, OneDirectionMayEndBeforeTheOther) {
  connect();
  write_all(program_.get(), "question");
  ::shutdown(program_.get(), SHUT_WR);
  EXPECT_EQ(read_all(worker_.get()), "question");
  write_all(worker_.get(), "answer");
  worker_.reset();
  EXPECT_EQ(read_all(program_.get()), "answer");
}

TEST_F(PumpTest, WhatWasSentBeforeAnEndArrives) {
  connect();
  const std::string last_words = pattern(5 << 20, 3);
  std::thread writer([&] { write_all(worker_.get(), last_words), worker_.reset(); });
  EXPECT_TRUE(read_all(program_.get()) == last_words);
  writer.join();
}

TEST_F(PumpTest, ItEndsWithEitherProcess) {
  connect();
  program_.reset();
  EXPECT_EQ(read_all(worker_.get()), "");
  worker_.reset();
  pump_.join();
  close();  // would hang, were the other pump still there
}

TEST_F(PumpTest, KeysAreChangedOnTheWay) {
  connect({.rekey_after = 1 << 20});
  if (server_is_kernel_) GTEST_SKIP() << "a kernel at the other end takes no new keys";
  const std::string there = pattern(16 << 20, 4);
  std::thread writer([&] { write_all(program_.get(), there), ::shutdown(program_.get(), SHUT_WR); });
  EXPECT_TRUE(read_all(worker_.get()) == there);
  writer.join();
}

TEST_F(PumpTest, AFloodOfKeyChangesEndsTheConnection) {
  start();
  auto connection = call(pool_.dir());
  ASSERT_TRUE(connection);
  ASSERT_TRUE(hear(&worker_));
  for (int i = 0; i < 1000; i++) {
    if (SSL_key_update(connection->ssl(), SSL_KEY_UPDATE_REQUESTED) != 1 || !connection->send("x", limit())) break;
  }
  EXPECT_LT(read_all(worker_.get()).size(), 1000u);
}

}  // namespace
}  // namespace nm::identity
