// The store of one host: a file. Any number of processes may have it open; the file's write lock makes one line of
// their transactions. All that ever happened stands in one table, in order: the newest event of a key says what it is,
// a watch reads on from where it was, and history that nobody needs is forgotten after kHistory revisions.
//
// No process is there to end leases when their time has come, so whoever looks does it: a reader does not see what is
// bound to a lease whose time is over, and the next writer or watch ends it, before it does anything else. Time is the
// host's BootClock; a lease from an earlier boot is over, because all who could hold it are.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "store/boot_clock.h"
#include "store/sqlite_file.h"
#include "store/store.h"

namespace nm::store {

class SqliteStore final : public Store {
 public:
  static constexpr Revision kHistory = 10'000;

  // The file is opened by the first call, and again if that fails. `clock` outlives the store.
  explicit SqliteStore(std::string path, const BootClock& clock = boot_clock());

  std::string name() const override { return "sqlite:" + path_; }
  Answer<Page> get(const Query& query, TimePoint deadline) override;
  Answer<Decision> commit(const Transaction& transaction, TimePoint deadline) override;
  Answer<Grant> grant(Millis ttl, TimePoint deadline) override;
  Answer<std::vector<Millis>> keep_alive(const std::vector<LeaseId>& leases, TimePoint deadline) override;
  Answer<void> revoke(LeaseId lease, TimePoint deadline) override;
  Answer<std::unique_ptr<Watch>> watch(const std::string& prefix, Revision from) override;
  Answer<void> compact(Revision revision, TimePoint deadline) override;

 private:
  class SqliteWatch;
  struct Meta {
    Revision revision = 0;
    Revision compacted = 0;
  };

  // Runs `work` in one transaction of the file, with what is due ended before if it is a writer's. If it fails, or the
  // file does, nothing was done.
  Answer<void> transact(bool write, TimePoint deadline, const std::function<Answer<void>()>& work);
  Answer<void> ready(TimePoint deadline);
  // These are called within `work`.
  Meta meta();
  void set_revision(Revision revision);
  bool due();
  void end_due();
  void end_lease(LeaseId lease);
  bool holds(const Compare& compare);
  void apply(const Change& change, Revision revision, bool* changed);
  void record(Revision revision, std::string_view key, std::optional<std::string_view> value, Revision created,
              LeaseId lease);
  Answer<Page> read(const Query& query);
  void forget_before(Revision revision);

  const std::string path_;
  const BootClock& clock_;
  const std::string boot_;
  std::timed_mutex mutex_;  // over the file; before waiting_, if both are taken
  std::unique_ptr<SqliteFile> file_;
  std::string identity_;  // of the store that was opened first
  Millis now_{};          // of the transaction under way: to all of it, it is one moment
  std::mutex waiting_;
  std::atomic<uint64_t> own_changes_ = 0;  // transactions of this process; those of others are seen by looking
  std::condition_variable changed_;        // one more of them
};

}  // namespace nm::store
