// Where a copy's two ends are, as far as the client can tell.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

// Host memory that asynchronous copies work on later: pinned here, mirrored there.
bool is_mirrored(const void* address, size_t size);

// The linear copies; `wait`: return when the bytes are where they belong (pageable memory always waits for reads).
CUresult copy_to_device(CUdeviceptr dst, const void* src, size_t size, CUstream stream, bool wait);
CUresult copy_from_device(void* dst, CUdeviceptr src, size_t size, CUstream stream, bool wait);
CUresult copy_on_device(CUdeviceptr dst, CUdeviceptr src, size_t size, CUstream stream);
// Either end may be anything with an address.
CUresult copy_any(CUdeviceptr dst, CUdeviceptr src, size_t size, CUstream stream, bool wait);

// Any 2D, 3D or array copy. Rows of host memory are gathered and scattered here.
CUresult copy_3d(const CUDA_MEMCPY3D_PEER& copy, CUstream stream, bool wait, bool peer);

}  // namespace nm::client
