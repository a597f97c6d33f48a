#pragma once

#include "cuda_abi.h"

namespace nm::server {

class Session;

// One box copy in stream order; `peer`: between the contexts that the descriptor names.
CUresult submit_copy3d(Session& s, const CUDA_MEMCPY3D_PEER& copy, CUstream stream, bool peer);

}  // namespace nm::server
