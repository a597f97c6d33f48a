// Large copies between the device and the program's memory where both sides share none: over lanes (wire/lanes.h),
// which are joined to the session when the first such copy needs them. NEARMETAL_LANES says how many (0: none).
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

inline constexpr size_t kSmallestOnLanes = 512 << 10;  // bytes; less is there as soon in the ordered channel
// False also while something is captured, or every call is to be answered.
bool can_use_lanes();
// Whether a copy of this size goes over lanes.
inline bool goes_over_lanes(size_t size) { return size >= kSmallestOnLanes && can_use_lanes(); }

// Returns when the program's bytes may change. `pinned`: the program knows that they must not before the copy is done,
// so that this returns at once.
CUresult lane_copy_in(CUdeviceptr dst, const void* src, size_t size, CUstream stream, bool pinned);
// Returns when the bytes are there.
CUresult lane_copy_out(void* dst, CUdeviceptr src, size_t size, CUstream stream);
// Returns at once; the bytes come later, and host_write_has_come() is told.
CUresult lane_push(void* dst, CUdeviceptr src, size_t size, CUstream stream);

// The server says that the bytes of a push are on the lanes: waits for them. False: it knows of no such push.
bool receive_lane_push(uint64_t address, uint64_t transfer);
// For NEARMETAL_STATS.
void lane_bytes(uint64_t* sent, uint64_t* received);
// In a child made by fork: they belong to the parent.
void abandon_lanes();

}  // namespace nm::client
