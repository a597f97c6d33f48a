// How many blocks of a function fit on a multiprocessor of the device that this one resembles.
#pragma once

#include "softgpu/function_attributes.h"

namespace nm::softgpu {

// Zero when not even one fits.
int blocks_per_multiprocessor(const ptx::KernelInfo& info, unsigned block_size, size_t dynamic_shared);

}  // namespace nm::softgpu
