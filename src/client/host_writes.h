// Host memory that the device is about to fill: by asynchronous copies to memory of which the server has a mirror, and
// by graphs. In CUDA such bytes are there for whatever follows in the stream; here they come to the program first and
// then have to go back. So who sends host memory to the server waits for those that fill it, and for nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

// A number for the write; it is expected until it is over. `slot`: of a graph's output, 0: none. kOnLanes: the bytes do
// not come through the channel.
inline constexpr uint64_t kOnLanes = ~uint64_t{0};
uint64_t expect_host_write(const void* first, size_t size, CUstream stream, uint64_t slot = 0);
void host_write_is_over(uint64_t write);
// The bytes of a copy have come: of the oldest one of this range.
void host_write_has_come(uint64_t first, uint64_t size);
// The context has ended and its work with it.
void forget_host_writes(uint64_t context);

// Returns when every write that was expected of the range is over, except those to that slot. An error is that of the
// work that writes.
CUresult wait_for_host_writes(const void* first, size_t size, uint64_t but_for_slot = 0);

// The same for all that copies (not graphs) write.
CUresult wait_for_host_copies();

}  // namespace nm::client
