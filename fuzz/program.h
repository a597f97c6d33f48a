// What programs call and the client does by hand: calls whose replies it reads, keeps or hands on itself.
#pragma once

#include <cstddef>

#include "client/client.h"
#include "client/handles.h"
#include "cuda_abi.h"

namespace nm::fuzz {

class Caller;

extern const size_t kProgramCalls;
// Call `which` of kProgramCalls.
void program_call(size_t which, Caller& c);

}  // namespace nm::fuzz
