// The store as a map in this process, with a clock that a test sets: for tests of what stands on the store, and the
// plainest telling of what a store does.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "store/store.h"

namespace nm::store {

class MemoryStore : public Store {
 public:
  // `now` counts on from anywhere. Without one, time passes by itself.
  explicit MemoryStore(std::function<Millis()> now = {});

  // From here on every call fails as if the store were away, until true. Watches wait.
  void set_reachable(bool reachable);
  // Watches do not see by themselves that a clock of the test's went on; this wakes them.
  void clock_changed();

  std::string name() const override { return "memory"; }
  Answer<Page> get(const Query& query, TimePoint deadline) override;
  Answer<Decision> commit(const Transaction& transaction, TimePoint deadline) override;
  Answer<Grant> grant(Millis ttl, TimePoint deadline) override;
  Answer<std::vector<Millis>> keep_alive(const std::vector<LeaseId>& leases, TimePoint deadline) override;
  Answer<void> revoke(LeaseId lease, TimePoint deadline) override;
  Answer<std::unique_ptr<Watch>> watch(const std::string& prefix, Revision from) override;
  Answer<void> compact(Revision revision, TimePoint deadline) override;

 private:
  class MemoryWatch;
  struct Lease {
    Millis ttl;
    Millis end;
  };
  // Called with mutex_ held.
  std::optional<Failure> look();  // away? else ends what is due
  void end_lease(LeaseId lease);
  const Entry* current(const std::string& key) const;
  bool holds(const Compare& compare) const;
  void record(Event event);
  Answer<Page> read(const Query& query) const;

  const std::function<Millis()> now_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reachable_ = true;
  Revision revision_ = 1;
  Revision compacted_ = 0;
  LeaseId last_lease_ = 0;
  std::map<std::string, std::vector<Event>> versions_;  // of each key, the newest last; never an empty list
  std::deque<Event> history_;                           // all of them in the order they came
  std::map<LeaseId, Lease> leases_;
};

}  // namespace nm::store
