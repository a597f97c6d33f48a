// The sockets a daemon opens, and how it stops.
#include <sys/stat.h>
#include <sys/un.h>

#include "server/daemon_listen.h"
#include "server/daemon_test_util.h"

namespace nm::server {
namespace {

unsigned mode_of(const std::string& path) {
  struct stat file;
  return ::stat(path.c_str(), &file) == 0 ? file.st_mode & 0777 : 0;
}

std::string complaint(std::string_view address, const std::string& group = "") {
  auto made = listen_on(*wire::parse_address(address), group);
  return made ? "listens" : made.error().message;
}

TEST_F(DaemonTest, SocketIsForItsOwnerAlone) {
  start();
  EXPECT_EQ(mode_of(address_.path), 0600u);
}

TEST_F(DaemonTest, SocketIsForAGroupIfAsked) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file to another group";
  options_.group = "daemon";
  start();
  EXPECT_TRUE(eventually([&] { return mode_of(address_.path) == 0660u; }));
}

TEST_F(DaemonTest, AnUnknownGroupIsNamedAndNoSocketIsLeft) {
  EXPECT_NE(complaint(address_.text(), "no-such-group").find("no group \"no-such-group\""), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(address_.path));
}

TEST_F(DaemonTest, ASocketInUseIsNotTaken) {
  start();
  EXPECT_NE(complaint(address_.text()).find("another server is using it"), std::string::npos);
  Client client(address_);
  EXPECT_EQ(client.open().welcome.status, wire::Status::ok);
}

TEST_F(DaemonTest, TheSocketOfADeadServerIsReplaced) {
  start();
  signal(SIGKILL);
  EXPECT_EQ(end(), 128 + SIGKILL);
  ASSERT_TRUE(std::filesystem::exists(address_.path));
  start();
  Client client(address_);
  EXPECT_EQ(client.open().welcome.status, wire::Status::ok);
}

TEST_F(DaemonTest, AFileThatIsNoSocketIsLeftAlone) {
  ::fclose(::fopen(address_.path.c_str(), "w"));
  EXPECT_NE(complaint(address_.text()).find("not a socket"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(address_.path));
}

TEST_F(DaemonTest, AMissingDirectoryIsNamed) {
  EXPECT_NE(complaint("unix:" + dir_ + "/missing/s").find(dir_ + "/missing"), std::string::npos);
}

// Off loopback everything is encrypted and authenticated: who has no certificate to show listens to nobody there.
TEST_F(DaemonTest, WithoutACertificateNothingButLoopbackIsListenedOn) {
  for (const char* address : {"tcp:0.0.0.0:4123", "tcp:[::]:4123", "tcp:10.0.0.1:4123", "tcp:gpu.example:4123"}) {
    options_.listen = {*wire::parse_address(address)};
    const auto served = serve(options_);
    ASSERT_FALSE(served) << address;
    EXPECT_NE(served.error().message.find("this host has no certificate"), std::string::npos) << served.error().message;
  }
}

TEST_F(DaemonTest, ListensOnAUnixSocketAndOnTcpAtOnce) {
  // A port that was free a moment ago.
  wire::Address tcp = {.kind = wire::Address::Kind::tcp, .host = "127.0.0.1"};
  for (tcp.port = 42'000; tcp.port < 43'000 && complaint(tcp.text()) != "listens"; ++tcp.port) {
  }
  options_.listen.push_back(tcp);
  start();
  Client local(address_), remote(tcp);
  EXPECT_EQ(local.open().welcome.status, wire::Status::ok);
  EXPECT_EQ(remote.open().welcome.status, wire::Status::ok);
}

TEST_F(DaemonTest, StopsAtOnceWithoutSessionsAndLeavesNothing) {
  start();
  ASSERT_TRUE(eventually([&] { return workers().size() == 2; }));
  const auto warm = workers();
  signal(SIGTERM);
  EXPECT_EQ(end(Millis(3000)), 0);
  EXPECT_FALSE(std::filesystem::exists(address_.path));
  for (const pid_t pid : warm) EXPECT_FALSE(alive(pid));
}

TEST_F(DaemonTest, StopWaitsForSessionsToEnd) {
  start();
  Client client(address_);
  client.open();
  signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return !std::filesystem::exists(address_.path); }));
  EXPECT_EQ(client.ask("still served"), "still served");
  client.close();
  EXPECT_EQ(end(Millis(3000)), 0);
}

TEST_F(DaemonTest, StopEndsSessionsThatOutstayTheDrain) {
  options_.drain = Millis(200);
  start();
  Client client(address_);
  client.open();
  signal(SIGTERM);
  EXPECT_EQ(end(Millis(2000)), 0);
  EXPECT_TRUE(client.at_end());
}

TEST_F(DaemonTest, StopKillsAWorkerThatIgnoresSigterm) {
  worker_mode("stubborn");
  options_.drain = Millis(100);
  start();
  Client client(address_);
  client.open();
  const pid_t worker = std::stoi(client.ask("pid"));
  signal(SIGTERM);
  EXPECT_EQ(end(), 0);
  EXPECT_FALSE(alive(worker));
}

TEST_F(DaemonTest, ASecondSignalEndsTheWait) {
  options_.drain = Millis(60'000);
  start();
  Client client(address_);
  client.open();
  signal(SIGINT);
  ASSERT_TRUE(eventually([&] { return !std::filesystem::exists(address_.path); }));
  signal(SIGINT);
  EXPECT_EQ(end(), 0);
}

TEST_F(DaemonTest, HangupIsIgnored) {
  start();
  Client before(address_);
  before.open();
  signal(SIGHUP);
  Client after(address_);
  EXPECT_EQ(after.open().welcome.status, wire::Status::ok);
}

TEST_F(DaemonTest, WorkersDoNotOutliveADaemonThatIsKilled) {
  start();
  Client client(address_);
  client.open();
  const pid_t worker = std::stoi(client.ask("pid"));
  signal(SIGKILL);
  end();
  EXPECT_TRUE(eventually([&] { return !alive(worker); }));
}

TEST_F(DaemonTest, TellsTheServiceManagerThatItIsReady) {
  const std::string path = dir_ + "/notify";
  sockaddr_un at = {};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof at.sun_path - 1);
  const Fd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  start();
  ::unsetenv("NOTIFY_SOCKET");
  char state[64] = {};
  EXPECT_GT(::recv(manager.get(), state, sizeof state - 1, 0), 0);
  EXPECT_STREQ(state, "READY=1");
}

}  // namespace
}  // namespace nm::server
