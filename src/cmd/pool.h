// What the verbs of `nearmetal pool` share.
#pragma once

#include "cmd/command_line.h"

namespace nm::cmd {

int pool_simulate_verb(const Args& args);

}  // namespace nm::cmd
