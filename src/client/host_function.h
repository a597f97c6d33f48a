// Functions of the program that the server calls (host_function.cc).
#pragma once

#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

// For graphs and user objects: `token` names the function for as long as the process lives.
CUresult keep_host_function(CUhostFn function, void* user_data, uint64_t* token);
bool find_host_function(uint64_t token, CUhostFn* function, void** user_data);

}  // namespace nm::client
