// From a checked copy to work in a stream, with the host's view of it: what the call waits for.
#pragma once

#include "softgpu/context.h"
#include "softgpu/copy.h"

namespace nm::softgpu {

void copy_and_wait(ContextCall& c, Stream& stream, const CUDA_MEMCPY3D& params);
// `source_now`: the source may change as soon as the call returns, pageable or not.
void enqueue_copy(ContextCall& c, Stream& stream, const CUDA_MEMCPY3D& params, bool source_now = false);
// Behind and before everything else in both contexts, and done when it returns.
void copy_between_contexts(ContextCall& c, CUcontext to, CUcontext from, const CUDA_MEMCPY3D& params);
void require_contexts(ContextCall& c, CUcontext first, CUcontext second);

}  // namespace nm::softgpu
