// What the operations on copies share.
#pragma once

#include <cstddef>

#include "cuda_abi.h"
#include "server/staging.h"

namespace nm::server {

class Session;

// A small copy from host memory that the device may write to is to see what was written there before it. To be called
// before such a copy is handed to the driver (docs/decisions/0023).
CUresult order_small_copy(Session& s, size_t size, CUstream stream);

// One box copy in stream order; `peer`: between the contexts that the descriptor names.
CUresult submit_copy3d(Session& s, const CUDA_MEMCPY3D_PEER& copy, CUstream stream, bool peer);

// A chunk, after waiting for earlier copies to finish if all are in use. Our memory and our questions about events are
// none of the client's: a capture in another of its threads does not break over them.
CUresult take_chunk(Session& s, size_t size, Staging::Chunk* out);
// A pinned buffer of any size for one copy, and its end when that is done; both also while something is captured.
CUresult pinned(Session& s, size_t size, void** out);
void unpin(Session& s, void* data);

}  // namespace nm::server
