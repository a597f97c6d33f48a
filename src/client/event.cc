// Events are the server's; their flags are checked here, and captures follow them from stream to stream (client/capture.cc
// has the calls that do).
#include "client/client.h"
#include "client/context.h"
#include "remote.h"

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuEventCreate(CUevent* event, unsigned flags) {
  if (CUresult e = enter()) return e;
  constexpr unsigned kKnown = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
  if (!event || flags & ~kKnown) return CUDA_ERROR_INVALID_VALUE;
  if ((flags & CU_EVENT_INTERPROCESS) && !(flags & CU_EVENT_DISABLE_TIMING)) return CUDA_ERROR_INVALID_VALUE;
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  return remote::cuEventCreate(event, flags);
}

NM_EXPORT CUresult cuEventDestroy(CUevent event) { return cuEventDestroy_v2(event); }

NM_EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return cuEventElapsedTime_v2(milliseconds, start, end);
}

}  // extern "C"
