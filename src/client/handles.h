// The handles that this process's program holds. Indices are drawn here; the server binds them to the driver's objects.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cuda_abi.h"
#include "wire/handle.h"
#include "wire_ops.h"

namespace nm::client {

uint64_t draw_handle(Kind kind);
// The index may be drawn again afterwards, with another generation.
void release_handle(Kind kind, uint64_t handle);
bool is_live(Kind kind, uint64_t handle);

// CUDA_SUCCESS if `handle` may be sent as a `kind`. A null handle is the driver's business unless `strict`.
// Kernels pass where functions are wanted, as they do in CUDA.
CUresult check_handle(Kind kind, uint64_t handle, bool strict);

template <typename H>
uint64_t as_handle(H handle) {
  if constexpr (!std::is_pointer_v<H>) return handle;
  else return reinterpret_cast<uint64_t>(handle);
}

template <typename H>
H from_handle(uint64_t value) {
  if constexpr (!std::is_pointer_v<H>) return value;
  else return reinterpret_cast<H>(value);
}

// A handle that came from the server; zero stays null.
template <typename H>
H adopt_handle(Kind, uint64_t value) {
  return from_handle<H>(value);
}


}  // namespace nm::client
