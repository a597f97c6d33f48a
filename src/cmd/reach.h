// Reaching a server that is not on this host: its connections are encrypted, and a courier (identity/courier.h) of its
// own makes them for each program.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "wire/address.h"

namespace nm::cmd {

// Makes sure that the server answers and, where it takes a courier, starts one that lives as long as this process (or
// what it becomes by exec) and adds NEARMETAL_COURIER to `env`. With `for_descendants`, it lives as long as any process
// that inherits from this one, too. The error is a sentence: nobody answers, or we are not let in.
Result<void> reach(const wire::Address& server, std::vector<std::string>& env, bool for_descendants);

// The same for this process's own connections.
Result<void> reach_from_here(const wire::Address& server);

}  // namespace nm::cmd
