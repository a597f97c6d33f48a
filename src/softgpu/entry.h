// How every exported function begins and ends. Inside the library a call that cannot go on throws Failure with the
// CUresult to answer: sixty kinds of look-ups can fail at any depth, and the exported function is the one place that
// turns it into the return value. No exception passes it.
#pragma once

#include <cuda_abi.h>

#include <memory>
#include <mutex>
#include <new>

namespace nm::softgpu {

struct Failure {
  CUresult code;
};

[[noreturn]] inline void fail(CUresult code) { throw Failure{code}; }
inline void require(bool holds, CUresult code = CUDA_ERROR_INVALID_VALUE) {
  if (!holds) fail(code);
}
inline void check(CUresult code) {
  if (code != CUDA_SUCCESS) fail(code);
}

// The driver's one lock: everything that the API changes is changed under it. What waits (for a stream, a kernel, a
// host function) lets go of it first; the threads that execute work take it only for moments.
using Lock = std::unique_lock<std::mutex>;

template <class Body>
CUresult guarded(Body&& body) noexcept {
  try {
    body();
    return CUDA_SUCCESS;
  } catch (const Failure& failure) {
    return failure.code;
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (...) {
    return CUDA_ERROR_UNKNOWN;
  }
}

}  // namespace nm::softgpu
