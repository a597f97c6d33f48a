// printf of kernels: a format and a packed argument buffer, both in device memory, to text.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "softgpu/ptx/exec.h"

namespace nm::softgpu::ptx {

// Nothing, after Exec::raise(), when format, buffer or a %s string is not readable. `arguments` counts conversions.
std::optional<std::string> format_device(Exec& x, uint32_t lane, uint64_t format, uint64_t buffer, int& arguments);

// A NUL-terminated string of device memory, at most 64 KiB.
std::optional<std::string> device_string(Exec& x, uint32_t lane, uint64_t address);

}  // namespace nm::softgpu::ptx
