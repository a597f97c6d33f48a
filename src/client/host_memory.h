// Host memory that the device can reach: pinned, mapped, registered and managed.
//
// On the server's own host it lies in a memfd that both sides map at one address: the device works on the program's own
// bytes. Over a network the worker keeps a mirror; what the program changed is sent before a launch, what the device
// changed is fetched when the program synchronises. A mirror that no launch can have seen is left alone.
#pragma once

#include <cstdint>

#include "client/mirror.h"
#include "cuda_abi.h"

namespace nm::client {

// Pinned memory for the client's own needs, usable in every context; goes with the current one. Freed as the program's.
CUresult allocate_host_memory(void** out, size_t size);
CUresult free_host_memory(uint64_t base);

// Whole pages that lie in a file here, from `offset` on: the worker maps them at the same address, registers them and
// says where the device sees them. ALREADY_MAPPED: it has something else there.
CUresult share_host_memory(uint64_t address, uint64_t size, uint64_t offset, unsigned flags, bool managed, int fd,
                           CUdeviceptr* device_pointer);

}  // namespace nm::client
