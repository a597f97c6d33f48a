// What clients of a store believed, and what was seen from outside, while harm was done to the store; and whether both
// can be true. The clients claim "GPUs" as the pool does: a key that is put if it is absent, bound to a lease that is
// kept alive, let go at the latest a time to live after the last keep-alive that was answered was sent.
//
// All times are of one clock, in milliseconds: clients, watchers and the one who does harm are one process.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "store/store.h"

namespace nm::store {

inline int64_t now_ms() { return std::chrono::duration_cast<Millis>(Clock::now().time_since_epoch()).count(); }

// One GPU, held once by one client.
struct Hold {
  enum class End {
    released,   // by its holder
    abandoned,  // its holder died: no keep-alive any more, and no word
    let_go,     // the time to live passed without an answer
    taken,      // the store said that the lease is gone
  };
  std::string gpu;
  std::string token;      // the value of the key, never used twice
  Revision revision = 0;  // of the claim
  int64_t ttl = 0;
  int64_t from = 0;        // the claim was acknowledged
  int64_t until = 0;       // from here on the holder does not rely on it
  int64_t last_sent = 0;   // the last keep-alive (or grant) that was answered: when it was sent
  int64_t last_acked = 0;  // and when its answer came
  End end = End::released;
  int64_t taken_at = 0;  // when the store said so
};

struct Seen {
  int64_t at = 0;
  Event event;
};

// When the old leader was last seen, and when a new one was first.
struct LeaderChange {
  int64_t from = 0;
  int64_t until = 0;
};

struct History {
  std::mutex mutex;  // over all that follows, while clients run
  std::vector<Hold> holds;
  std::set<std::string> tried;  // tokens of all claims that were sent
  int unknown = 0;              // claims of which it is not known whether they were done; they were undone
  int refused = 0;
  std::vector<std::vector<Seen>> seen;  // by each watcher, all of them from the same revision to the same one
  std::vector<LeaderChange> leader_changes;
  std::vector<std::string> troubles;  // what clients saw that cannot be right
};

struct Finding {
  std::vector<std::string> violations;
  int64_t latest_end = 0;  // of a lease that was let run out: how long after its time, at most
  // The same, counted from the last change of leaders if there was one since: etcd's leases begin anew with it.
  int64_t latest_end_of_term = 0;
  int ran_out = 0;  // leases that were let run out
};

// No GPU is held by two at a time. No lease ends that was kept alive. None outlives its time to live by more than
// `grace`, beginning anew with a change of leaders. Watchers see the same, and all that was acknowledged.
Finding check_history(const History& history, int64_t grace);

// Runs clients and watchers on their threads until `stop`, and then until all leases have run out and all is seen.
struct ClientPlan {
  std::vector<std::string> urls;  // the same store, each a way to it
  uint64_t seed = 0;
  int clients = 10;
  int gpus = 8;
  Millis ttl{2000};
  Millis run{4000};
};
// `harm` is called on the caller's thread while they run.
void run_clients(const ClientPlan& plan, History& history, const std::function<void()>& harm);

}  // namespace nm::store
