// What the generated functions stand on.
#pragma once

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "client/nvml/call.h"
#include "wire/nvml.h"

#define NM_EXPORT __attribute__((visibility("default")))

namespace nm::client::nvml {

template <typename H>
uint64_t raw(H handle) {
  return reinterpret_cast<uint64_t>(handle);
}

// What the server is told of the room that the caller has. False: no count at all.
template <typename N>
bool room(N count, uint64_t* out) {
  if constexpr (std::is_signed_v<N>) {
    if (count < 0) return false;
  }
  *out = std::min<uint64_t>(static_cast<uint64_t>(count), wire::kMaxNvmlElements);
  return true;
}

// A struct of an unknown version has an unknown size, so it cannot travel.
template <typename T>
bool known_version(const T* value, std::initializer_list<unsigned> tags) {
  return std::find(tags.begin(), tags.end(), value->version) != tags.end();
}
template <typename T>
size_t size_of(const T* value) {
  return value->version & 0xffffff;
}

// Exactly `size` bytes, or the reply is malformed.
inline void read_bytes(wire::Reader& in, void* out, size_t size) {
  auto bytes = in.bytes();
  if (bytes.size() != size)
    in.refuse();
  else if (size)
    std::memcpy(out, bytes.data(), size);
}

// At most `room` elements: what the caller's array holds.
template <typename T>
void read_some(wire::Reader& in, T* out, uint64_t room) {
  auto bytes = in.bytes();
  if (bytes.size() % sizeof(T) != 0 || bytes.size() / sizeof(T) > room)
    in.refuse();
  else if (!bytes.empty())
    std::memcpy(static_cast<void*>(out), bytes.data(), bytes.size());
}

// A text and its NUL, in `room` bytes.
inline void read_text(wire::Reader& in, char* out, uint64_t room) {
  auto text = in.string();
  if (in.bad() || text.size() > room) return in.refuse();
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  if (text.size() < room) out[text.size()] = '\0';
}

template <typename T>
void read_number(wire::Reader& in, T* out) {
  uint64_t value = in.u64();
  if (!in.bad()) *out = static_cast<T>(value);
}

template <typename H>
void read_handle(wire::Reader& in, H* out) {
  uint64_t value = in.u64();
  if (!in.bad()) *out = reinterpret_cast<H>(value);
}

}  // namespace nm::client::nvml
