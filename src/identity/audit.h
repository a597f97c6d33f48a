// Who did what: a line of JSON an event, appended to one file. Rotate it by renaming; it is opened for each line.
//
// What gives something away (a certificate, a session) is done only once its line is written: where the disk is full,
// nothing new is granted, and what runs goes on. A pool that cannot say who has its GPUs is worse than one that says no
// for an hour. Certificates and revocations have reached the disk before they count; a session's line has reached the
// kernel, which is enough unless the machine itself goes down in the seconds after. Refusals are noted as well as can
// be.
#pragma once

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace nm::identity {

struct AuditEvent {
  std::string what;  // "join", "renew", "revoke", "invite", "session", "refused"
  std::string who;   // "user alice"; empty: nobody who has proved a name
  std::string from;  // an address, where there is one
  std::vector<std::pair<std::string, std::string>> more;
};

class AuditLog {
 public:
  explicit AuditLog(std::string path) : path_(std::move(path)) {}
  // `durable`: it has reached the disk. The error is a sentence.
  Result<void> write(const AuditEvent& event, time_t now, bool durable) const;

 private:
  std::string path_;
};

std::string audit_line(const AuditEvent& event, time_t now);

}  // namespace nm::identity
