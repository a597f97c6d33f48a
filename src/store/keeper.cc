#include "store/keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace nm::store {
namespace {

constexpr Millis kRetry{250};  // when the store did not answer
constexpr Millis kMargin{
    150};  // so long before its end a lease counts as over: what is looked at now and then is seen late
constexpr Millis kLook{50};  // the clock is not the one that a condition variable waits by

}  // namespace

Keeper::Keeper(Store& store, const BootClock& clock)
    : store_(store), clock_(clock), renewing_([this] { renew(); }), guarding_([this] { guard(); }) {}

Keeper::~Keeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  renewing_.join();
  guarding_.join();
}

void Keeper::keep(const Grant& grant, Millis asked, Lost lost) {
  const std::lock_guard lock(mutex_);
  kept_[grant.id] = {grant.ttl,
                     asked,
                     asked + grant.ttl / 3,
                     false,
                     "it could not be kept alive in time. See that the store can be reached.",
                     std::move(lost)};
  changed_.notify_all();
}

void Keeper::release(LeaseId lease) {
  std::unique_lock lock(mutex_);
  kept_.erase(lease);
  if (std::this_thread::get_id() == guarding_.get_id()) return;
  changed_.wait(lock, [&] { return losing_ != lease; });
}

void Keeper::renew() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    renew_due(lock);
    if (!stopping_) changed_.wait_for(lock, kLook);
  }
}

void Keeper::renew_due(std::unique_lock<std::mutex>& lock) {
  const Millis now = clock_.now();
  std::vector<LeaseId> due;
  Millis patience{60'000};
  for (const auto& [id, kept] : kept_) {
    if (kept.gone || kept.next > now) continue;
    due.push_back(id);
    // So that those that come after these do not wait too long for their turn.
    patience = std::min(patience, kept.ttl / 3);
  }
  if (due.empty()) return;

  lock.unlock();
  const Millis sent = clock_.now();
  const auto left = store_.keep_alive(due, Clock::now() + patience);
  lock.lock();

  for (size_t i = 0; i < due.size(); ++i) {
    const auto at = kept_.find(due[i]);
    if (at == kept_.end()) continue;
    Kept& kept = at->second;
    if (!left) {
      kept.why = left.error().message;
      kept.next = clock_.now() + kRetry;
    } else if ((*left)[i] == Millis::zero()) {
      kept.gone = true;
      kept.why = "the store has ended it. Claim again.";
      changed_.notify_all();
    } else {
      // A time to live longer than the granted one is not relied upon: to let go early does no harm.
      kept.ttl = std::min(kept.ttl, (*left)[i]);
      kept.sent = sent;
      kept.next = sent + kept.ttl / 3;
    }
  }
}

void Keeper::guard() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Millis now = clock_.now();
    const auto over = std::find_if(kept_.begin(), kept_.end(), [&](const auto& item) {
      return item.second.gone || item.second.sent + item.second.ttl - kMargin <= now;
    });
    if (over == kept_.end()) {
      changed_.wait_for(lock, kLook);
      continue;
    }
    const Kept kept = std::move(over->second);
    losing_ = over->first;
    kept_.erase(over);
    lock.unlock();
    kept.lost(losing_, fmt::format("The lease {:x} is lost: {}", losing_, kept.why));
    lock.lock();
    losing_ = 0;
    changed_.notify_all();
  }
}

}  // namespace nm::store
