// What of a fat binary the devices at hand can use.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "client/image.h"

namespace nm::client {

struct Architecture {
  uint32_t major, minor;
};

// A fat binary with those entries that one of `devices` may be given: for each device the machine code of the nearest
// architecture at or below its own, in every variant that runs there, and all PTX that it can compile, unless there is
// machine code of exactly its architecture for every device and `keep_ptx` is false. What is of another kind stays.
// Empty: it has to go whole, because it is no fat binary as we know them, nothing in it can be left out, or nothing
// would be left.
std::vector<uint8_t> needed_part(const Image& image, std::span<const Architecture> devices, bool keep_ptx);

// A fat binary most of whose bytes the compiler compressed.
bool holds_compressed(const Image& image);

}  // namespace nm::client
