// The suite against etcd, and what is etcd's own: members that go and come, clusters that are none, TLS.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <thread>

#include "base/fd.h"
#include "store/conformance.h"
#include "store/etcd_cluster.h"
#include "store/open.h"

namespace nm::store {
namespace {

// One member for all tests that do no harm to it.
EtcdCluster& shared_cluster() {
  static const std::unique_ptr<EtcdCluster> cluster = [] {
    auto started = EtcdCluster::start(1);
    if (!started) {
      fprintf(stderr, "%s\n", started.error().message.c_str());
      exit(1);
    }
    return std::move(*started);
  }();
  return *cluster;
}

class EtcdPlace final : public Place {
 public:
  std::string name() const override { return "etcd"; }
  void renew() override { prefix_ = "test" + std::to_string(++number_); }
  std::unique_ptr<Store> open() override {
    auto store = open_store(url());
    return store ? std::move(*store) : nullptr;
  }
  std::string url() const override { return shared_cluster().url(prefix_); }

 private:
  int number_ = 0;
  std::string prefix_;
};

std::unique_ptr<Store> open_at(const std::string& url) {
  auto store = open_store(url);
  EXPECT_TRUE(store) << store.error().message;
  return store ? std::move(*store) : nullptr;
}

std::unique_ptr<EtcdCluster> cluster_of(size_t members, bool tls = false) {
  auto cluster = EtcdCluster::start(members, tls);
  EXPECT_TRUE(cluster) << cluster.error().message;
  return cluster ? std::move(*cluster) : nullptr;
}

Answer<Decision> put_one(Store& store, const std::string& key, const std::string& value = "") {
  return store.commit({{}, {put(key, value)}, {}}, soon());
}

// --- members that go and come
// -----------------------------------------------------------------------------------------

TEST(Etcd, that_is_away_is_an_error_in_time_and_is_found_when_it_comes) {
  const auto cluster = cluster_of(1);
  ASSERT_TRUE(cluster);
  const auto store = open_at(cluster->url("p"));
  cluster->kill(0);
  auto watch = store->watch("", 1);
  ASSERT_TRUE(watch);
  const TimePoint begin = Clock::now();
  const auto away = store->commit({{}, {put("a", "")}, {}}, in(Millis(500)));
  ASSERT_FALSE(away);
  EXPECT_EQ(away.trouble(), Trouble::unreachable) << "nothing can have been done";
  EXPECT_NE(away.error().message.find(cluster->address(0)), std::string::npos) << away.error().message;
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(store->get(Query::one("a"), in(Millis(200))).trouble(), Trouble::unreachable);
  EXPECT_EQ(store->grant(Millis(2000), in(Millis(200))).trouble(), Trouble::unreachable);
  EXPECT_EQ(store->keep_alive({1}, in(Millis(200))).trouble(), Trouble::unreachable);
  const auto waiting = (*watch)->next(in(Millis(50)));
  ASSERT_TRUE(waiting);
  EXPECT_FALSE(waiting->connected);
  ASSERT_TRUE(cluster->start_again(0));
  const auto back = put_one(*store, "a");
  ASSERT_TRUE(back) << back.error().message;
  Answer<Batch> batch = Batch{};
  const TimePoint deadline = soon();
  while (batch && batch->events.empty() && Clock::now() < deadline) batch = (*watch)->next(deadline);
  ASSERT_TRUE(batch) << batch.error().message;
  ASSERT_EQ(batch->events.size(), 1u);
  EXPECT_EQ(batch->events[0].entry.key, "a");
}

TEST(Etcd, a_member_that_starts_again_costs_a_watch_and_a_lease_nothing) {
  const auto cluster = cluster_of(1);
  ASSERT_TRUE(cluster);
  const auto store = open_at(cluster->url("p"));
  auto watch = store->watch("k", 1);
  ASSERT_TRUE(watch);
  const auto lease = store->grant(Millis(30'000), soon());
  ASSERT_TRUE(lease);
  ASSERT_TRUE(store->commit({{}, {put("held", "", lease->id)}, {}}, soon()));
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(put_one(*store, "k" + std::to_string(2 * round)));
    cluster->kill(0);
    ASSERT_TRUE(cluster->start_again(0));
    const auto alive = store->keep_alive({lease->id}, soon());
    ASSERT_TRUE(alive) << alive.error().message;
    EXPECT_GT(alive->at(0), Millis(0));
    ASSERT_TRUE(put_one(*store, "k" + std::to_string(2 * round + 1)));
  }
  std::vector<std::string> keys;
  const TimePoint deadline = soon();
  while (keys.size() < 4 && Clock::now() < deadline) {
    const auto batch = (*watch)->next(deadline);
    ASSERT_TRUE(batch) << batch.error().message;
    for (const Event& event : batch->events) keys.push_back(event.entry.key);
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"k0", "k1", "k2", "k3"}));
  EXPECT_EQ(store->get(Query::one("held"), soon())->entries.size(), 1u);
}

TEST(Etcd, a_member_that_says_nothing_is_left_for_another) {
  const auto cluster = cluster_of(3);
  ASSERT_TRUE(cluster);
  const int leader = cluster->leader();
  ASSERT_GE(leader, 0);
  const auto other = static_cast<size_t>(leader), silent = static_cast<size_t>(leader + 1) % 3;
  // Both the calls and the watch shall be at the member that falls silent: the other one is, while they connect.
  cluster->pause(other);
  const auto store = open_at("etcd://" + cluster->address(silent) + "," + cluster->address(other) + "?prefix=p");
  auto watch = store->watch("", 1);
  ASSERT_TRUE(watch);
  Answer<Batch> batch = Batch{{}, false};
  TimePoint deadline = soon();
  while (batch && !batch->connected && Clock::now() < deadline) batch = (*watch)->next(in(Millis(20)));
  cluster->resume(other);
  ASSERT_TRUE(batch) << batch.error().message;
  ASSERT_TRUE(batch->connected);
  ASSERT_TRUE(put_one(*open_at(cluster->url("p", other)), "before"));

  cluster->pause(silent);
  // A question is asked again elsewhere. Of a change it may not be known whether it was done, once.
  const auto read = store->get(Query::one("before"), soon());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->entries.size(), 1u);
  auto after = put_one(*store, "after");
  if (!after) {
    EXPECT_EQ(after.trouble(), Trouble::unknown) << after.error().message;
    after = put_one(*store, "after");
  }
  ASSERT_TRUE(after) << after.error().message;
  std::vector<std::string> keys;
  deadline = soon();
  while (keys.size() < 2 && Clock::now() < deadline) {
    batch = (*watch)->next(deadline);
    ASSERT_TRUE(batch) << batch.error().message;
    for (const Event& event : batch->events) keys.push_back(event.entry.key);
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"before", "after"})) << "the watch went on without the silent member";
  cluster->resume(silent);
}

// --- what is no cluster
// -----------------------------------------------------------------------------------------------

TEST(Etcd, members_of_two_clusters_are_noticed) {
  const auto other = cluster_of(1);
  ASSERT_TRUE(other);
  const auto mixed = open_at("etcd://" + other->address(0) + "," + shared_cluster().address(0));
  // Which of the two answers first is open; when that one is gone the other does.
  ASSERT_TRUE(mixed->get(Query::one("a"), soon()));
  bool first_was_other = true;
  other->kill(0);
  auto answer = mixed->get(Query::one("a"), soon());
  if (answer) {
    first_was_other = false;
    ASSERT_TRUE(other->start_again(0));
    shared_cluster().kill(0);
    answer = mixed->get(Query::one("a"), soon());
    ASSERT_TRUE(shared_cluster().start_again(0));
  }
  SCOPED_TRACE(first_was_other);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.trouble(), Trouble::broken) << answer.error().message;
}

TEST(Etcd, a_server_of_another_kind_is_unreachable_in_time) {
  Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  // SAFETY: sockaddr_in is the form of a sockaddr that AF_INET says it is.
  auto* any = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listener.get(), any, size), 0);
  ASSERT_EQ(getsockname(listener.get(), any, &size), 0);
  ASSERT_EQ(listen(listener.get(), 16), 0);
  std::thread rude([&] {
    for (;;) {
      Fd peer(accept(listener.get(), nullptr, nullptr));
      if (!peer) return;
      send(peer.get(), "220 mail.example.org ESMTP\r\n", 28, MSG_NOSIGNAL);
    }
  });
  const auto store = open_at("etcd://127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
  const auto answer = store->get(Query::one("a"), in(Millis(1500)));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.trouble(), Trouble::unreachable) << answer.error().message;
  shutdown(listener.get(), SHUT_RDWR);
  rude.join();
}

// --- TLS
// --------------------------------------------------------------------------------------------------------------

TEST(Etcd, tls_needs_the_right_certificates_on_both_sides) {
  const auto cluster = cluster_of(1, true);
  ASSERT_TRUE(cluster);
  const auto store = open_at(cluster->url("p"));
  const auto put = put_one(*store, "a", "secret");
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(store->get(Query::one("a"), soon())->entries.at(0).value, "secret");

  const std::string address = cluster->address(0), ca = cluster->file("ca.pem"),
                    stranger = cluster->file("stranger.pem");
  const std::string own = "&cert=" + cluster->file("client.pem") + "&key=" + cluster->file("client.key");
  for (const std::string& url :
       {"etcd://" + address,                             // no TLS
        "etcds://" + address + "?ca=" + ca,              // we show none
        "etcds://" + address + "?ca=" + stranger + own,  // signed by somebody else
        "etcds://" + address + "?ca=" + ca + "&cert=" + stranger + "&key=" + cluster->file("stranger.key")}) {
    const auto refused = open_at(url)->get(Query::one("a"), in(Millis(1500)));
    ASSERT_FALSE(refused) << url;
    EXPECT_EQ(refused.trouble(), Trouble::unreachable) << url << ": " << refused.error().message;
  }
}

}  // namespace

std::vector<Place*> test_places() {
  static EtcdPlace etcd;
  return {&etcd};
}

}  // namespace nm::store

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!nm::store::EtcdCluster::installed()) {
    printf("SKIPPED: etcd is not installed (Debian package etcd-server)\n");
    return 77;
  }
  return RUN_ALL_TESTS();
}
