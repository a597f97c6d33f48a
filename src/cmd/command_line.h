// What every verb does with its arguments, in one place.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "cmd/verbs.h"

namespace nm::cmd {

// Exit statuses of our own. `run` has its own, see there.
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// nothing: go on. Else the exit status: 0 after --help, `usage_status` after a mistake, both already printed.
std::optional<int> parse(CLI::App& app, const Args& args, int usage_status = kUsage);

// "nearmetal: SENTENCE" on stderr. Returns `status`.
int fail(const std::string& sentence, int status = kFailed);

}  // namespace nm::cmd
