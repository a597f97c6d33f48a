#include "client/idle_stream.h"

#include "client/client.h"
#include "client/context.h"
#include "client/remote_support.h"

namespace nm::client {
namespace {

// Of the calling thread. `sent` counts what the process had sent then; 0: nothing is known.
struct Known {
  uint64_t sent, context, stream;
};
thread_local Known t_known{0, 0, 0};

uint64_t sent() { return Client::get()->channel().sent(); }

}  // namespace

IdleStream::IdleStream() { t_known = {sent() + 1, current_context(), 0}; }

void IdleStream::waited(CUstream stream) {
  // Another thread's work may have got in between.
  if (sent() != t_known.sent || resolve_stream(stream, &t_known.stream) != CUDA_SUCCESS) t_known.sent = 0;
}

bool is_known_idle(CUstream stream) {
  uint64_t handle;
  return t_known.sent && t_known.sent == sent() && !Client::get()->strict() && t_known.context == current_context() &&
         resolve_stream(stream, &handle) == CUDA_SUCCESS && handle == t_known.stream;
}

}  // namespace nm::client
