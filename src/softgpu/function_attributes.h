// What a function or kernel answers about itself, and what of it can be changed.
#pragma once

#include "softgpu/module.h"

namespace nm::softgpu {

// INVALID_VALUE for an attribute that does not exist.
int function_attribute(const ptx::KernelInfo& info, const FunctionSettings& settings, CUfunction_attribute attribute);
// INVALID_VALUE for a value that does not fit, or an attribute that cannot be set.
void set_function_attribute(const ptx::KernelInfo& info, FunctionSettings& settings, CUfunction_attribute attribute,
                            int value);
// Registers a thread, as reported and as counted for occupancy: an estimate, but never one that would forbid a block
// that the function declares.
int registers_of(const ptx::KernelInfo& info);
int max_threads_of(const ptx::KernelInfo& info);
void parameter_info(const ptx::KernelInfo& info, size_t index, size_t* offset, size_t* size);

}  // namespace nm::softgpu
