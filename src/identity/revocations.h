// Certificates that count no more although their time is not over. The authority signs the list; it travels to the
// members as it is, and each takes only a newer one than it has, so nobody can bring back an old one.
//
//   nearmetal-revocations 1
//   pool 4f1c...
//   version 7
//   revoked 52ab... 1796138000 user/alice      (serial, until when the certificate would have counted, whose it is)
//   signature MEUC...
#pragma once

#include <cstdint>
#include <ctime>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "identity/authority.h"

namespace nm::identity {

class Revocations {
 public:
  struct Entry {
    std::string serial;
    time_t until = 0;
    std::string member;  // "user/alice"
  };

  explicit Revocations(std::string pool) : pool_(std::move(pool)) {}
  // Only what `authority` signed, and for its pool.
  static Result<Revocations> parse(std::string_view text, const Certificate& authority, const std::string& pool);
  // The list in `dir`, or an empty one of version 0.
  static Result<Revocations> read(const PoolDir& dir, const Certificate& authority, const std::string& pool);

  uint64_t version() const { return version_; }
  bool has(const std::string& serial) const { return serials_.contains(serial); }
  const std::vector<Entry>& entries() const { return entries_; }

  void add(Entry entry);
  // Without those whose time is over, as a new version.
  Result<std::string> sign_next(const Authority& authority, time_t now);

 private:
  std::string unsigned_text() const;

  std::string pool_;
  uint64_t version_ = 0;
  std::vector<Entry> entries_;
  std::set<std::string> serials_;
};

}  // namespace nm::identity
