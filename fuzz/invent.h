// Values that a null driver gives out: handles that are pointers to nothing, and ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace nm::fuzz {

inline uint64_t g_invented = 0;  // begins anew for every input

template <typename T>
T invent() {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<T>(0x10000 + 64 * ++g_invented);
  } else if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<T>(1);
  } else {
    T value;
    std::memset(static_cast<void*>(&value), 0, sizeof value);
    return value;
  }
}

}  // namespace nm::fuzz
