// The worker's part of the identity question: the genuine driver answers, told who is really asking.
// docs/decisions/0001-identity-question.md
#pragma once

#include <cstdint>

#include "driver_table.h"
#include "wire/facts.h"

namespace nm::server {

// All zero for a driver that has no such tables.
wire::IdentityPlace identity_place(const DriverTable& driver);

// Calls the driver's function while getpid() and pthread_self() of this thread answer with the client's values.
CUresult ask_driver(const DriverTable& driver, uint32_t version, uint64_t seconds, uint64_t pid, uint64_t thread,
                    uint64_t words[2]);

}  // namespace nm::server
