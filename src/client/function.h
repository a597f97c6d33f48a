// What the client knows of kernels: parameter layout and attributes, so that launches and queries need no reply.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_abi.h"
#include "wire/codec.h"
#include "wire/facts.h"

namespace nm::client {

struct Function {
  uint64_t owner = 0;  // module or library
  std::mutex mutex;                 // guards what follows while it is not known
  std::atomic<bool> known = false;  // facts are there and stay as they are
  wire::FunctionFacts facts;
  size_t parameter_bytes = 0;
  std::vector<std::pair<uint64_t, uint64_t>> functions;  // of a kernel: CUfunction by context
};

// Registers what cuModuleGetFunction or cuLibraryGetKernel returned; `blob` may be empty.
void add_function(uint64_t handle, uint64_t owner, const std::vector<uint8_t>& blob);
// A CUfunction or CUkernel, with its facts fetched if they are not there yet.
CUresult find_function(uint64_t handle, Function** out);

}  // namespace nm::client
