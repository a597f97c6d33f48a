#pragma once

#include <cstdint>

namespace nm::server {

class Session;

// Takes bytes of a transfer off the lanes and forgets them. False: they cannot come any more.
bool drop_lane_bytes(Session& s, uint64_t transfer, uint64_t offset, uint64_t size);

}  // namespace nm::server
