// Making and ending allocations.
#pragma once

#include "softgpu/context.h"

namespace nm::softgpu {

// A new allocation of the call's context, not yet known to anybody; its id and owner are set.
AllocationPtr new_allocation(ContextCall& c, uint64_t begin, uint64_t size, MemoryKind kind);
// Device memory, or OUT_OF_MEMORY. Memory that pools keep, and memory whose asynchronous free is under way, counts as
// free: it is taken back first.
std::shared_ptr<Device::Space> take_or_fail(Call& c, Device& device, uint64_t bytes, uint64_t align);
// Waits until no work in any context can touch memory that is about to end.
void quiesce(Call& c);

}  // namespace nm::softgpu
