#include "store/memory_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/check.h"

namespace nm::store {

class MemoryStore::MemoryWatch final : public Watch {
 public:
  MemoryWatch(MemoryStore& store, Span span, Revision from) : store_(store), span_(std::move(span)), from_(from) {}

  Answer<Batch> next(TimePoint deadline) override {
    std::unique_lock lock(store_.mutex_);
    for (;;) {
      if (stopped_) return Failure{Trouble::stopped, "The watch was stopped."};
      Batch batch{{}, store_.reachable_};
      if (store_.reachable_) {
        store_.look();
        if (from_ < store_.compacted_) return compacted(store_.name(), from_, store_.compacted_);
        for (const Event& event : store_.history_) {
          if (event.entry.modified >= from_ && contains(span_, event.entry.key)) batch.events.push_back(event);
        }
        from_ = std::max(from_, store_.revision_ + 1);
      }
      if (!batch.events.empty() || Clock::now() >= deadline) return batch;
      // With time that passes by itself, a lease may end while nobody changes anything.
      store_.changed_.wait_until(lock, std::min(deadline, Clock::now() + Millis(20)));
    }
  }

  void stop() override {
    const std::lock_guard lock(store_.mutex_);
    stopped_ = true;
    store_.changed_.notify_all();
  }

 private:
  MemoryStore& store_;
  const Span span_;
  Revision from_;
  bool stopped_ = false;
};

MemoryStore::MemoryStore(std::function<Millis()> now)
    : now_(now ? std::move(now) : [] { return std::chrono::duration_cast<Millis>(Clock::now().time_since_epoch()); }) {}

void MemoryStore::set_reachable(bool reachable) {
  const std::lock_guard lock(mutex_);
  reachable_ = reachable;
  changed_.notify_all();
}

void MemoryStore::clock_changed() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

std::optional<Failure> MemoryStore::look() {
  if (!reachable_)
    return Failure{Trouble::unreachable, "The store in memory was made unreachable. Make it reachable again."};
  const Millis now = now_();
  std::vector<LeaseId> due;
  for (const auto& [id, lease] : leases_) {
    if (lease.end <= now) due.push_back(id);
  }
  for (const LeaseId id : due) end_lease(id);
  return std::nullopt;
}

void MemoryStore::end_lease(LeaseId lease) {
  leases_.erase(lease);
  std::vector<std::string> keys;
  for (const auto& [key, versions] : versions_) {
    if (versions.back().kind == Event::Kind::put && versions.back().entry.lease == lease) keys.push_back(key);
  }
  if (keys.empty()) return;
  ++revision_;
  for (std::string& key : keys) record({Event::Kind::erased, {std::move(key), "", 0, revision_}});
}

const Entry* MemoryStore::current(const std::string& key) const {
  const auto at = versions_.find(key);
  if (at == versions_.end() || at->second.back().kind == Event::Kind::erased) return nullptr;
  return &at->second.back().entry;
}

bool MemoryStore::holds(const Compare& compare) const {
  const Entry* entry = current(compare.key);
  switch (compare.what) {
    case Compare::What::exists:
      return (entry != nullptr) == compare.present;
    case Compare::What::created:
      return (entry ? entry->created : 0) == compare.revision;
    case Compare::What::modified:
      return (entry ? entry->modified : 0) == compare.revision;
    case Compare::What::value:
      return entry && entry->value == compare.value;
  }
  return false;
}

void MemoryStore::record(Event event) {
  history_.push_back(event);
  versions_[event.entry.key].push_back(std::move(event));
  changed_.notify_all();
}

Answer<Page> MemoryStore::read(const Query& query) const {
  const auto position = position_of(query);
  if (!position) return position.failure();
  Page page{{}, position->revision ? position->revision : revision_, ""};
  if (page.revision > revision_) {
    return Failure{Trouble::invalid,
                   fmt::format("Revision {} of the store is still to come. Read the newest.", page.revision)};
  }
  if (page.revision < compacted_) return compacted(name(), page.revision, compacted_);
  const Span span = span_of(query);
  auto at = query.after.empty() ? versions_.lower_bound(span.begin) : versions_.upper_bound(position->last_key);
  for (; at != versions_.end() && contains(span, at->first); ++at) {
    const auto& versions = at->second;
    const auto newest = std::find_if(versions.rbegin(), versions.rend(),
                                     [&](const Event& event) { return event.entry.modified <= page.revision; });
    if (newest == versions.rend() || newest->kind == Event::Kind::erased) continue;
    if (page.entries.size() == limit_of(query)) {
      page.next = page_token(page.revision, page.entries.back().key);
      break;
    }
    page.entries.push_back(newest->entry);
  }
  return page;
}

Answer<Page> MemoryStore::get(const Query& query, TimePoint) {
  if (auto ok = check(query); !ok) return ok.failure();
  const std::lock_guard lock(mutex_);
  if (auto away = look()) return *away;
  return read(query);
}

Answer<Decision> MemoryStore::commit(const Transaction& transaction, TimePoint) {
  if (auto ok = check(transaction); !ok) return ok.failure();
  const std::lock_guard lock(mutex_);
  if (auto away = look()) return *away;
  Decision decision;
  decision.done =
      std::all_of(transaction.when.begin(), transaction.when.end(), [this](const Compare& c) { return holds(c); });
  if (!decision.done) {
    for (const Query& query : transaction.otherwise) {
      auto page = read(query);
      if (!page) return page.failure();
      decision.found.push_back(std::move(*page));
    }
    decision.revision = revision_;
    return decision;
  }
  for (const Change& change : transaction.then) {
    if (change.kind == Change::Kind::put && change.lease && !leases_.count(change.lease)) return no_lease(change.lease);
  }
  const Revision next = revision_ + 1;
  for (const Change& change : transaction.then) {
    const Entry* old = current(change.key);
    if (change.kind == Change::Kind::put) {
      revision_ = next;
      record({Event::Kind::put, {change.key, change.value, old ? old->created : next, next, change.lease}});
    } else if (old) {
      revision_ = next;
      record({Event::Kind::erased, {change.key, "", 0, next}});
    }
  }
  decision.revision = revision_;
  return decision;
}

Answer<Grant> MemoryStore::grant(Millis ttl, TimePoint) {
  if (auto ok = check_ttl(ttl); !ok) return ok.failure();
  const std::lock_guard lock(mutex_);
  if (auto away = look()) return *away;
  leases_[++last_lease_] = {ttl, now_() + ttl};
  return Grant{last_lease_, ttl};
}

Answer<std::vector<Millis>> MemoryStore::keep_alive(const std::vector<LeaseId>& leases, TimePoint) {
  const std::lock_guard lock(mutex_);
  if (auto away = look()) return *away;
  std::vector<Millis> left;
  for (const LeaseId id : leases) {
    const auto lease = leases_.find(id);
    if (lease != leases_.end()) lease->second.end = now_() + lease->second.ttl;
    left.push_back(lease != leases_.end() ? lease->second.ttl : Millis::zero());
  }
  return left;
}

Answer<void> MemoryStore::revoke(LeaseId lease, TimePoint) {
  const std::lock_guard lock(mutex_);
  if (auto away = look()) return *away;
  if (leases_.count(lease)) end_lease(lease);
  return {};
}

Answer<std::unique_ptr<Watch>> MemoryStore::watch(const std::string& prefix, Revision from) {
  if (auto ok = check_watch(prefix, from); !ok) return ok.failure();
  return std::unique_ptr<Watch>(std::make_unique<MemoryWatch>(*this, span_of_prefix(prefix), from));
}

Answer<void> MemoryStore::compact(Revision revision, TimePoint) {
  const std::lock_guard lock(mutex_);
  if (auto away = look()) return *away;
  if (revision > revision_) {
    return Failure{Trouble::invalid, fmt::format("The store is at revision {} and cannot forget what is before {}.",
                                                 revision_, revision)};
  }
  compacted_ = std::max(compacted_, revision);
  std::erase_if(history_, [this](const Event& event) { return event.entry.modified < compacted_; });
  for (auto& [key, versions] : versions_) {
    // The newest one that is not newer than `compacted_` is what a query at that revision finds.
    auto first = versions.begin();
    while (first + 1 != versions.end() && (first + 1)->entry.modified <= compacted_) ++first;
    versions.erase(versions.begin(), first);
  }
  std::erase_if(versions_, [this](const auto& item) {
    const Event& last = item.second.back();
    return item.second.size() == 1 && last.kind == Event::Kind::erased && last.entry.modified <= compacted_;
  });
  return {};
}

}  // namespace nm::store
