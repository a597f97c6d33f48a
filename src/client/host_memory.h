// Host memory that the device can reach: pinned, mapped, registered and managed.
//
// On the server's own host it lies in a memfd that both sides map at one address: the device works on the program's own
// bytes. Over a network the worker keeps a mirror; what the program changed is sent before a launch, what the device
// changed is fetched when the program synchronises. A mirror that no launch can have seen is left alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "cuda_abi.h"

namespace nm::client {

CUresult free_host_memory(uint64_t base);

// Sends what changed in mirrors that the launch with these packed parameters may read.
void before_launch(const uint8_t* parameters, size_t size);
// After the program has waited for the device: fetches what the device changed in mirrors.
CUresult after_synchronise();

// Bytes that the server sent for an asynchronous copy to mirrored memory.
bool receive_pushed_memory(uint64_t address, uint64_t size, const std::function<bool(void*, uint64_t)>& read);

void drop_mirror(uint64_t base);

}  // namespace nm::client
