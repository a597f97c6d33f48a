// The pool's memory: a small map from keys to values that several hosts agree upon, in the shape that etcd gave to such
// things. Four ideas carry it.
//
// Revisions. Every transaction that changes something gets the next number, for the whole store. An entry says by which
// it was made (`created`) and last put (`modified`); a store without any change is at revision 1.
//
// Transactions. All compares are looked at and all changes done in one moment, or none. "Put my name on this GPU, if
// nobody's is there" is `absent(key)` and a put. What makes the pool safe is this, and not a lock.
//
// Leases. A lease ends unless it is kept alive, and with it go, in one moment, all keys that were bound to it. Its end
// is decided by the store and not by its holder: whoever holds something by a lease lets go of it by itself when it
// could not keep the lease alive for its time to live (keeper.h does that).
//
// Watches. Everything that happens under a prefix, from a revision on, in order and without gaps. Read first, then
// watch from the revision after the one that was read.
//
// Implementations: SqliteStore (one host), EtcdStore (many), MemoryStore (tests). One suite, conformance_test.cc, says
// what all of them do. All functions may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/answer.h"

namespace nm::store {

using Revision = int64_t;
using LeaseId = int64_t;  // 0: none

// What every implementation takes; more is Trouble::invalid. They are etcd's own limits, or lie within them.
inline constexpr size_t kMaxKey = 4096;                        // bytes; no key is empty
inline constexpr size_t kMaxTransaction = 1536 * 1024 - 4096;  // bytes of keys and values, 128 added for each operation
inline constexpr size_t kMaxOperations = 128;                  // compares, changes, or reads of one transaction
inline constexpr size_t kMaxPage = 1000;                       // entries
inline constexpr Millis kMinTtl{1000};
inline constexpr Millis kMaxTtl{30ll * 24 * 3600 * 1000};

struct Entry {
  std::string key;
  std::string value;
  Revision created = 0;
  Revision modified = 0;
  LeaseId lease = 0;

  bool operator==(const Entry&) const = default;
};

// --- reading
// ----------------------------------------------------------------------------------------------------------

struct Query {
  std::string key;      // the key, or what the keys begin with
  bool prefix = false;  // with an empty `key`: all
  size_t limit = 0;     // entries; 0: as many as a page may have
  std::string after{};  // Page::next, to go on where that page ended, at that page's revision

  static Query one(std::string key) { return {std::move(key), false}; }
  static Query all_under(std::string prefix, size_t limit = 0) { return {std::move(prefix), true, limit}; }
};

// Entries in the order of their keys' bytes, all as they were at `revision`.
struct Page {
  std::vector<Entry> entries;
  Revision revision = 0;
  std::string next;  // empty: there are no more
};

// --- changing
// ---------------------------------------------------------------------------------------------------------

struct Compare {
  enum class What { exists, created, modified, value };
  std::string key;
  What what = What::exists;
  bool present = true;    // exists
  Revision revision = 0;  // created, modified; 0: the key is not there
  std::string value{};    // value; a key that is not there has none, not even the empty one
};
inline Compare exists(std::string key) { return {std::move(key), Compare::What::exists, true}; }
inline Compare absent(std::string key) { return {std::move(key), Compare::What::exists, false}; }
inline Compare created_at(std::string key, Revision r) { return {std::move(key), Compare::What::created, true, r}; }
inline Compare modified_at(std::string key, Revision r) { return {std::move(key), Compare::What::modified, true, r}; }
inline Compare value_is(std::string key, std::string v) {
  return {std::move(key), Compare::What::value, true, 0, std::move(v)};
}

struct Change {
  enum class Kind { put, erase };
  Kind kind = Kind::put;
  std::string key;
  std::string value{};
  LeaseId lease = 0;  // the key goes when this one ends; 0: it stays, even if an earlier put had bound it
};
inline Change put(std::string key, std::string value, LeaseId lease = 0) {
  return {Change::Kind::put, std::move(key), std::move(value), lease};
}
inline Change erase(std::string key) { return {Change::Kind::erase, std::move(key)}; }

// No key may be changed twice in one transaction.
struct Transaction {
  std::vector<Compare> when;     // all must hold
  std::vector<Change> then;      // what is done if they do
  std::vector<Query> otherwise;  // what is read if they do not (no `after`)
};

struct Decision {
  bool done = false;        // all compares held
  Revision revision = 0;    // the store's, after this transaction
  std::vector<Page> found;  // one for each of `otherwise`, if not done
};

// --- leases
// -----------------------------------------------------------------------------------------------------------

struct Grant {
  LeaseId id = 0;
  Millis ttl{};  // what the store gave: what was asked for, or longer
};

// --- watching
// ---------------------------------------------------------------------------------------------------------

struct Event {
  enum class Kind { put, erased };
  Kind kind = Kind::put;
  Entry entry;  // erased: the key alone, and as `modified` the revision of that

  bool operator==(const Event&) const = default;
};

struct Batch {
  std::vector<Event> events;  // whole revisions, in order; none: the deadline came first
  bool connected = true;      // false: the store cannot be reached just now, and what is known may be old
};

class Watch {
 public:
  virtual ~Watch() = default;
  // Waits until something happened or the deadline. One thread at a time. Fails with `compacted` (read again, and begin
  // a new watch), `stopped` or `broken`; after that it fails always.
  virtual Answer<Batch> next(TimePoint deadline) = 0;
  // From any thread: ends the wait of another.
  virtual void stop() = 0;
};

// --- the store
// --------------------------------------------------------------------------------------------------------

class Store {
 public:
  virtual ~Store() = default;

  // For people: "sqlite:/var/lib/nearmetal/pool.db", "etcd://a:2379,b:2379".
  virtual std::string name() const = 0;

  virtual Answer<Page> get(const Query& query, TimePoint deadline) = 0;
  // Only changes can fail with `unknown`.
  virtual Answer<Decision> commit(const Transaction& transaction, TimePoint deadline) = 0;

  virtual Answer<Grant> grant(Millis ttl, TimePoint deadline) = 0;
  // For each lease how long it lives from now on, zero if it is gone. An answer that does not come leaves it open which
  // of them were renewed.
  virtual Answer<std::vector<Millis>> keep_alive(const std::vector<LeaseId>& leases, TimePoint deadline) = 0;
  // After this there is no such lease, whether or not there was one.
  virtual Answer<void> revoke(LeaseId lease, TimePoint deadline) = 0;

  // What happens to keys that begin with `prefix`, from revision `from` on (1 or more; it may lie ahead). Does not
  // wait: a store that is not reachable yet is waited for by the watch.
  virtual Answer<std::unique_ptr<Watch>> watch(const std::string& prefix, Revision from) = 0;

  // Forgets what was before `revision`, but for what still is: queries and watches cannot go back there.
  // Implementations whose history is theirs alone also do it by themselves.
  virtual Answer<void> compact(Revision revision, TimePoint deadline) = 0;
};

}  // namespace nm::store
