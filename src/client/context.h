// Contexts as the client keeps them: each thread's stack, what is pending or broken in each.
#pragma once

#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

uint64_t current_context();  // handle, 0: none
// Called once, when the devices are known.
void create_primary_contexts(int devices);

// One fixed handle per device, equal before and after the first retain.
uint64_t primary_context(CUdevice device);
// A context that the driver made for a green context: it can be made current, and ends with the green context.
void adopt_context(uint64_t context, CUdevice device, uint64_t green);
void drop_context(uint64_t context);
// The green context behind a context; 0: it is a plain one.
uint64_t green_context(uint64_t context);
// The device of a live context; false for anything else.
bool context_device(uint64_t context, CUdevice* device);

// An error that stays: returned by every call in this context until it is destroyed or reset.
CUresult sticky_error(uint64_t context);
// The sticky error, else the error of an earlier posted call, which is forgotten by returning it.
CUresult context_error(uint64_t context);
void keep_error(uint64_t context, CUresult error);
void keep_if_sticky(uint64_t context, CUresult error);

}  // namespace nm::client
