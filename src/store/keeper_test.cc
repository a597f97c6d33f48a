#include "store/keeper.h"

#include <gtest/gtest.h>

#include <atomic>

#include "store/conformance.h"
#include "store/memory_store.h"

namespace nm::store {
namespace {

class TestClock final : public BootClock {
 public:
  Millis now() const override { return Millis(now_.load()); }
  std::string boot() const override { return "boot"; }
  void go_on(Millis time) { now_ += time.count(); }

 private:
  std::atomic<int64_t> now_ = 1'000'000;
};

class CountingStore final : public MemoryStore {
 public:
  using MemoryStore::MemoryStore;
  std::atomic<int> keep_alives = 0;
  Answer<std::vector<Millis>> keep_alive(const std::vector<LeaseId>& leases, TimePoint deadline) override {
    auto left = MemoryStore::keep_alive(leases, deadline);
    ++keep_alives;
    return left;
  }
};

// What the keeper has called, and a way to wait for it.
struct Losses {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> why;

  Keeper::Lost lost() {
    return [this](LeaseId, const std::string& reason) {
      const std::lock_guard lock(mutex);
      why.push_back(reason);
      changed.notify_all();
    };
  }
  bool wait_for(size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(30), [&] { return why.size() >= count; });
  }
};

class KeeperTest : public testing::Test {
 protected:
  TestClock clock_;
  CountingStore store_{[this] { return clock_.now(); }};
  Losses losses_;

  Grant grant(Millis ttl) { return *store_.grant(ttl, soon()); }
  bool lives(LeaseId lease) { return store_.commit({{}, {put("lives", "", lease)}, {}}, soon()).operator bool(); }
};

TEST_F(KeeperTest, a_lease_that_is_kept_outlives_its_time) {
  Keeper keeper(store_, clock_);
  const Grant lease = grant(Millis(60'000)), other = grant(Millis(60'000));
  keeper.keep(lease, clock_.now(), losses_.lost());
  for (int i = 1; i <= 10; ++i) {
    clock_.go_on(Millis(21'000));  // more than a third
    const TimePoint deadline = soon();
    while (store_.keep_alives < i && Clock::now() < deadline) std::this_thread::sleep_for(Millis(5));
    ASSERT_GE(store_.keep_alives, i);
  }
  EXPECT_TRUE(lives(lease.id));
  EXPECT_FALSE(lives(other.id));
  EXPECT_TRUE(losses_.why.empty());
}

TEST_F(KeeperTest, the_holder_hears_of_the_end_while_the_store_is_away) {
  Keeper keeper(store_, clock_);
  const Grant lease = grant(Millis(3000));
  keeper.keep(lease, clock_.now(), losses_.lost());
  store_.set_reachable(false);
  clock_.go_on(Millis(2800));
  std::this_thread::sleep_for(Millis(200));
  EXPECT_TRUE(losses_.why.empty()) << "it has a little left";
  clock_.go_on(Millis(100));
  ASSERT_TRUE(losses_.wait_for(1));
  EXPECT_NE(losses_.why[0].find("is lost"), std::string::npos);
  store_.set_reachable(true);
  EXPECT_TRUE(lives(lease.id)) << "before the store gives it to somebody else";
  clock_.go_on(Millis(100));
  EXPECT_FALSE(lives(lease.id));
}

TEST_F(KeeperTest, the_holder_hears_of_a_revocation_with_the_next_keep_alive) {
  Keeper keeper(store_, clock_);
  const Grant lease = grant(Millis(60'000)), other = grant(Millis(60'000));
  keeper.keep(lease, clock_.now(), losses_.lost());
  keeper.keep(other, clock_.now(), losses_.lost());
  ASSERT_TRUE(store_.revoke(lease.id, soon()));
  clock_.go_on(Millis(20'000));
  ASSERT_TRUE(losses_.wait_for(1));
  EXPECT_NE(losses_.why[0].find("the store has ended it"), std::string::npos) << losses_.why[0];
  std::this_thread::sleep_for(Millis(100));
  EXPECT_EQ(losses_.why.size(), 1u);
  EXPECT_TRUE(lives(other.id));
}

TEST_F(KeeperTest, a_lease_that_is_released_is_no_loss) {
  Keeper keeper(store_, clock_);
  const Grant lease = grant(Millis(3000));
  keeper.keep(lease, clock_.now(), losses_.lost());
  keeper.release(lease.id);
  keeper.release(4711);
  clock_.go_on(Millis(10'000));
  std::this_thread::sleep_for(Millis(200));
  EXPECT_TRUE(losses_.why.empty());
  EXPECT_FALSE(lives(lease.id));
}

}  // namespace
}  // namespace nm::store
