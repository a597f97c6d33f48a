// What the authority has issued: one line a certificate, so that a name can be revoked by those that it holds.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "base/result.h"
#include "identity/certificate.h"
#include "identity/pool_dir.h"

namespace nm::identity {

struct Issued {
  Role role = Role::user;
  std::string name;
  std::string serial;
  time_t since = 0, until = 0;
};

// Before the certificate leaves: one that nobody remembers could not be revoked.
Result<void> note_issued(const PoolDir& dir, const Certificate& certificate, const Member& member, time_t now);
// In the order in which they were issued.
Result<std::vector<Issued>> read_issued(const PoolDir& dir);

}  // namespace nm::identity
