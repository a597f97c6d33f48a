#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cuda_abi.h"

namespace nm::server {

class Session;

inline void* const kLaunchPointer = reinterpret_cast<void*>(1);  // CU_LAUNCH_PARAM_BUFFER_POINTER
inline void* const kLaunchSize = reinterpret_cast<void*>(2);     // CU_LAUNCH_PARAM_BUFFER_SIZE

// The client's event in an attribute's value becomes the driver's. False: there is no such event.
bool to_driver(Session& s, CUlaunchAttributeID id, CUlaunchAttributeValue* value);
// And back; null for an event that the client has no handle of.
void to_client(Session& s, CUlaunchAttributeID id, CUlaunchAttributeValue* value);
// Launch attributes as they travel, with the client's events replaced by the driver's. False: not well-formed.
bool decode_launch_attributes(Session& s, std::span<const uint8_t> bytes, std::vector<CUlaunchAttribute>* out);

}  // namespace nm::server
