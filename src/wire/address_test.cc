#include "wire/address.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace nm::wire {
namespace {

Address parsed(std::string_view text) {
  auto address = parse_address(text);
  EXPECT_TRUE(address) << address.error().message;
  return address ? *address : Address{};
}

std::string complaint(std::string_view text) {
  auto address = parse_address(text);
  return address ? "accepted" : address.error().message;
}

TEST(Address, ReadsEveryFormAndWritesItBack) {
  for (const std::string text : {"unix:/run/nearmetal.sock", "tcp:127.0.0.1:4000", "tcp:[::1]:4000", "tcp:localhost:1",
                                 "tls:gpu-host.example:65535", "tls:127.0.0.1:4000"}) {
    EXPECT_EQ(parsed(text).text(), text);
  }
  EXPECT_EQ(parsed("tcp:[::1]:4000").host, "::1");
  EXPECT_EQ(parsed("tcp:127.0.0.1:4000").port, 4000);
}

TEST(Address, OffLoopbackEverythingIsEncryptedHoweverItIsWritten) {
  EXPECT_EQ(parsed("tcp:gpu-host:4000"), parsed("tls:gpu-host:4000"));
  EXPECT_EQ(parsed("tcp:0.0.0.0:4000").text(), "tls:0.0.0.0:4000");
  EXPECT_FALSE(parsed("tcp:127.0.0.1:4000").tls);
  EXPECT_TRUE(parsed("tls:[::1]:4000").tls);
}

TEST(Address, AnEncryptedOneIsReachedThroughACourierAlone) {
  ::unsetenv("NEARMETAL_COURIER");
  const auto alone = dial(parsed("tls:127.0.0.1:1"), Millis(1000));
  ASSERT_FALSE(alone);
  EXPECT_NE(alone.error().message.find("nearmetal run --server tls:127.0.0.1:1 -- CMD"), std::string::npos);
}

TEST(Address, RefusalQuotesTheTextAndShowsAValidForm) {
  const std::string message = complaint("127.0.0.1:4000");
  EXPECT_NE(message.find("\"127.0.0.1:4000\""), message.npos);
  EXPECT_NE(message.find("unix:/run/nearmetal.sock"), message.npos);
}

TEST(Address, RefusesWhatIsNotAnAddress) {
  for (const std::string_view text :
       {"", "unix:", "unix:relative", "tcp:", "tcp:host", "tcp:host:", "tcp:host:0", "tcp:host:65536", "tcp:host:12x",
        "tcp::4000", "tcp:::1:4000", "tcp:[::1:4000", "tcp:[]:4000", "tcp:[host]:4000", "tcp:a b:4000", "udp:host:1",
        "tcp:host:-1", "tcp:host:99999999999999999999"}) {
    EXPECT_NE(complaint(text), "accepted") << text;
  }
  EXPECT_NE(complaint(std::string_view("unix:/a\0b", 9)), "accepted");
}

TEST(Address, PathIsLimitedToWhatASocketAddressHolds) {
  EXPECT_EQ(parsed("unix:/" + std::string(106, 'x')).path.size(), 107u);
  EXPECT_NE(complaint("unix:/" + std::string(107, 'x')).find("at most 107 bytes"), std::string::npos);
}

TEST(Address, KnowsLoopback) {
  for (const char* text : {"unix:/x", "tcp:127.0.0.1:1", "tcp:127.8.9.1:1", "tcp:[::1]:1", "tcp:localhost:1"}) {
    EXPECT_TRUE(is_loopback(parsed(text))) << text;
  }
  for (const char* text : {"tcp:0.0.0.0:1", "tcp:[::]:1", "tcp:192.168.1.2:1", "tcp:gpu:1", "tcp:[2001:db8::1]:1",
                           "tcp:localhost.example:1", "tcp:127.0.0.1.example:1"}) {
    EXPECT_FALSE(is_loopback(parsed(text))) << text;
  }
}

TEST(Address, DialNamesTheAddressTheReasonAndTheNextStep) {
  const auto missing = dial(parsed("unix:/nonexistent/nearmetal.sock"), Millis(1000));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "Cannot reach the nearmetal server at unix:/nonexistent/nearmetal.sock: there is no such socket. "
            "Start one with `nearmetal serve --listen unix:/nonexistent/nearmetal.sock`.");
  const auto refused = dial(parsed("tcp:127.0.0.1:1"), Millis(1000));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("nothing listens there"), std::string::npos);
}

TEST(Address, DialConnectsToAListeningSocket) {
  char dir[] = "/tmp/nm-address-XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  const std::string path = std::string(dir) + "/s";
  sockaddr_un at = {};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof at.sun_path - 1);
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  auto fd = dial(parsed("unix:" + path), Millis(1000));
  EXPECT_TRUE(fd) << fd.error().message;
  ::unlink(path.c_str());
  ::rmdir(dir);
}

}  // namespace
}  // namespace nm::wire
