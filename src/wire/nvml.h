// What both ends of an NVML session agree on besides api/nvml.toml.
//
// An NVML session is Purpose::nvml, records and replies as in wire/record.h, ids as in api/nvml.toml; nothing is posted
// or pushed, nothing travels as bulk or with a descriptor. A reply's result is an nvmlReturn_t. Its body is empty where
// the server did not call NVML; else it begins with what the call may always change (inout arguments, in order), and
// what the call returns (out arguments, in order) follows if it succeeded.
#pragma once

#include <cstdint>

namespace nm::wire {

// Of any array or text that a client asks for. A client with room for more is told of less room.
inline constexpr uint32_t kMaxNvmlElements = 1u << 16;

// The longest that the server waits for an event in one call: it answers nothing else meanwhile.
inline constexpr uint32_t kMaxNvmlWaitMs = 10;

// Of one question about GPM. NVML 580 knows 333 metrics.
inline constexpr uint32_t kMaxGpmMetrics = 1024;

}  // namespace nm::wire
