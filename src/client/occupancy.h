#pragma once

#include <cstdint>

namespace nm::client {

// An attribute of this function or kernel has changed.
void forget_occupancy(uint64_t function);

}  // namespace nm::client
