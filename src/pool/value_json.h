// The values' JSON as parts of larger documents: what a store keeps, what a trace has in its lines.
#pragma once

#include "pool/host.h"
#include "pool/json.h"
#include "pool/lease.h"

namespace nm::pool {

Json json_of(const Claim& claim);
Json json_of(const Host& host);
Json json_of(const Lease& lease);

// Read and checked.
Result<Claim> claim_of(const Json& json);
Result<Host> host_of(const Json& json);
Result<Lease> lease_of(const Json& json);

}  // namespace nm::pool
