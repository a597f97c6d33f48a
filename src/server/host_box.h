// Boxes of host memory in a client's copies: only memory that the client shared is its business.
#pragma once

#include "cuda_abi.h"

namespace nm::server {

class Session;

// True if every byte that `copy` touches at a host address of its source lies in memory that client and worker share at
// the same address. A box that is nowhere in host memory has no such byte; one that is nothing, or whose kind of memory
// the driver would have to guess, is refused.
bool source_is_shared(Session& s, const CUDA_MEMCPY3D_PEER& copy);
bool destination_is_shared(Session& s, const CUDA_MEMCPY3D_PEER& copy);

}  // namespace nm::server
