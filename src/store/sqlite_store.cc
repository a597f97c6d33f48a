#include "store/sqlite_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "store/check.h"

namespace nm::store {
namespace {

// A span without an upper end ends at what no key reaches: every key is shorter than this, and it is all 0xff.
const std::string& beyond_all_keys() {
  static const std::string beyond(kMaxKey + 1, '\xff');
  return beyond;
}
std::string_view end_of(const Span& span) { return span.end.empty() ? beyond_all_keys() : span.end; }

}  // namespace

// --- watching
// ---------------------------------------------------------------------------------------------------------

class SqliteStore::SqliteWatch final : public Watch {
 public:
  SqliteWatch(SqliteStore& store, Span span, Revision from) : store_(store), span_(std::move(span)), from_(from) {}

  Answer<Batch> next(TimePoint deadline) override {
    for (;;) {
      if (stopped_) return Failure{Trouble::stopped, "The watch was stopped."};
      Batch batch;
      const uint64_t seen_changes = store_.own_changes_;
      // A little longer than the deadline, which may be now: another process may hold the file for a moment.
      if (auto ok = look(std::max(Clock::now(), deadline) + Millis(50), &batch); !ok) {
        if (ok.trouble() == Trouble::compacted || ok.trouble() == Trouble::broken) return ok.failure();
        batch = {{}, false};
      }
      if (!batch.events.empty() || Clock::now() >= deadline) return batch;
      std::unique_lock lock(store_.waiting_);
      if (stopped_ || store_.own_changes_ != seen_changes) continue;
      store_.changed_.wait_until(lock, std::min(deadline, Clock::now() + kLook));
    }
  }

  void stop() override {
    const std::lock_guard lock(store_.waiting_);
    stopped_ = true;
    store_.changed_.notify_all();
  }

 private:
  static constexpr Millis kLook{10};  // how late a change of another process is seen

  Answer<void> look(TimePoint deadline, Batch* batch) {
    bool due = false;
    Revision next = from_;
    const auto read = store_.transact(false, deadline, [&]() -> Answer<void> {
      due = store_.due();
      const Meta meta = store_.meta();
      if (from_ < meta.compacted) return compacted(store_.name(), from_, meta.compacted);
      if (meta.revision < from_) return {};
      Revision upto = meta.revision;
      auto s = store_.file_->prepare(
          "SELECT revision, key, value, created, lease FROM history WHERE revision >= ? AND key >= ? AND key < ? ORDER "
          "BY "
          "revision, id");
      s.bind(from_, span_.begin, end_of(span_));
      while (s.step()) {
        const Revision revision = s.number(0);
        // Enough for once; but a revision is never divided.
        if (batch->events.size() >= kMaxPage && revision != batch->events.back().entry.modified) {
          upto = batch->events.back().entry.modified;
          break;
        }
        if (s.null(2)) {
          batch->events.push_back({Event::Kind::erased, {s.bytes(1), "", 0, revision}});
        } else {
          batch->events.push_back({Event::Kind::put, {s.bytes(1), s.bytes(2), s.number(3), revision, s.number(4)}});
        }
      }
      next = upto + 1;
      return {};
    });
    if (read) from_ = next;
    // After the events that were there: what is ended now is seen by the next look.
    if (read && due) return store_.transact(true, deadline, [] { return Answer<void>(); });
    return read;
  }

  SqliteStore& store_;
  const Span span_;
  Revision from_;
  std::atomic<bool> stopped_ = false;
};

Answer<std::unique_ptr<Watch>> SqliteStore::watch(const std::string& prefix, Revision from) {
  if (auto ok = check_watch(prefix, from); !ok) return ok.failure();
  return std::unique_ptr<Watch>(std::make_unique<SqliteWatch>(*this, span_of_prefix(prefix), from));
}

// --- the file
// ---------------------------------------------------------------------------------------------------------

SqliteStore::SqliteStore(std::string path, const BootClock& clock)
    : path_(std::move(path)), clock_(clock), boot_(clock.boot()) {}

Answer<void> SqliteStore::ready(TimePoint deadline) {
  // A file that was moved or deleted would go on taking what others never see.
  if (file_ && !file_->in_place()) {
    file_.reset();
    return Failure{Trouble::unreachable,
                   fmt::format("The store {} was moved or deleted while it was in use. Put it back.", path_)};
  }
  if (file_) return {};
  // Once there was a store, an empty one in its place would be a mistake.
  auto opened = SqliteFile::open(path_, identity_.empty(), deadline);
  if (!opened) return opened.failure();
  std::string identity;
  (*opened)->begin(true, deadline);
  if (auto s = (*opened)->prepare("SELECT store FROM meta"); s.step()) identity = s.bytes(0);
  // Whoever held a lease in an earlier boot is gone, and that boot's times say nothing in this one.
  (*opened)->prepare("UPDATE leases SET end = 0, boot = ?1 WHERE boot <> ?1").bind(boot_).run();
  if (auto ended = (*opened)->end(); !ended) return ended;
  if (identity_.empty()) identity_ = identity;
  if (identity != identity_) {
    return Failure{Trouble::broken,
                   fmt::format("{} is another store than the one that was there before. Put that one back, or "
                               "start again, with nothing granted.",
                               path_)};
  }
  file_ = std::move(*opened);
  return {};
}

Answer<void> SqliteStore::transact(bool write, TimePoint deadline, const std::function<Answer<void>()>& work) {
  std::unique_lock lock(mutex_, deadline);
  if (!lock) return Failure{Trouble::unreachable, fmt::format("The store {} is busy. Try again.", path_)};
  if (auto ok = ready(deadline); !ok) return ok;
  file_->begin(write, deadline);
  if (file_->failed()) return file_->failure();
  now_ = clock_.now();
  if (write) end_due();
  Answer<void> answer = work();
  if (!answer) {
    file_->undo();
    return answer;
  }
  if (auto ended = file_->end(); !ended) return ended;
  if (write) {
    const std::lock_guard waiting(waiting_);
    ++own_changes_;
    changed_.notify_all();
  }
  return {};
}

SqliteStore::Meta SqliteStore::meta() {
  auto s = file_->prepare("SELECT revision, compacted FROM meta");
  return s.step() ? Meta{s.number(0), s.number(1)} : Meta{};
}

void SqliteStore::set_revision(Revision revision) {
  file_->prepare("UPDATE meta SET revision = ?").bind(revision).run();
}

void SqliteStore::record(Revision revision, std::string_view key, std::optional<std::string_view> value,
                         Revision created, LeaseId lease) {
  file_->prepare("INSERT INTO history(revision, key, value, created, lease) VALUES(?, ?, ?, ?, ?)")
      .bind(revision, key, value, created, lease)
      .run();
}

void SqliteStore::forget_before(Revision revision) {
  // What a query at `revision` finds stays: of each key the newest event not after it, if that is no erasure; and all
  // events of `revision` itself, for a watch from there.
  file_
      ->prepare(
          "DELETE FROM history WHERE revision < ?1 AND (value IS NULL OR EXISTS (SELECT 1 FROM history AS later WHERE "
          "later.key = history.key AND later.revision > history.revision AND later.revision <= ?1))")
      .bind(revision)
      .run();
  file_->prepare("UPDATE meta SET compacted = ?").bind(revision).run();
}

// --- leases
// -----------------------------------------------------------------------------------------------------------

bool SqliteStore::due() {
  auto s = file_->prepare("SELECT 1 FROM leases WHERE end <= ? LIMIT 1");
  return s.bind(now_.count()).step();
}

void SqliteStore::end_due() {
  std::vector<LeaseId> over;
  {
    auto s = file_->prepare("SELECT id FROM leases WHERE end <= ? ORDER BY end, id");
    s.bind(now_.count());
    while (s.step()) over.push_back(s.number(0));
  }
  for (const LeaseId lease : over) end_lease(lease);
}

void SqliteStore::end_lease(LeaseId lease) {
  std::vector<std::string> keys;
  {
    auto s = file_->prepare("SELECT key FROM live WHERE lease = ? ORDER BY key");
    s.bind(lease);
    while (s.step()) keys.push_back(s.bytes(0));
  }
  if (!keys.empty()) {
    const Revision revision = meta().revision + 1;
    set_revision(revision);
    for (const std::string& key : keys) record(revision, key, std::nullopt, 0, 0);
    file_->prepare("DELETE FROM live WHERE lease = ?").bind(lease).run();
  }
  file_->prepare("DELETE FROM leases WHERE id = ?").bind(lease).run();
}

Answer<Grant> SqliteStore::grant(Millis ttl, TimePoint deadline) {
  if (auto ok = check_ttl(ttl); !ok) return ok.failure();
  Grant grant{0, ttl};
  const auto done = transact(true, deadline, [&]() -> Answer<void> {
    file_->prepare("UPDATE meta SET lease = lease + 1").run();
    if (auto s = file_->prepare("SELECT lease FROM meta"); s.step()) grant.id = s.number(0);
    file_->prepare("INSERT INTO leases VALUES(?, ?, ?, ?)")
        .bind(grant.id, ttl.count(), (now_ + ttl).count(), boot_)
        .run();
    return {};
  });
  return done ? Answer<Grant>(grant) : done.failure();
}

Answer<std::vector<Millis>> SqliteStore::keep_alive(const std::vector<LeaseId>& leases, TimePoint deadline) {
  std::vector<Millis> left;
  const auto done = transact(true, deadline, [&]() -> Answer<void> {
    const int64_t now = now_.count();
    for (const LeaseId lease : leases) {
      auto s = file_->prepare("UPDATE leases SET end = ?2 + ttl WHERE id = ?1 RETURNING ttl");
      left.push_back(s.bind(lease, now).step() ? Millis(s.number(0)) : Millis::zero());
      s.run();
    }
    return {};
  });
  return done ? Answer<std::vector<Millis>>(std::move(left)) : done.failure();
}

Answer<void> SqliteStore::revoke(LeaseId lease, TimePoint deadline) {
  return transact(true, deadline, [&]() -> Answer<void> {
    end_lease(lease);
    return {};
  });
}

// --- reading and changing
// ---------------------------------------------------------------------------------------------

Answer<Page> SqliteStore::read(const Query& query) {
  const auto position = position_of(query);
  if (!position) return position.failure();
  const Meta meta = this->meta();
  if (position->revision > meta.revision) {
    return Failure{Trouble::invalid,
                   fmt::format("Revision {} of {} is still to come. Read the newest.", position->revision, name())};
  }
  if (position->revision && position->revision < meta.compacted)
    return compacted(name(), position->revision, meta.compacted);
  Page page{{}, position->revision ? position->revision : meta.revision, ""};
  const Span span = span_of(query);
  const std::string begin = query.after.empty() ? span.begin : position->last_key + '\0';
  const std::string_view end = end_of(span);
  const auto limit = static_cast<int64_t>(limit_of(query));
  const auto take = [&](Statement& s) {
    while (s.step()) {
      if (static_cast<int64_t>(page.entries.size()) == limit) {
        page.next = page_token(page.revision, page.entries.back().key);
        break;
      }
      page.entries.push_back({s.bytes(0), s.bytes(1), s.number(2), s.number(3), s.number(4)});
    }
  };
  if (page.revision == meta.revision) {
    auto s = file_->prepare(
        "SELECT l.key, h.value, h.created, h.revision, h.lease FROM live AS l JOIN history AS h ON h.id = l.id WHERE "
        "l.key >= ?1 AND l.key < ?2 AND (l.lease = 0 OR EXISTS (SELECT 1 FROM leases WHERE leases.id = l.lease AND "
        "leases.end > ?4)) ORDER BY l.key LIMIT ?3");
    const int64_t now = now_.count();
    take(s.bind(begin, end, limit + 1, now));
  } else {
    // At an earlier revision things are as they were then, whatever became of their leases.
    auto s = file_->prepare(
        "SELECT key, value, created, revision, lease FROM (SELECT key, value, created, max(revision) AS revision, "
        "lease FROM "
        "history WHERE key >= ?1 AND key < ?2 AND revision <= ?4 GROUP BY key) WHERE value IS NOT NULL ORDER BY key "
        "LIMIT ?3");
    take(s.bind(begin, end, limit + 1, page.revision));
  }
  return page;
}

Answer<Page> SqliteStore::get(const Query& query, TimePoint deadline) {
  if (auto ok = check(query); !ok) return ok.failure();
  Answer<Page> page = Page{};
  const auto done = transact(false, deadline, [&]() -> Answer<void> {
    page = read(query);
    return page ? Answer<void>() : page.failure();
  });
  return done ? page : done.failure();
}

bool SqliteStore::holds(const Compare& compare) {
  auto s = file_->prepare(
      "SELECT h.created, h.revision, h.value FROM live AS l JOIN history AS h ON h.id = l.id WHERE l.key = ?");
  const bool there = s.bind(compare.key).step();
  switch (compare.what) {
    case Compare::What::exists:
      return there == compare.present;
    case Compare::What::created:
      return (there ? s.number(0) : 0) == compare.revision;
    case Compare::What::modified:
      return (there ? s.number(1) : 0) == compare.revision;
    case Compare::What::value:
      return there && s.bytes(2) == compare.value;
  }
  return false;
}

void SqliteStore::apply(const Change& change, Revision revision, bool* changed) {
  Revision created = 0;
  if (auto s = file_->prepare("SELECT h.created FROM live AS l JOIN history AS h ON h.id = l.id WHERE l.key = ?");
      s.bind(change.key).step()) {
    created = s.number(0);
  }
  if (change.kind == Change::Kind::put) {
    record(revision, change.key, change.value, created ? created : revision, change.lease);
    file_->prepare("INSERT OR REPLACE INTO live VALUES(?, last_insert_rowid(), ?)")
        .bind(change.key, change.lease)
        .run();
  } else if (created) {
    record(revision, change.key, std::nullopt, 0, 0);
    file_->prepare("DELETE FROM live WHERE key = ?").bind(change.key).run();
  } else {
    return;
  }
  *changed = true;
}

Answer<Decision> SqliteStore::commit(const Transaction& transaction, TimePoint deadline) {
  if (auto ok = check(transaction); !ok) return ok.failure();
  Decision decision;
  const auto done = transact(true, deadline, [&]() -> Answer<void> {
    decision = {};
    decision.revision = meta().revision;
    decision.done =
        std::all_of(transaction.when.begin(), transaction.when.end(), [this](const Compare& c) { return holds(c); });
    if (!decision.done) {
      for (const Query& query : transaction.otherwise) {
        auto page = read(query);
        if (!page) return page.failure();
        decision.found.push_back(std::move(*page));
      }
      return {};
    }
    for (const Change& change : transaction.then) {
      if (change.kind != Change::Kind::put || change.lease == 0) continue;
      auto s = file_->prepare("SELECT 1 FROM leases WHERE id = ?");
      if (!s.bind(change.lease).step() && !file_->failed()) return no_lease(change.lease);
    }
    bool changed = false;
    for (const Change& change : transaction.then) apply(change, decision.revision + 1, &changed);
    if (!changed) return {};
    set_revision(++decision.revision);
    // A little at a time, so that no transaction pays for all.
    if (const Revision keep = decision.revision - kHistory; keep > 0 && keep % 500 == 0) forget_before(keep);
    return {};
  });
  return done ? Answer<Decision>(std::move(decision)) : done.failure();
}

Answer<void> SqliteStore::compact(Revision revision, TimePoint deadline) {
  return transact(true, deadline, [&]() -> Answer<void> {
    const Meta meta = this->meta();
    if (revision > meta.revision) {
      return Failure{Trouble::invalid, fmt::format("{} is at revision {} and cannot forget what is before {}.", name(),
                                                   meta.revision, revision)};
    }
    if (revision > meta.compacted) forget_before(revision);
    return {};
  });
}

}  // namespace nm::store
