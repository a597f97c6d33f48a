// Host memory of which the worker keeps a copy: what the program changed is sent before the device can look, what the
// device changed is fetched when the program has waited for it. A mirror that the device cannot have seen is left alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "client/memory.h"
#include "cuda_abi.h"

namespace nm::client {

// `exposed`: made to be used by kernels. Others become exposed when a launch names them or their pointer is asked for.
void add_mirror(const MemoryRange& range, bool exposed);
void expose_mirror(uint64_t base);
// True if changes are carried both ways all the time, also while a kernel runs.
bool is_watched(uint64_t base);

// Sends what changed in mirrors that the launch with these packed parameters may read.
void before_launch(const uint8_t* parameters, size_t size);
// Before the device reads from or writes to a range by anything but a kernel.
void before_device_access(uint64_t device_address, size_t size);
// After the program has waited for the device: fetches what the device changed in mirrors.
CUresult after_synchronise();

// Bytes that the server sent for an asynchronous copy to mirrored memory.
bool receive_pushed_memory(uint64_t address, uint64_t size, const std::function<bool(void*, uint64_t)>& read);

void drop_mirror(uint64_t base);

}  // namespace nm::client
