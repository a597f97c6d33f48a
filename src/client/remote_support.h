// What the generated stubs stand on.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "client/call.h"
#include "client/client.h"
#include "client/handles.h"
#include "client/host_memory.h"
#include "wire_ops.h"

namespace nm::client {

template <typename T>
void read_pod(wire::Reader& in, T* out) {
  T value;
  if (in.pod(&value)) *out = value;
}

template <typename T>
void read_pod_or_skip(wire::Reader& in, T* out) {
  T value;
  if (in.pod(&value) && out) *out = value;
}

// Exactly `size` bytes, or the reply is malformed.
inline void read_bytes(wire::Reader& in, void* out, size_t size) {
  auto bytes = in.bytes();
  if (bytes.size() == size) {
    if (size) std::memcpy(out, bytes.data(), size);
  } else {
    in.refuse();
  }
}

// At most `room` elements: what the caller's array holds. Handles that there are not are null.
template <typename T>
void read_array(wire::Reader& in, T* out, size_t room) {
  auto bytes = in.bytes();
  if (bytes.size() % sizeof(T) != 0 || bytes.size() / sizeof(T) > room) {
    in.refuse();
    return;
  }
  if (!bytes.empty()) std::memcpy(static_cast<void*>(out), bytes.data(), bytes.size());
  if constexpr (std::is_pointer_v<T>) std::fill(out + bytes.size() / sizeof(T), out + room, nullptr);
}

// For the rows marked `syncs`.
inline CUresult synchronised(CUresult result) { return result == CUDA_SUCCESS ? after_synchronise() : result; }

}  // namespace nm::client
