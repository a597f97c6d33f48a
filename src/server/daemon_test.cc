// Sessions: how they begin, what they are refused for, how they end.
#include "server/daemon.h"

#include <set>

#include "server/daemon_test_util.h"

namespace nm::server {
namespace {

std::string env_of(const std::string& entry) { return entry + '\0'; }

TEST_F(DaemonTest, HandsASessionToAWorkerOfItsOwn) {
  start();
  Client a(address_), b(address_);
  const Answer first = a.open(), second = b.open();
  ASSERT_TRUE(first.arrived && second.arrived);
  EXPECT_EQ(first.welcome.status, wire::Status::ok);
  EXPECT_FALSE(first.welcome.token == second.welcome.token);
  EXPECT_FALSE(first.welcome.token == wire::Token{});
  EXPECT_EQ(a.ask("hello"), "hello");
  EXPECT_NE(a.ask("pid"), b.ask("pid"));
}

TEST_F(DaemonTest, KeepsWorkersWarmAndRefillsThem) {
  options_.pool.warm = 3;
  start();
  ASSERT_TRUE(eventually([&] { return workers().size() == 3; }));
  const auto warm = workers();
  Client client(address_);
  client.open();
  const pid_t serving = std::stoi(client.ask("pid"));
  EXPECT_NE(std::find(warm.begin(), warm.end(), serving), warm.end());
  EXPECT_TRUE(eventually([&] { return workers().size() == 4; }));
}

// A driver that initialises would disturb the program that has just begun.
TEST_F(DaemonTest, WhileAnotherIsWarmARefillWaits) {
  options_.pool.warm = 2;
  options_.pool.refill_after = Millis(60'000);
  start();
  // Both are warm when they have said so and the daemon has heard it: then all of them sleep, and go on sleeping.
  int quiet = 0;
  ASSERT_TRUE(eventually([&] {
    const auto warm = workers();
    const bool all = warm.size() == 2 && sleeps(pid_) && std::all_of(warm.begin(), warm.end(), sleeps);
    quiet = all ? quiet + 1 : 0;
    return quiet == 10;
  }));
  Client first(address_);
  ASSERT_TRUE(first.open().arrived);
  EXPECT_FALSE(eventually([&] { return workers().size() > 2; }, Millis(200)));
  Client second(address_);
  ASSERT_TRUE(second.open().arrived);
  EXPECT_TRUE(eventually([&] { return workers().size() == 4; }));
}

TEST_F(DaemonTest, GivesAClientsEnvironmentToAColdWorker) {
  start();
  Client client(address_);
  ASSERT_EQ(client.open({}, env_of("CUDA_VISIBLE_DEVICES=0,2")).welcome.status, wire::Status::ok);
  EXPECT_EQ(client.ask("env CUDA_VISIBLE_DEVICES"), "0,2");
  EXPECT_EQ(client.ask("env PATH"), "/usr/bin:/bin");
}

TEST_F(DaemonTest, EventsJoinTheSessionThatTheTokenNames) {
  start();
  Client session(address_), events(address_);
  const Answer opened = session.open();
  const Answer joined = events.open({.purpose = wire::Purpose::events, .token = opened.welcome.token});
  ASSERT_EQ(joined.welcome.status, wire::Status::ok);
  EXPECT_EQ(events.ask("purpose"), "3");
  EXPECT_EQ(events.ask("pid"), session.ask("pid"));
}

TEST_F(DaemonTest, ATokenOfNoSessionIsRefused) {
  start();
  Client client(address_);
  const Answer answer = client.open({.purpose = wire::Purpose::events, .token = {{1, 2}}});
  EXPECT_EQ(answer.welcome.status, wire::Status::unknown_session);
  EXPECT_NE(answer.message.find("is over"), std::string::npos);
}

TEST_F(DaemonTest, AHundredClientsAtOnceAreAllServed) {
  worker_mode("slow-start");
  options_.pool.max_starting = 4;
  start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<Client>(address_));
    clients.back()->send_hello({});
  }
  std::set<std::string> pids;
  for (auto& client : clients) {
    const Answer answer = client->receive();
    ASSERT_TRUE(answer.arrived);
    ASSERT_EQ(answer.welcome.status, wire::Status::ok) << answer.message;
    pids.insert(client->ask("pid"));
  }
  EXPECT_EQ(pids.size(), 100u);
}

TEST_F(DaemonTest, OnlySoManyWorkersStartAtATime) {
  worker_mode("hang-at-start");
  options_.pool.max_starting = 3;
  start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Client>(address_));
    clients.back()->send_hello({});
  }
  EXPECT_TRUE(eventually([&] { return workers().size() == 3; }));
  std::this_thread::sleep_for(Millis(100));
  EXPECT_EQ(workers().size(), 3u);
}

TEST_F(DaemonTest, ReleaseSkewIsOneSentenceWithBothVersions) {
  start();
  Client client(address_);
  wire::Hello hello;
  strcpy(hello.version, "0.0.9");
  const Answer answer = client.open(hello);
  EXPECT_EQ(answer.welcome.status, wire::Status::version_skew);
  EXPECT_NE(answer.message.find("0.0.9"), std::string::npos);
  EXPECT_NE(answer.message.find(kVersion), std::string::npos);
}

TEST_F(DaemonTest, RefusesAnEnvironmentNameThatIsNotOnTheList) {
  start();
  Client client(address_);
  const Answer answer = client.open({}, env_of("LD_PRELOAD=/tmp/x.so"));
  EXPECT_EQ(answer.welcome.status, wire::Status::refused);
  EXPECT_NE(answer.message.find("LD_PRELOAD"), std::string::npos);
}

TEST_F(DaemonTest, AHelloThatDoesNotComeIsNotWaitedFor) {
  options_.hello_timeout = Millis(100);
  start();
  Client silent(address_), half(address_);
  half.send("nearme");
  EXPECT_NE(silent.receive().message.find("in time"), std::string::npos);
  EXPECT_NE(half.receive().message.find("in time"), std::string::npos);
}

TEST_F(DaemonTest, GarbageIsDroppedAndOthersAreServed) {
  start();
  Client garbage(address_);
  garbage.send(std::string(100'000, '\xff'));
  EXPECT_TRUE(garbage.at_end());
  Client client(address_);
  EXPECT_EQ(client.open().welcome.status, wire::Status::ok);
}

TEST_F(DaemonTest, AnOversizedEnvironmentIsRefusedWithASentence) {
  start();
  Client client(address_);
  wire::Hello hello;
  kVersion.copy(hello.version, sizeof hello.version - 1);
  hello.env_size = 1u << 30;
  client.send(std::string(reinterpret_cast<const char*>(&hello), sizeof hello) + std::string(50'000, 'x'));
  const Answer answer = client.receive();
  EXPECT_EQ(answer.welcome.status, wire::Status::refused);
  EXPECT_NE(answer.message.find("limit"), std::string::npos);
}

TEST_F(DaemonTest, MoreSessionsThanAllowedAreRefused) {
  options_.max_sessions = 2;
  start();
  Client a(address_), b(address_), c(address_);
  a.open();
  b.open();
  EXPECT_NE(c.open().message.find("limit of 2 session(s)"), std::string::npos);
  a.close();
  EXPECT_TRUE(eventually([&] {
    Client again(address_);
    return again.open().welcome.status == wire::Status::ok;
  }));
}

TEST_F(DaemonTest, AWorkerThatCrashesTakesItsOwnSessionOnly) {
  start();
  Client a(address_), b(address_);
  a.open();
  b.open();
  a.send("crash\n");
  EXPECT_TRUE(a.at_end());
  EXPECT_EQ(b.ask("still here"), "still here");
}

TEST_F(DaemonTest, ADriverThatDoesNotStartIsSaidAndIsNoForkBomb) {
  worker_mode("no-driver");
  const std::string starts = dir_ + "/starts";
  options_.pool.env.push_back("FAKE_WORKER_STARTS=" + starts);
  start();
  Client client(address_);
  const Answer answer = client.open();
  EXPECT_EQ(answer.welcome.status, wire::Status::refused);
  EXPECT_NE(answer.message.find("cuInit answered 999"), std::string::npos) << answer.message;
  // At once for the client, then after 20, 40, 80, ... ms: half a second sees a handful of starts, not hundreds.
  std::this_thread::sleep_for(Millis(500));
  EXPECT_LE(std::filesystem::file_size(starts), 8u);
  Client later(address_);
  EXPECT_EQ(later.open().welcome.status, wire::Status::refused);
}

TEST_F(DaemonTest, AWorkerThatCrashesAtStartIsSaid) {
  worker_mode("crash-at-start");
  start();
  Client client(address_);
  const Answer answer = client.open();
  EXPECT_EQ(answer.welcome.status, wire::Status::refused);
  EXPECT_NE(answer.message.find("signal 6"), std::string::npos) << answer.message;
}

TEST_F(DaemonTest, AWorkerThatHangsAtStartIsGivenUp) {
  worker_mode("hang-at-start");
  options_.pool.start_timeout = Millis(100);
  start();
  Client client(address_);
  EXPECT_EQ(client.open().welcome.status, wire::Status::refused);
}

TEST_F(DaemonTest, AMissingWorkerProgramIsSaid) {
  options_.pool.command = {"/nonexistent/worker"};
  start();
  Client client(address_);
  EXPECT_NE(client.open().message.find("Cannot start /nonexistent/worker"), std::string::npos);
}

}  // namespace
}  // namespace nm::server
