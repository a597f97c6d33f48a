// Pieces of a launch that graphs need, too.
#pragma once

#include <vector>

#include "client/function.h"
#include "cuda_abi.h"

namespace nm::client {

struct LaunchShape {
  unsigned grid[3], block[3], shared;
};

// `params` (one pointer per parameter) or `extra` (one buffer) as one packed buffer, laid out as the kernel wants it.
CUresult pack_parameters(Function& f, void** params, void** extra, std::vector<uint8_t>* out);

CUresult check_launch_attributes(const CUlaunchAttribute* attributes, unsigned count);

}  // namespace nm::client
