// What the device answers when it is asked what it can do.
#pragma once

#include <cuda_abi.h>

#include <optional>

#include "softgpu/device.h"

namespace nm::softgpu {

// Empty: there is no such attribute.
std::optional<int> device_attribute(const Device& device, CUdevice_attribute attribute);

// Bytes of one array element; zero for a format or channel count that arrays do not have.
size_t element_bytes(CUarray_format format, unsigned channels);

}  // namespace nm::softgpu
