// Where one machine, or one user, keeps what makes it a member of a pool. The host on which the pool was made has the
// authority's key there, too; nowhere else is there one.
//
//   pool.toml            which pool, where its authority answers, how long certificates last
//   ca.crt               the authority's certificate: what everything is checked against
//   ca.key               its key (mode 0600), where the pool was made
//   host.crt, host.key   this host's certificate and key; user.crt, user.key: this user's
//   revoked              certificates that count no more, signed by the authority
//   invites/             invitations that are open, one a file, named by the hash of their secret
//   issued               every certificate that was issued, JSON lines
//   policy.toml          who may claim what (policy.h); where it is missing every user of the pool may
//   audit.jsonl          who did what, JSON lines (audit.h)
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "identity/member.h"

namespace nm::identity {

struct PoolDir {
  std::string path;

  std::string settings() const { return path + "/pool.toml"; }
  std::string authority_certificate() const { return path + "/ca.crt"; }
  std::string authority_key() const { return path + "/ca.key"; }
  std::string certificate(Role role) const { return path + "/" + std::string(text_of(role)) + ".crt"; }
  std::string key(Role role) const { return path + "/" + std::string(text_of(role)) + ".key"; }
  std::string revoked() const { return path + "/revoked"; }
  std::string invites() const { return path + "/invites"; }
  std::string issued() const { return path + "/issued"; }
  std::string policy() const { return path + "/policy.toml"; }
  std::string audit() const { return path + "/audit.jsonl"; }

  bool is_authority() const;  // the authority's key lies here
  bool has(Role role) const;  // a certificate of this role lies here
};

struct PoolSettings {
  std::string id;       // 16 hex digits
  std::string address;  // HOST:PORT where the authority's host answers
  int64_t host_hours = 24;
  int64_t user_hours = 24;
};

inline constexpr int64_t kMostHours = 24 * 366;

// The error says that there is no pool here and how to come to one.
Result<PoolSettings> read_settings(const PoolDir& dir);
Result<PoolSettings> parse_settings(const std::string& text, const std::string& where);
std::string settings_text(const PoolSettings& settings);

// NEARMETAL_POOL_DIR, else /var/lib/nearmetal/pool for root, else nearmetal/pool in XDG_CONFIG_HOME or ~/.config.
PoolDir default_pool_dir();

}  // namespace nm::identity
