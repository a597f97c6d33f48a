#include "identity/pool_dir.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "identity/files.h"
#include "identity/toml.h"

namespace nm::identity {

Result<toml::table> parse_toml(const std::string& text, const std::string& where) {
  toml::parse_result parsed = toml::parse(text, where);
  if (parsed) return std::move(parsed).table();
  return Error{fmt::format("{}:{}: {}.", where, parsed.error().source().begin.line, parsed.error().description())};
}

Result<void> check_keys(const toml::table& table, const std::string& where, std::string_view what,
                        std::initializer_list<std::string_view> known) {
  for (const auto& [key, node] : table) {
    const std::string_view name = key;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string list;
    for (const auto& each : known) list += (list.empty() ? "" : ", ") + std::string(each);
    return Error{fmt::format("{}{} has no key \"{}\". The keys are: {}.", at_line(where, node), what, name, list)};
  }
  return {};
}

bool PoolDir::is_authority() const { return exists(authority_key()); }
bool PoolDir::has(Role role) const { return exists(certificate(role)) && exists(key(role)); }

Result<PoolSettings> parse_settings(const std::string& text, const std::string& where) {
  const auto table = parse_toml(text, where);
  if (!table) return table.error();
  if (auto keys = check_keys(*table, where, "the file", {"id", "address", "host_hours", "user_hours"}); !keys) {
    return keys.error();
  }
  PoolSettings settings;
  settings.id = (*table)["id"].value_exact<std::string>().value_or("");
  settings.address = (*table)["address"].value_exact<std::string>().value_or("");
  if (!parse_member("nearmetal://pool/" + settings.id + "/host/x")) {
    return Error{fmt::format("{}: id must be a string of 16 hex digits.", where)};
  }
  if (settings.address.empty()) return Error{fmt::format("{}: address must be a string HOST:PORT.", where)};
  for (const auto& [key, place] :
       {std::pair{"host_hours", &settings.host_hours}, {"user_hours", &settings.user_hours}}) {
    const auto* node = table->get(key);
    if (!node) continue;
    const auto value = node->value_exact<int64_t>();
    if (!value || *value < 1 || *value > kMostHours) {
      return Error{fmt::format("{}{} must be a number from 1 to {}.", at_line(where, *node), key, kMostHours)};
    }
    *place = *value;
  }
  return settings;
}

Result<PoolSettings> read_settings(const PoolDir& dir) {
  if (!exists(dir.settings())) {
    return Error{
        fmt::format("There is no pool in {}. Make one with `nearmetal pool init`, or join one with `nearmetal "
                    "pool join TOKEN`; whoever made the pool prints a token with `nearmetal pool invite`.",
                    dir.path)};
  }
  const auto text = read_file(dir.settings(), 64 << 10);
  if (!text) return text.error();
  return parse_settings(*text, dir.settings());
}

std::string settings_text(const PoolSettings& settings) {
  return fmt::format("id = \"{}\"\naddress = \"{}\"\nhost_hours = {}\nuser_hours = {}\n", settings.id, settings.address,
                     settings.host_hours, settings.user_hours);
}

PoolDir default_pool_dir() {
  const char* named = ::getenv("NEARMETAL_POOL_DIR");
  if (named && named[0] == '/') return {named};
  if (::geteuid() == 0) return {"/var/lib/nearmetal/pool"};
  const char* xdg = ::getenv("XDG_CONFIG_HOME");
  if (xdg && xdg[0] == '/') return {std::string(xdg) + "/nearmetal/pool"};
  const char* home = ::getenv("HOME");
  return {std::string(home && home[0] == '/' ? home : "") + "/.config/nearmetal/pool"};
}

}  // namespace nm::identity
