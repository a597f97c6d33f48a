// A stream that a thread knows to be idle without asking: it has just waited for a copy in it, and since then this
// process has sent nothing to the server. So a program that reads a number and then synchronises pays for one round
// trip.
#pragma once

#include "cuda_abi.h"

namespace nm::client {

// The calling thread's last call was answered when nothing was left of what `stream` had been given before.
void stream_was_idle(CUstream stream);

// True if `stream`, which is one of the current context, is still known to be idle.
bool is_known_idle(CUstream stream);

}  // namespace nm::client
