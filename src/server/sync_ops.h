// What a synchronisation is more than waiting.
#pragma once

#include "cuda_abi.h"

namespace nm::server {

class Session;

// Some things a driver does only when a program synchronises: it writes what kernels printed, it trims memory pools. So
// once `stream` is known to be idle the driver is asked to, if it may have such things to do. That takes it about a
// microsecond. `result` is that of the wait, and what is returned if nothing is to be done.
CUresult synchronise_idle(Session& s, CUcontext context, CUstream stream, CUresult result);

}  // namespace nm::server
