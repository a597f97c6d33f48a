// The stores that need nobody else.
#include <optional>

#include "store/conformance.h"
#include "store/memory_store.h"
#include "store/scratch.h"
#include "store/sqlite_store.h"

namespace nm::store {
namespace {

// One more way to a store in this process.
class Shared final : public Store {
 public:
  explicit Shared(std::shared_ptr<Store> store) : store_(std::move(store)) {}
  std::string name() const override { return store_->name(); }
  Answer<Page> get(const Query& query, TimePoint deadline) override { return store_->get(query, deadline); }
  Answer<Decision> commit(const Transaction& t, TimePoint deadline) override { return store_->commit(t, deadline); }
  Answer<Grant> grant(Millis ttl, TimePoint deadline) override { return store_->grant(ttl, deadline); }
  Answer<std::vector<Millis>> keep_alive(const std::vector<LeaseId>& leases, TimePoint deadline) override {
    return store_->keep_alive(leases, deadline);
  }
  Answer<void> revoke(LeaseId lease, TimePoint deadline) override { return store_->revoke(lease, deadline); }
  Answer<std::unique_ptr<Watch>> watch(const std::string& prefix, Revision from) override {
    return store_->watch(prefix, from);
  }
  Answer<void> compact(Revision revision, TimePoint deadline) override { return store_->compact(revision, deadline); }

 private:
  const std::shared_ptr<Store> store_;
};

class MemoryPlace final : public Place {
 public:
  std::string name() const override { return "memory"; }
  void renew() override { store_ = std::make_shared<MemoryStore>(); }
  std::unique_ptr<Store> open() override { return std::make_unique<Shared>(store_); }
  std::string url() const override { return ""; }

 private:
  std::shared_ptr<MemoryStore> store_;
};

class SqlitePlace final : public Place {
 public:
  std::string name() const override { return "sqlite"; }
  void renew() override { scratch_.emplace(); }
  std::unique_ptr<Store> open() override { return std::make_unique<SqliteStore>(*scratch_ / "pool.db"); }
  std::string url() const override { return "sqlite:" + (*scratch_ / "pool.db"); }

 private:
  std::optional<Scratch> scratch_;
};

}  // namespace

std::vector<Place*> test_places() {
  static MemoryPlace memory;
  static SqlitePlace sqlite;
  return {&memory, &sqlite};
}

}  // namespace nm::store
