// Streams as the client keeps them.
#pragma once

#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

// Unique within the process; `handle` 0 and 1 are the legacy stream.
uint64_t stream_number(uint64_t handle);

// Stream captures begun and not ended in this process. Zero: every capture question is answered here.
int active_captures();
void capture_begins();
void capture_ends();
// A capture that began in the stream ends with it.
void stream_destroyed(uint64_t handle);

}  // namespace nm::client
