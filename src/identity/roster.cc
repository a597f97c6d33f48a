#include "identity/roster.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "identity/files.h"

namespace nm::identity {

Result<void> note_issued(const PoolDir& dir, const Certificate& certificate, const Member& member, time_t now) {
  const nlohmann::ordered_json line = {{"role", text_of(member.role)},
                                       {"name", member.name},
                                       {"serial", certificate.serial()},
                                       {"since", static_cast<int64_t>(now)},
                                       {"until", static_cast<int64_t>(certificate.not_after())}};
  return append_line(dir.issued(), line.dump(), 0600, true);
}

Result<std::vector<Issued>> read_issued(const PoolDir& dir) {
  std::vector<Issued> out;
  if (!exists(dir.issued())) return out;
  const auto text = read_file(dir.issued(), 256 << 20);
  if (!text) return text.error();
  size_t number = 0;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    number++;
    try {
      const auto line =
          nlohmann::json::parse(text->begin() + static_cast<long>(at), text->begin() + static_cast<long>(end));
      Issued& one = out.emplace_back();
      one.role = line.at("role") == "host" ? Role::host : Role::user;
      line.at("name").get_to(one.name);
      line.at("serial").get_to(one.serial);
      one.since = line.at("since").get<int64_t>();
      one.until = line.at("until").get<int64_t>();
    } catch (const nlohmann::json::exception&) {
      return Error{fmt::format("{}:{} is no line of this file. Put back what it was: without it nobody can be revoked.",
                               dir.issued(), number)};
    }
    at = end + 1;
  }
  return out;
}

}  // namespace nm::identity
