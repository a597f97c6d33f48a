// Who gets through the gate and who does not. Each refusal is logged, and the service goes on.
#include "identity/gate.h"

#include <gtest/gtest.h>

#include "identity/roster.h"
#include "identity/test_gate.h"

namespace nm::identity {
namespace {

TEST_F(GateTest, AMemberIsHandedOverByNameAndItsBytesGoBothWays) {
  start();
  auto connection = call(pool_.dir());
  ASSERT_TRUE(connection) << connection.error().message;
  Fd fd;
  const auto handover = hear(&fd);
  ASSERT_TRUE(handover);
  EXPECT_EQ(handover->kind, wire::Handover::session);
  EXPECT_EQ(wire::text_in(handover->peer), "user alice");
  EXPECT_TRUE(wire::text_in(handover->from).starts_with("tcp:127.0.0.1:"));
  ASSERT_TRUE(connection->send("ping", limit()));
  char bytes[5] = "";
  ASSERT_EQ(::recv(fd.get(), bytes, 4, MSG_WAITALL), 4);
  EXPECT_STREQ(bytes, "ping");
  ASSERT_EQ(::send(fd.get(), "pong", 4, MSG_NOSIGNAL), 4);
  ASSERT_TRUE(connection->receive(bytes, 4, limit()));
  EXPECT_STREQ(bytes, "pong");
  EXPECT_TRUE(lines().empty());
}

TEST_F(GateTest, ItEndsWhenTheDaemonAndTheLastConnectionHaveEnded) {
  start();
  auto connection = call(pool_.dir());
  ASSERT_TRUE(connection);
  Fd fd;
  ASSERT_TRUE(hear(&fd));
  daemon_.reset();
  ASSERT_TRUE(connection->send("x", limit())) << "what is there goes on";
  char byte;
  EXPECT_EQ(::recv(fd.get(), &byte, 1, 0), 1);
  fd.reset();
  thread_.join();
}

TEST_F(GateTest, ACertificateOfAnotherAuthorityIsRefused) {
  start();
  TestPool other;  // of the same id, even
  EXPECT_FALSE(gets_in({.shows = &other.dir()}));
  EXPECT_TRUE(logged("was not issued by this pool's authority"));
  EXPECT_PRED2(holds, refusal(other.dir()), "was not issued by this pool's authority. Check the address");
  expect_service();
}

TEST_F(GateTest, AnExpiredCertificateIsRefusedAndTheClientIsTold) {
  start();
  const PoolDir expired = pool_.directory_of(pool_.member(Role::user), ::time(nullptr) - 48 * kHour);
  EXPECT_FALSE(gets_in({.shows = &expired}));
  EXPECT_TRUE(logged("the certificate has expired"));
  EXPECT_PRED2(holds, refusal(expired), "it says that the certificate shown has expired. Join the pool again");
  expect_service();
}

TEST_F(GateTest, ACertificateOfTheFutureIsRefused) {
  start();
  const PoolDir early = pool_.directory_of(pool_.member(Role::user), ::time(nullptr) + 48 * kHour);
  EXPECT_FALSE(gets_in({.shows = &early}));
  EXPECT_TRUE(logged("not valid yet"));
  expect_service();
}

TEST_F(GateTest, ARevokedCertificateIsRefusedFromThenOn) {
  start();
  const PoolDir bob = pool_.directory_of(pool_.member(Role::user, "bob"));
  EXPECT_EQ(refusal(bob), "admitted");
  Fd fd;
  ASSERT_TRUE(hear(&fd));
  ASSERT_TRUE(
      note_issued(pool_.dir(), *Certificate::read(bob.certificate(Role::user)), pool_.member(Role::user, "bob"), 0));
  ASSERT_TRUE(revoke(pool_.dir(), "bob", "a test", ::time(nullptr)));
  // Each that is let in is handed to the daemon: nobody would take them, and the gate would wait for that.
  EXPECT_TRUE(eventually([&] {
    const bool is_refused = refusal(bob) != "admitted";
    Fd admitted;
    return is_refused || !hear(&admitted);
  }));
  EXPECT_PRED2(holds, refusal(bob), "The certificate of user bob was revoked.");
  EXPECT_TRUE(logged("The certificate of user bob was revoked."));
}

TEST_F(GateTest, NoCertificateIsNotEnough) {
  start();
  EXPECT_FALSE(gets_in({}));
  EXPECT_TRUE(logged("no certificate was shown"));
  expect_service();
}

TEST_F(GateTest, AnOlderTlsIsRefused) {
  start();
  EXPECT_FALSE(gets_in({.shows = &pool_.dir(), .version = TLS1_2_VERSION}));
  EXPECT_TRUE(logged("does not speak TLS 1.3"));
  expect_service();
}

TEST_F(GateTest, AnotherProtocolAndNoneAreRefused) {
  start();
  EXPECT_FALSE(gets_in({.shows = &pool_.dir(), .alpn = "h2", .from = "127.0.0.2"}));
  EXPECT_TRUE(logged("it is not a client of nearmetal"));
  EXPECT_FALSE(gets_in({.shows = &pool_.dir(), .alpn = "", .from = "127.0.0.3"}));
  EXPECT_TRUE(logged("tcp:127.0.0.3:"));
  const Fd http = connect_from("127.0.0.4");
  ASSERT_GT(::send(http.get(), "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
  char byte;
  while (::recv(http.get(), &byte, 1, 0) == 1) {
  }
  EXPECT_TRUE(logged("tcp:127.0.0.4:"));
  expect_service();
}

TEST_F(GateTest, AUsersCertificateIsNoServers) {
  // The gate itself shows what it finds as host's: here a user's.
  PoolDir& dir = options_.dir;
  start();
  close();
  for (const auto& [from, to] : {std::pair{dir.key(Role::user), dir.key(Role::host)},
                                 {dir.certificate(Role::user), dir.certificate(Role::host)}}) {
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  }
  start();
  EXPECT_PRED2(holds, refusal(pool_.dir()), "the server's certificate is not a host's");
}

TEST_F(GateTest, HalfOpenHandshakesOfOneAddressAreBoundedAndLoggedOnce) {
  options_.limits.half_open_per_peer = 8;
  start();
  std::vector<Fd> flood;
  for (int i = 0; i < 200; i++) flood.push_back(connect_from("127.0.0.2"));
  EXPECT_TRUE(logged("it has 8 handshakes under way already"));
  expect_service();
  size_t of_it = 0;
  for (const std::string& line : lines()) of_it += holds(line, "127.0.0.2");
  EXPECT_EQ(of_it, 1u);
}

TEST_F(GateTest, HalfOpenHandshakesOfManyAddressesMakeRoomForRealOnes) {
  options_.limits.half_open = 16;
  options_.limits.handshake = Millis(600'000);
  start();
  std::vector<Fd> flood;
  for (int i = 1; i < 200; i++) flood.push_back(connect_from("127.0.1." + std::to_string(i)));
  EXPECT_TRUE(logged("the oldest of too many"));
  expect_service();
}

TEST_F(GateTest, AHandshakeThatIsNotFinishedEnds) {
  options_.limits.handshake = Millis(50);
  start();
  const Fd idle = connect_from("127.0.0.2");
  char byte;
  EXPECT_EQ(::recv(idle.get(), &byte, 1, 0), 0);
  EXPECT_TRUE(logged("not finished in time"));
}

TEST_F(GateTest, ANewcomerIsHandedOverWithoutAName) {
  start();
  const auto context = join_context(pool_.authority().certificate().fingerprint());
  const auto connection = TlsConnection::open(context->get(), address(), "", limit());
  ASSERT_TRUE(connection) << connection.error().message;
  Fd fd;
  const auto handover = hear(&fd);
  ASSERT_TRUE(handover);
  EXPECT_EQ(handover->kind, wire::Handover::enrolment);
  EXPECT_EQ(wire::text_in(handover->peer), "");
}

TEST_F(GateTest, ANewcomerWithAnotherFingerprintSendsNoSecret) {
  start();
  TestPool other;
  const Token token = {.secret = std::string(kSecretSize, 's'),
                       .authority = other.authority().certificate().fingerprint(),
                       .address = address().text().substr(4)};
  const auto joined = join({pool_.dir().path + "/new"}, token, Millis(60'000));
  ASSERT_FALSE(joined);
  EXPECT_PRED2(holds, joined.error().message, "not of the pool that the token is for");
  Fd fd;
  EXPECT_FALSE(hear(&fd, Millis(0)));
}

}  // namespace
}  // namespace nm::identity
