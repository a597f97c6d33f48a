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

}  // namespace nm::client
