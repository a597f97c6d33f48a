// Waiting for the device, out of line: the connection goes on while one of the client's threads waits.
#include "server/sync_ops.h"
#include "server/session.h"
#include "server_args.h"

namespace nm::server {
CUresult synchronise_idle(Session& s, CUcontext context, CUstream stream, CUresult result) {
  if (result != CUDA_SUCCESS || !s.owes_synchronisation() || !s.completions().is_idle()) return result;
  if (context != s.context()) {
    if (CUresult e = s.enter(context)) return e;
  }
  return s.driver().cuStreamSynchronize(stream);
}

}  // namespace nm::server

namespace nm::server::hand {

CUresult cuStreamSynchronize(Session& s, args::cuStreamSynchronize& a, outs::cuStreamSynchronize&) {
  // While something is captured, an event would be captured, too, and the driver's own answer comes at once.
  if (s.any_capture()) {
    CUstreamCaptureStatus status;
    CUresult e = s.driver().cuStreamIsCapturing(a.stream, &status);
    if (e != CUDA_SUCCESS || status != CU_STREAM_CAPTURE_STATUS_NONE) return s.driver().cuStreamSynchronize(a.stream);
  }
  CUresult e = s.driver().cuStreamQuery(a.stream);
  if (e == CUDA_SUCCESS && s.owes_synchronisation()) return s.driver().cuStreamSynchronize(a.stream);
  if (e != CUDA_ERROR_NOT_READY) return e;
  auto later = s.later();
  auto done = [&s, later, context = s.context(), stream = a.stream](CUresult result) {
    s.reply(later, synchronise_idle(s, context, stream, result));
  };
  if (!s.any_capture()) {
    s.completions().when_idle(s.context(), {a.stream}, done, Completions::Brings::news);
    return kDeferred;
  }
  e = s.completions().after(s.context(), a.stream, done, Completions::Brings::news);
  return e == CUDA_SUCCESS ? kDeferred : e;
}

CUresult cuEventSynchronize(Session& s, args::cuEventSynchronize& a, outs::cuEventSynchronize&) {
  CUresult e = s.driver().cuEventQuery(a.event);
  if (e != CUDA_ERROR_NOT_READY) return e;
  auto later = s.later();
  s.completions().after_event(s.context(), a.event, [&s, later](CUresult result) { s.reply(later, result); });
  return kDeferred;
}

CUresult cuCtxSynchronize_v2(Session& s, args::cuCtxSynchronize_v2& a, outs::cuCtxSynchronize_v2&) {
  if (a.ctx && a.ctx != s.context()) {
    if (CUresult e = s.enter(a.ctx)) return e;
  }
  if (!s.context() || s.any_capture()) return s.driver().cuCtxSynchronize();
  // The legacy stream waits for all streams that wait for it; those that do not are waited for one by one.
  auto later = s.later();
  auto done = [&s, later, context = s.context()](CUresult result) {
    if (result == CUDA_SUCCESS && s.completions().is_idle()) {
      if (context != s.context()) result = s.enter(context);
      if (result == CUDA_SUCCESS) result = s.driver().cuCtxSynchronize();
    }
    s.reply(later, result);
  };
  StreamUse::Wait wait = s.take_used_streams();
  if (!wait.blocking && wait.events.empty()) {
    s.completions().when_idle(s.context(), std::move(wait.streams), done, Completions::Brings::news);
    return kDeferred;
  }
  CUresult e = s.completions().after_all(s.context(), wait.streams, std::move(wait.events), done);
  return e == CUDA_SUCCESS ? kDeferred : s.driver().cuCtxSynchronize();
}

CUresult cuStreamCreateWithPriority(Session& s, args::cuStreamCreateWithPriority& a,
                                    outs::cuStreamCreateWithPriority& o) {
  CUresult e = s.driver().cuStreamCreateWithPriority(&o.stream, a.flags, a.priority);
  if (e == CUDA_SUCCESS) s.add_stream(o.stream, a.flags);
  return e;
}

}  // namespace nm::server::hand
