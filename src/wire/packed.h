// Bytes made smaller for a slow network, with LZ4.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace nm::wire {

enum class Packing : uint32_t { none = 0, lz4 = 1 };

// What comes out may be so many times as large as what came in: who sends little cannot have much memory taken.
inline constexpr uint64_t kMostUnpacked = 64;

// Empty: it would not become smaller by an eighth, or by more than may be unpacked.
std::vector<uint8_t> pack(std::span<const uint8_t> bytes);
// Nothing if it is damaged, or not `full_size` bytes that were packed.
std::optional<std::vector<uint8_t>> unpack(std::span<const uint8_t> packed, uint64_t full_size);

}  // namespace nm::wire
