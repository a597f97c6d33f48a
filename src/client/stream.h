// Streams as the client keeps them.
#pragma once

#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

// Unique within the process; `handle` 0 and 1 are the legacy stream.
uint64_t stream_number(uint64_t handle);

// A stream that was made by other means than cuStreamCreate.
struct StreamFacts {
  uint64_t context = 0;  // as cuStreamGetCtx tells it
  uint64_t plain = 0;    // as cuStreamGetCtx_v2 tells it
  uint64_t green = 0;    // its green context, if it was made in one
  unsigned flags = 0;
  int priority = 0;
};
void add_stream(uint64_t handle, const StreamFacts& facts);
// The driver's priorities are clamped without a word; this is what becomes of one.
CUresult clamp_priority(int* priority);
// As cuStreamGetCtx tells it; 0: unknown.
uint64_t stream_context(uint64_t handle);

}  // namespace nm::client
