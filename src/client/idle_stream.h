// A stream that a thread knows to be idle without asking: it has just waited for a copy in it, and since then this
// process has sent nothing to the server. So a program that reads a number and then synchronises pays for one round
// trip.
#pragma once

#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

class IdleStream {
 public:
  // Made before the waiting call.
  IdleStream();
  // After the call was successful.
  void waited(CUstream stream);
};

// True if `stream`, which is one of the current context, is still known to be idle.
bool is_known_idle(CUstream stream);

}  // namespace nm::client
