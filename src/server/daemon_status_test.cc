// What a server says of itself and of its sessions.
#include "server/daemon_status.h"

#include <sys/socket.h>

#include <set>

#include "server/daemon_test_util.h"

namespace nm::server {
namespace {

using StatusTest = DaemonTest;

wire::Hello named(const char* program, wire::Purpose purpose = wire::Purpose::cuda) {
  wire::Hello hello{.purpose = purpose, .pid = 4711};
  strncpy(hello.program, program, sizeof hello.program);
  return hello;
}

TEST_F(StatusTest, AServerWithoutSessionsSaysSo) {
  options_.max_sessions = 5;
  start();
  const auto status = Client(address_).status();
  ASSERT_TRUE(status);
  EXPECT_EQ(0u, status->sessions_in_all);
  EXPECT_EQ(5u, status->max_sessions);
  EXPECT_TRUE(status->sessions.empty());
  EXPECT_LT(status->uptime_us, 60'000'000u);
}

TEST_F(StatusTest, TheGpusAreThoseOfAWarmWorker) {
  start();
  ASSERT_TRUE(eventually([this] {
    const auto status = Client(address_).status();
    return status && !status->gpus.empty();
  }));
  const auto status = Client(address_).status();
  ASSERT_EQ(1u, status->gpus.size());
  EXPECT_EQ("Fake ?[31mGPU", status->gpus[0].name);
  EXPECT_EQ(7, status->gpus[0].uuid[0]);
  EXPECT_EQ(1u << 30, status->gpus[0].memory);
  EXPECT_EQ(0u, status->gpus[0].held) << "nobody has a session";
}

TEST_F(StatusTest, ASessionIsShownWhileItLasts) {
  start();
  Client session(address_);
  const Answer answer = session.open(named("trainer\n"));
  ASSERT_TRUE(answer.arrived);
  const auto status = Client(address_).status();
  ASSERT_TRUE(status);
  ASSERT_EQ(1u, status->sessions.size());
  const wire::SessionStatus& s = status->sessions[0];
  EXPECT_EQ(answer.welcome.token.words[0], s.id);
  EXPECT_EQ("trainer?", s.program);
  EXPECT_EQ(address_.text(), s.from);
  EXPECT_TRUE(s.local);
  EXPECT_EQ(static_cast<uint64_t>(getpid()), s.pid) << "as the kernel says, not as the client does";
  EXPECT_EQ(getuid(), s.uid);
  EXPECT_EQ(std::to_string(s.worker_pid), session.ask("pid"));
  EXPECT_EQ(100u, s.posted);
  EXPECT_EQ(5u, s.waited);
  EXPECT_EQ(1000u, s.bytes_in);
  EXPECT_EQ(2000u, s.bytes_out);
  EXPECT_EQ(60u, s.kernels);
  EXPECT_EQ(3u, s.graphs);
  EXPECT_EQ(4096u, s.memory);
  EXPECT_EQ(wire::StatusTransport::ring, s.transport);
  EXPECT_EQ(4096u, status->gpus.at(0).held);
  session.close();
  EXPECT_TRUE(eventually([this] { return Client(address_).status()->sessions.empty(); }));
}

TEST_F(StatusTest, OverTcpThePidIsTheClientsWordAndThePlaceIsThePeers) {
  const wire::Address tcp = {.kind = wire::Address::Kind::tcp, .host = "127.0.0.1", .port = 41997};
  options_.listen.push_back(tcp);
  start();
  Client session(tcp);
  ASSERT_TRUE(session.open(named("far", wire::Purpose::nvml)).arrived);
  const auto status = Client(tcp).status();
  ASSERT_TRUE(status);
  ASSERT_EQ(1u, status->sessions.size());
  EXPECT_FALSE(status->sessions[0].local);
  EXPECT_TRUE(status->sessions[0].nvml);
  EXPECT_EQ(4711u, status->sessions[0].pid);
  EXPECT_EQ(0u, status->sessions[0].from.find("tcp:127.0.0.1:")) << status->sessions[0].from;
  EXPECT_NE(tcp.text(), status->sessions[0].from);
}

TEST_F(StatusTest, ManySessionsAreEachShown) {
  start();
  std::vector<std::unique_ptr<Client>> sessions;
  for (int i = 0; i < 30; i++) {
    sessions.push_back(std::make_unique<Client>(address_));
    sessions.back()->send_hello(named(("program" + std::to_string(i)).c_str()));
  }
  for (auto& session : sessions) ASSERT_TRUE(session->receive().arrived);
  const auto status = Client(address_).status();
  ASSERT_TRUE(status);
  EXPECT_EQ(30u, status->sessions_in_all);
  std::set<std::string> programs;
  for (auto& s : status->sessions) programs.insert(s.program);
  EXPECT_EQ(30u, programs.size());
  EXPECT_EQ(30u * 4096, status->gpus.at(0).held);
}

TEST_F(StatusTest, AWorkerThatLiesInItsPageHarmsNobody) {
  worker_mode("liar");
  start();
  Client liar(address_);
  ASSERT_TRUE(liar.open(named("liar")).arrived);
  for (int i = 0; i < 3; i++) {
    const auto status = Client(address_).status();
    ASSERT_TRUE(status);
    EXPECT_EQ(kPageGpus, status->gpus.size());
    ASSERT_EQ(1u, status->sessions.size());
    EXPECT_EQ(wire::StatusTransport::unknown, status->sessions[0].transport);
    EXPECT_LE(status->sessions[0].idle_us, status->sessions[0].age_us);
  }
  EXPECT_EQ("still served", liar.ask("still served"));
}

TEST_F(StatusTest, AQuestionTakesNoWorkerAndNoRoomFromSessions) {
  options_.max_sessions = 1;
  options_.pool.warm = 0;
  start();
  for (int i = 0; i < 5; i++) ASSERT_TRUE(Client(address_).status());
  EXPECT_TRUE(workers().empty());
  Client session(address_);
  EXPECT_EQ(wire::Status::ok, session.open().welcome.status);
  ASSERT_TRUE(Client(address_).status()) << "the server is full, and can say so";
  EXPECT_EQ(1u, workers().size());
}

TEST_F(StatusTest, WhoAsksAndDoesNotReadIsLeftBehind) {
  start();
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 100; i++) {
    silent.push_back(std::make_unique<Client>(address_));
    silent.back()->send_hello({.purpose = wire::Purpose::status});
  }
  EXPECT_TRUE(Client(address_).status());
  Client session(address_);
  EXPECT_EQ(wire::Status::ok, session.open().welcome.status);
}

TEST(StatusAnswer, GoesOutAsTheSocketTakesIt) {
  wire::ServerStatus large;
  large.sessions.resize(wire::kMaxStatusSessions);
  large.sessions_in_all = large.sessions.size();
  for (auto& s : large.sessions) s.program = std::string(100, 'p');
  StatusAnswer answer(large);
  int ends[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  const Fd ours(ends[0]), theirs(ends[1]);
  const int least = 4096;
  setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  std::string arrived(1 << 20, 0);
  size_t size = 0;
  int rounds = 0;
  for (auto state = StatusAnswer::State::under_way; state != StatusAnswer::State::sent; rounds++) {
    state = answer.send_some(ours.get());
    ASSERT_NE(StatusAnswer::State::failed, state);
    ASSERT_EQ(state == StatusAnswer::State::under_way, answer.under_way());
    size += static_cast<size_t>(recv(theirs.get(), arrived.data() + size, arrived.size() - size, MSG_DONTWAIT));
  }
  for (ssize_t n; (n = recv(theirs.get(), arrived.data() + size, arrived.size() - size, MSG_DONTWAIT)) > 0;) {
    size += static_cast<size_t>(n);
  }
  EXPECT_GT(rounds, 10);
  constexpr size_t kBefore = sizeof(wire::Welcome) + 8;
  wire::Reader in({reinterpret_cast<const uint8_t*>(arrived.data()) + kBefore, size - kBefore});
  wire::ServerStatus back;
  ASSERT_TRUE(wire::read_status(in, &back));
  EXPECT_EQ(large, back);
}

TEST(StatusAnswer, FailsWhenNobodyIsThereAnyMore) {
  StatusAnswer answer{wire::ServerStatus{}};
  int ends[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  const Fd ours(ends[0]);
  Fd(ends[1]).reset();
  EXPECT_EQ(StatusAnswer::State::failed, answer.send_some(ours.get()));
}

TEST(StatusAnswer, HasRoomForThoseThatCalledLast) {
  wire::ServerStatus many;
  for (uint64_t i = 0; i < wire::kMaxStatusSessions + 10; i++) many.sessions.push_back({.idle_us = i});
  keep_busiest(many);
  ASSERT_EQ(wire::kMaxStatusSessions, many.sessions.size());
  for (auto& s : many.sessions) EXPECT_LT(s.idle_us, wire::kMaxStatusSessions);
}

TEST(CpuTime, GrowsWithWork) {
  const uint64_t before = cpu_time_us(getpid());
  while (cpu_time_us(getpid()) < before + 2000) {
  }
  EXPECT_EQ(0u, cpu_time_us(-1));
}

}  // namespace
}  // namespace nm::server
