// The pool's certificate authority: one key, one self-signed certificate, on the host where the pool was made. It names
// members, for a short time each, and signs the list of those that count no more before that time.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "base/result.h"
#include "identity/certificate.h"
#include "identity/member.h"
#include "identity/pool_dir.h"

namespace nm::identity {

// Clocks differ: a certificate counts from this much before its making.
inline constexpr time_t kClockSkew = 300;

class Authority {
 public:
  // Makes key and certificate in `dir`. Never in the place of others.
  static Result<Authority> create(const PoolDir& dir, const std::string& pool_id, time_t now);
  static Result<Authority> open(const PoolDir& dir);

  // A certificate for `key`, which says that its holder is `member` for `lifetime` seconds.
  Result<Certificate> issue(EVP_PKEY* key, const Member& member, time_t lifetime, time_t now) const;
  Result<std::string> sign(std::string_view text) const;

  const Certificate& certificate() const { return certificate_; }

 private:
  Authority(PrivateKey key, Certificate certificate) : key_(std::move(key)), certificate_(std::move(certificate)) {}
  PrivateKey key_;
  Certificate certificate_;
};

// Whether the holder of `certificate`'s key signed `text`.
bool is_signed_by(const Certificate& certificate, std::string_view text, std::string_view signature);

}  // namespace nm::identity
