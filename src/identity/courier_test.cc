// A program's connections by its courier, and how long that stays.
#include "identity/courier.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/un.h>

#include "identity/test_gate.h"

namespace nm::identity {
namespace {

class CourierTest : public GateTest {
 protected:
  // The program is stood for by a pipe that ends, as a pidfd would be readable.
  void start_courier(const PoolDir& dir) {
    path_ = pool_.dir().path + "/courier";
    Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un at = {};
    at.sun_family = AF_UNIX;
    path_.copy(at.sun_path, sizeof at.sun_path - 1);
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ASSERT_EQ(::listen(listener.get(), 16), 0);
    int program[2], life[2];
    ASSERT_EQ(::pipe2(program, O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(life, O_CLOEXEC), 0);
    program_.reset(program[1]);
    life_.reset(life[1]);
    ::setenv("NEARMETAL_COURIER", path_.c_str(), 1);
    courier_ = std::thread(
        [this, dir, listener = std::move(listener), program = Fd(program[0]), life = Fd(life[0])]() mutable {
          run_courier({.dir = dir,
                       .server = address(),
                       .listener = std::move(listener),
                       .program = std::move(program),
                       .life = std::move(life),
                       .limit = Millis(60'000)});
          ended_ = true;
        });
  }
  ~CourierTest() override {
    ::unsetenv("NEARMETAL_COURIER");
    program_.reset();
    life_.reset();
    if (courier_.joinable()) courier_.join();
  }
  std::string path_;
  Fd program_, life_;
  std::thread courier_;
  std::atomic<bool> ended_ = false;
};

TEST_F(CourierTest, AProgramDialsAndKnowsNothingOfTls) {
  start();
  start_courier(pool_.dir());
  const auto connection = wire::dial(address(), Millis(60'000));
  ASSERT_TRUE(connection) << connection.error().message;
  Fd fd;
  const auto handover = hear(&fd);
  ASSERT_TRUE(handover);
  EXPECT_EQ(wire::text_in(handover->peer), "user alice");
  ASSERT_EQ(::send(connection->get(), "x", 1, MSG_NOSIGNAL), 1);
  char byte = 0;
  EXPECT_EQ(::recv(fd.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(CourierTest, TheProgramHearsWhyThereIsNoConnection) {
  start();
  const PoolDir expired = pool_.directory_of(pool_.member(Role::user), ::time(nullptr) - 48 * kHour);
  start_courier(expired);
  const auto refused = wire::dial(address(), Millis(60'000));
  ASSERT_FALSE(refused);
  EXPECT_PRED2(holds, refused.error().message, "has expired. It could not be renewed");
}

TEST_F(CourierTest, ItStaysForDescendantsAndForOpenConnections) {
  start();
  start_courier(pool_.dir());
  program_.reset();
  auto by_descendant = wire::dial(address(), Millis(60'000));
  ASSERT_TRUE(by_descendant) << by_descendant.error().message;
  Fd fd;
  ASSERT_TRUE(hear(&fd));
  life_.reset();
  ASSERT_EQ(::send(by_descendant->get(), "x", 1, MSG_NOSIGNAL), 1);
  char byte;
  EXPECT_EQ(::recv(fd.get(), &byte, 1, 0), 1);
  EXPECT_FALSE(ended_);
  by_descendant->reset();
  EXPECT_EQ(::recv(fd.get(), &byte, 1, 0), 0);
  fd.reset();
  EXPECT_TRUE(eventually([&] { return ended_.load(); }));
}

TEST_F(CourierTest, AUserWithoutACertificateIsToldHowToGetOne) {
  start();
  const auto called = call_server(pool_.directory_of(pool_.member(Role::host, "gpu2")), address(), Millis(60'000));
  ASSERT_FALSE(called);
  EXPECT_PRED2(holds, called.error().message, "nearmetal pool invite --user NAME");
}

TEST_F(CourierTest, ARevokedServerIsNotTalkedTo) {
  start();
  const PoolDir alice = pool_.directory_of(pool_.member(Role::user));
  ASSERT_TRUE(revoke(pool_.dir(), "gpu1", "a test", ::time(nullptr)));
  std::filesystem::copy_file(pool_.dir().revoked(), alice.revoked());
  const auto called = call_server(alice, address(), Millis(60'000));
  ASSERT_FALSE(called);
  EXPECT_PRED2(holds, called.error().message, "was revoked");
}

}  // namespace
}  // namespace nm::identity
