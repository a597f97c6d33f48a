// Copies between the device and memory of the program that is not pinned, where both sides share memory.
//
// The bytes pass through slots that the worker has registered with the device: the program's side is copied here, by
// several cores where that helps, and the device's side by its copy engines, both at once. The device itself writes a
// number behind each copy, so that neither the reuse of a slot nor the arrival of bytes needs an answer of the worker.
#pragma once

#include <cstddef>

#include "cuda_abi.h"

namespace nm::client {

// Both return false if such a copy had better go through the channel, the whole of it: what was done stays right.
//
// Returns when the program's bytes may change.
bool stage_to_device(CUdeviceptr dst, const void* src, size_t size, CUstream stream, CUresult* result);
// Returns when the bytes are there, or with the error of what kept them from coming.
bool stage_from_device(void* dst, CUdeviceptr src, size_t size, CUstream stream, CUresult* result);

}  // namespace nm::client
