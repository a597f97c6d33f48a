#include "identity/kernel_tls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "identity/test_gate.h"

namespace nm::identity {
namespace {

// The application's secrets and keys of RFC 8448, section 3.
TEST(RecordKey, IsAsInTheStandardsExample) {
  const auto check = [](const char* secret, const char* key, const char* iv) {
    const RecordKey made = record_key(*from_hex(secret));
    EXPECT_EQ(hex(made.key), key);
    EXPECT_EQ(hex(made.iv), iv);
  };
  check("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", "9f02283b6c9c07efc26bb9f2ac92e356",
        "cf782b88dd83549aadf1e984");
  check("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", "17422dda596ed5d9acd890e3c63f5051",
        "5b78923dee08579033e523d9");
}

class KernelTlsTest : public GateTest {
 protected:
  void SetUp() override {
    if (!kernel_has_tls()) GTEST_SKIP() << "this host's kernel has no TLS";
    start();
  }
};

bool is_tcp(int fd) {
  sockaddr_storage at = {};
  socklen_t size = sizeof at;
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0 && at.ss_family == AF_INET;
}

TEST_F(KernelTlsTest, TheDaemonGetsTheSocketItselfAndOpenSslAtTheOtherEndUnderstandsIt) {
  auto connection = call(pool_.dir());
  ASSERT_TRUE(connection) << connection.error().message;
  Fd fd;
  ASSERT_TRUE(hear(&fd));
  ASSERT_TRUE(is_tcp(fd.get()));
  char text[5] = "";
  ASSERT_TRUE(connection->send("ping", limit()));
  const timeval patience = {.tv_sec = 60, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  for (size_t at = 0; at < 4;) {
    pollfd p = {.fd = fd.get(), .events = POLLIN, .revents = 0};
    ::poll(&p, 1, 60'000);
    const ssize_t got = ::recv(fd.get(), text + at, 4 - at, 0);
    ASSERT_GT(got, 0);
    at += static_cast<size_t>(got);
  }
  EXPECT_STREQ(text, "ping");
  ASSERT_EQ(::send(fd.get(), "pong", 4, MSG_NOSIGNAL), 4);
  ASSERT_TRUE(connection->receive(text, 4, limit()));
  EXPECT_STREQ(text, "pong");
}

TEST_F(KernelTlsTest, MegabytesGoBothWaysBetweenTwoKernelsEnds) {
  auto connection = call(pool_.dir());
  ASSERT_TRUE(connection) << connection.error().message;
  Fd worker;
  ASSERT_TRUE(hear(&worker));
  ASSERT_TRUE(give_to_kernel(connection->ssl(), connection->fd(), {.sent = 0, .received = 1}));
  const Fd program = connection->take_fd();
  for (const int fd : {program.get(), worker.get()}) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  std::string there(8 << 20, 'a'), back(8 << 20, 'b');
  for (size_t i = 0; i < there.size(); i++) there[i] = static_cast<char>(i * 7 >> 3);
  const auto send_all = [](int fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<size_t>(sent));
    }
  };
  std::thread a([&] { send_all(program.get(), there); }), b([&] { send_all(worker.get(), back); });
  std::string got_there(there.size(), '\0'), got_back(back.size(), '\0');
  std::thread c([&] { ::recv(program.get(), got_back.data(), got_back.size(), MSG_WAITALL); });
  EXPECT_EQ(::recv(worker.get(), got_there.data(), got_there.size(), MSG_WAITALL), static_cast<ssize_t>(there.size()));
  for (auto* thread : {&a, &b, &c}) thread->join();
  EXPECT_TRUE(got_there == there);
  EXPECT_TRUE(got_back == back);
  ::shutdown(program.get(), SHUT_WR);
  char byte;
  EXPECT_EQ(::recv(worker.get(), &byte, 1, 0), 0) << "an end is an end";
}

}  // namespace
}  // namespace nm::identity
