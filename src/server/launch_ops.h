#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cuda_abi.h"

namespace nm::server {

class Session;

// Launch attributes as they travel, with the client's events replaced by the driver's. False: not well-formed.
bool decode_launch_attributes(Session& s, std::span<const uint8_t> bytes, std::vector<CUlaunchAttribute>* out);

}  // namespace nm::server
