// A handle on the wire and in the client's program: a mark, a kind, a generation and an index.
//
// The client draws indices, so that creating something needs no reply; what the server finds on its own (the nodes of
// a captured graph, a default memory pool) gets an index with kServerBit. Both sides look handles up in arrays.
#pragma once

#include <cstdint>

namespace nm::wire {

inline constexpr uint64_t kHandleMark = 0x4e;  // top byte: no pointer and no small number looks like a handle
inline constexpr uint32_t kServerBit = 1u << 31;
inline constexpr uint32_t kMaxIndex = 1u << 22;  // live handles of one kind in one session

struct Handle {
  uint8_t kind;
  uint16_t generation;
  uint32_t index;

  constexpr uint64_t value() const {
    return kHandleMark << 56 | uint64_t{kind} << 48 | uint64_t{generation} << 32 | index;
  }
  static constexpr bool parse(uint64_t value, Handle* out) {
    if (value >> 56 != kHandleMark) return false;
    *out = {static_cast<uint8_t>(value >> 48), static_cast<uint16_t>(value >> 32), static_cast<uint32_t>(value)};
    return true;
  }
};

}  // namespace nm::wire
