// Invitations: one token lets its bearer become one member of the pool, once, for some time. The token carries a
// secret, the authority's fingerprint (so the newcomer knows whom it talks to before it has anything to check with) and
// where to call. The authority keeps the secret's hash only.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "base/result.h"
#include "identity/bytes.h"
#include "identity/member.h"
#include "identity/pool_dir.h"

namespace nm::identity {

inline constexpr size_t kSecretSize = 16;

struct Token {
  std::string secret;   // kSecretSize bytes
  Hash authority = {};  // the fingerprint of its certificate
  std::string address;  // HOST:PORT

  std::string text() const;  // "nearmetal-1.HOST:PORT.<base64url>"
  bool operator==(const Token&) const = default;
};

// The error is a sentence; it does not repeat the token.
Result<Token> parse_token(std::string_view text);

struct Invite {
  Role role = Role::user;
  std::string name;
  time_t expires = 0;
};

class Invites {
 public:
  explicit Invites(const PoolDir& dir) : dir_(dir.invites()) {}

  // Keeps the invitation and returns its secret. Removes those whose time was over long ago.
  Result<std::string> add(const Invite& invite, time_t now);
  // What the secret's invitation says. It is used up: of all who come with it at the same time one gets this answer.
  Result<Invite> redeem(std::string_view secret, time_t now);
  // What it was used up for did not happen.
  void restore(std::string_view secret);

 private:
  std::string file_of(std::string_view secret) const;
  void remove_old(time_t now) const;
  std::string dir_;
};

}  // namespace nm::identity
