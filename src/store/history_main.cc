// Rounds of clients that claim and let go while members of a real etcd cluster are killed with SIGKILL and stopped with
// SIGSTOP, and the check of what they saw. The choices of a round come from its seed; when things happen does not.
//
//   nm_store_history [--rounds N] [--seed S] [--pause MS] [--pause-leader] [--no-harm] [--sqlite] [--keep-going]
//   [--verbose]
//
// Exit status 1: something was seen that may not be; 77: there is no etcd here.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>

#include "base/number.h"
#include "store/etcd_cluster.h"
#include "store/history.h"

namespace nm::store {
namespace {

constexpr int64_t kGrace = 2000;

struct Options {
  int rounds = 3;
  uint64_t seed = 1;
  int64_t pause = 3000;
  bool pause_leader = false;
  bool no_harm = false;
  bool sqlite = false;
  bool keep_going = false;
  bool verbose = false;
};

enum class Harm { kill_leader, pause_follower, kill_follower, pause_leader };
constexpr const char* kHarmNames[] = {"kill -9 of the leader", "a follower stopped", "kill -9 of a follower",
                                      "the leader stopped"};

void sleep_ms(int64_t ms) { std::this_thread::sleep_for(Millis(ms)); }

// On the thread that started the members: they end with it.
void do_harm(Harm harm, std::mt19937_64& random, EtcdCluster& cluster, int64_t pause) {
  const auto between = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  sleep_ms(between(500, 1500));
  const bool other = between(0, 1) == 1;
  const int leader = cluster.leader();
  if (leader < 0) return;
  const bool to_leader = harm == Harm::kill_leader || harm == Harm::pause_leader;
  const bool by_pause = harm == Harm::pause_follower || harm == Harm::pause_leader;
  const size_t victim =
      to_leader ? static_cast<size_t>(leader) : static_cast<size_t>(leader + 1 + other) % cluster.size();
  const int64_t begin = now_ms();
  if (by_pause) {
    cluster.pause(victim);
  } else {
    cluster.kill(victim);
  }
  if (to_leader) cluster.wait_for_leader(30);
  if (by_pause) {
    sleep_ms(std::max<int64_t>(0, pause - (now_ms() - begin)));
    cluster.resume(victim);
  } else {
    sleep_ms(between(0, 1500));
    if (auto started = cluster.start_again(victim); !started) fmt::print(stderr, "{}\n", started.error().message);
  }
}

// Sees when leaders change, whether they were made to or a busy machine did it.
class LeaderWatch {
 public:
  LeaderWatch(const EtcdCluster* cluster, History& history) {
    if (cluster) thread_ = std::thread([this, cluster, &history] { follow(*cluster, history); });
  }
  ~LeaderWatch() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  void follow(const EtcdCluster& cluster, History& history) {
    uint64_t term = 0;
    int64_t last_seen = now_ms();
    while (!stop_) {
      const uint64_t now = cluster.term();
      if (term != 0 && now > term) {
        const std::lock_guard lock(history.mutex);
        history.leader_changes.push_back({last_seen, now_ms()});
      }
      if (now >= term && now != 0) term = now, last_seen = now_ms();
      sleep_ms(50);
    }
  }

  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

bool run_round(const Options& options, uint64_t seed, EtcdCluster* cluster, const std::string& sqlite) {
  std::mt19937_64 random(seed);
  const int kinds = options.pause_leader ? 4 : 3;
  // Each kind in turn, so that a few rounds see them all.
  const auto harm = static_cast<Harm>((seed - 1) % static_cast<uint64_t>(kinds));
  ClientPlan plan;
  plan.seed = seed;
  if (cluster) {
    for (size_t i = 0; i < cluster->size(); ++i) plan.urls.push_back(cluster->url(fmt::format("round{}", seed), i));
    const bool pauses = harm == Harm::pause_follower || harm == Harm::pause_leader;
    plan.run = Millis(pauses ? 2500 + options.pause : 4500);
    // So that a lease that is kept alive outlives an election.
    if (harm == Harm::kill_leader || harm == Harm::pause_leader) plan.ttl = Millis(4000);
  } else {
    plan.urls = {"sqlite:" + sqlite, "sqlite:" + sqlite, "sqlite:" + sqlite};
  }
  History history;
  {
    const LeaderWatch leaders(cluster, history);
    run_clients(plan, history, [&] {
      if (cluster && !options.no_harm) do_harm(harm, random, *cluster, options.pause);
    });
  }
  const Finding finding = check_history(history, kGrace);
  int ends[4] = {};
  for (const Hold& hold : history.holds) ++ends[static_cast<int>(hold.end)];
  fmt::print(
      "seed {}: {}; {} holds ({} released, {} abandoned, {} let go, {} taken), {} refused, {} unknown; leases ended up "
      "to "
      "{} ms after their time, {} ms counted from a change of leaders: {}\n",
      seed, !cluster || options.no_harm ? "no harm" : kHarmNames[static_cast<int>(harm)], history.holds.size(), ends[0],
      ends[1], ends[2], ends[3], history.refused, history.unknown, finding.latest_end, finding.latest_end_of_term,
      finding.violations.empty() ? "ok" : "VIOLATIONS");
  for (const std::string& violation : finding.violations) fmt::print("  {}\n", violation);
  for (const LeaderChange& change : history.leader_changes) {
    if (options.verbose || !finding.violations.empty())
      fmt::print("  no leader from {} to {}\n", change.from, change.until);
  }
  if (history.holds.empty()) fmt::print("  nobody held anything\n");
  fflush(stdout);
  return finding.violations.empty() && !history.holds.empty();
}

int run(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (argument == "--rounds")
      options.rounds = number_or(value, options.rounds), ++i;
    else if (argument == "--seed")
      options.seed = std::max<uint64_t>(1, number_or(value, options.seed)), ++i;
    else if (argument == "--pause")
      options.pause = number_or(value, options.pause), ++i;
    else if (argument == "--pause-leader")
      options.pause_leader = true;
    else if (argument == "--no-harm")
      options.no_harm = true;
    else if (argument == "--sqlite")
      options.sqlite = true;
    else if (argument == "--keep-going")
      options.keep_going = true;
    else if (argument == "--verbose")
      options.verbose = true;
    else
      return fmt::print(stderr, "nm_store_history: there is no option \"{}\".\n", argument), 2;
  }
  if (!options.sqlite && !EtcdCluster::installed()) {
    fmt::print("SKIPPED: etcd is not installed (Debian package etcd-server)\n");
    return 77;
  }
  std::unique_ptr<EtcdCluster> cluster;
  Scratch scratch;
  if (!options.sqlite) {
    auto started = EtcdCluster::start(3);
    if (!started) return fmt::print(stderr, "{}\n", started.error().message), 1;
    cluster = std::move(*started);
  }
  int bad = 0;
  for (int round = 0; round < options.rounds && (bad == 0 || options.keep_going); ++round) {
    if (cluster) cluster->wait_for_leader(30);
    bad += !run_round(options, options.seed + static_cast<uint64_t>(round), cluster.get(), scratch / "pool.db");
  }
  fmt::print("{} of {} rounds with violations\n", bad, options.rounds);
  return bad ? 1 : 0;
}

}  // namespace
}  // namespace nm::store

int main(int argc, char** argv) { return nm::store::run(argc, argv); }
