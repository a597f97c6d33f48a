// Functions of the program that the server calls (host_function.cc).
#pragma once

#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

// For graphs and user objects: `token` names the function for as long as the process lives.
CUresult keep_host_function(CUhostFn function, void* user_data, uint64_t* token);
bool find_host_function(uint64_t token, CUhostFn* function, void** user_data);

// True while a function of the program may be about to run: one is in a stream, or graphs have some. What it writes is
// not here yet.
bool host_functions_may_run();
// True once a graph or a capture has one.
bool graphs_have_host_functions();

}  // namespace nm::client
