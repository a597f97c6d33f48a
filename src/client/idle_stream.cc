#include "client/idle_stream.h"

#include <stdint.h>

#include "client/client.h"
#include "client/context.h"
#include "client/remote_support.h"
#include "client/thread_state.h"

namespace nm::client {
namespace {

// Of the calling thread. `place`: of the call that was answered then; 0: nothing is known.
struct Known {
  uint64_t place, context, stream;
};
thread_local Known t_known{0, 0, 0};

// Nothing was sent after that call. What another thread sent before it is over, too, if it is in the stream at all.
bool is_last(uint64_t place) { return place && place == Client::get()->channel().sent(); }

}  // namespace

void stream_was_idle(CUstream stream) {
  t_known = {thread_state().answered, current_context(), 0};
  if (resolve_stream(stream, &t_known.stream) != CUDA_SUCCESS) t_known.place = 0;
}

bool is_known_idle(CUstream stream) {
  uint64_t handle;
  return is_last(t_known.place) && !Client::get()->strict() && t_known.context == current_context() &&
         resolve_stream(stream, &handle) == CUDA_SUCCESS && handle == t_known.stream;
}

}  // namespace nm::client
