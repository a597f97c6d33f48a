// An image's way to the server: no more of it than the devices need, and not at all if the server has it
// (docs/decisions/0011-image-cache.md). In shared memory bytes cost next to nothing, and the image goes as it is.
#pragma once

#include <cstdint>
#include <vector>

#include "client/image.h"
#include "client/module.h"

namespace nm::client {

// Loads `image` as `handle`; `how` is a LoadForm and flags. `status` is the driver's answer and `logs` what it wrote.
CUresult load_image(uint64_t handle, uint32_t how, const JitOptions& options, const Image& image, CUresult* status,
                    std::vector<uint8_t>* logs);

}  // namespace nm::client
