// MD5 on the host, of a message that fits one block: what MD5Hash's results are checked against.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace nm::workload::shoc {

// As four numbers; the digest's bytes are theirs, each with the lowest byte first. At most 55 bytes.
std::array<uint32_t, 4> md5(std::span<const uint8_t> message);

}  // namespace nm::workload::shoc
