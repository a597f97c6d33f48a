// The runtime's identity question: relayed to the genuine driver, never answered here. How and why:
// docs/decisions/0001-identity-question.md
#pragma once

#include <cstdint>

#include "wire/facts.h"

namespace nm::client {

// Maps pages where the worker's driver has its tables and its function. False: something else of this process lies
// there, so another worker is needed. A driver without such tables needs no pages.
bool place_identity(const wire::IdentityPlace& place);

// The two tables at the driver's own addresses, null where the driver has none.
uint64_t* cudart_table();
uint64_t* integrity_table();

}  // namespace nm::client
