#include "identity/audit.h"

#include <nlohmann/json.hpp>

#include "identity/files.h"

namespace nm::identity {

std::string audit_line(const AuditEvent& event, time_t now) {
  tm broken = {};
  ::gmtime_r(&now, &broken);
  char time[32] = "";
  ::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &broken);
  nlohmann::ordered_json line = {{"time", time}, {"event", event.what}};
  if (!event.who.empty()) line["who"] = event.who;
  if (!event.from.empty()) line["from"] = event.from;
  for (const auto& [key, value] : event.more) line[key] = value;
  return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

Result<void> AuditLog::write(const AuditEvent& event, time_t now, bool durable) const {
  return append_line(path_, audit_line(event, now), 0600, durable);
}

}  // namespace nm::identity
