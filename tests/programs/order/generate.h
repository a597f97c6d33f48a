// A random program from a seed: as much at the same time as can be, and all of it ordered where it has to be.
#pragma once

#include <string>

#include "order/program.h"

namespace order {

// `without`: kinds of memory and of operations that stay out, by name and with commas: pinned, registered, mapped,
// registered-mapped, pooled, graphs, host-functions. Every other seed's program changes with it.
Program generate(uint64_t seed, int operations, const std::string& without = "");

}  // namespace order
