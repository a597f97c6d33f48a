// What the verbs of `nearmetal pool` share.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cmd/command_line.h"
#include "identity/pool_dir.h"

namespace nm::cmd {

inline constexpr int kPoolPort = 7811;

int pool_init_verb(const Args& args);
int pool_invite_verb(const Args& args);
int pool_join_verb(const Args& args);
int pool_revoke_verb(const Args& args);
int pool_members_verb(const Args& args);
int pool_simulate_verb(const Args& args);

void add_dir(CLI::App& app, std::string& dir);
identity::PoolDir dir_of(const std::string& option);
// "90m", "24h", "7d", "30s": seconds.
Result<int64_t> parse_time(const std::string& option, const std::string& text);
// "HOST:PORT", as others will call it.
Result<std::string> parse_host_and_port(const std::string& option, const std::string& text);
// Who is at the keyboard, for the audit log: "uid 0 (root)".
std::string caller();

}  // namespace nm::cmd
