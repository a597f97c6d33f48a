#include "softgpu/capture.h"

#include "softgpu/context.h"

namespace nm::softgpu {

CUstreamCaptureMode& thread_capture_mode() {
  static thread_local CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  return mode;
}

void Capture::finish() {
  for (Stream* stream : streams) {
    stream->capture_edges.clear();
    if (stream != origin) stream->capture = nullptr;
  }
  Stream* const last = origin;
  streams.clear();
  if (last) last->capture = nullptr;  // may end this object's life
}

NodePtr capture_work(Stream& stream, WorkPtr work) {
  Capture& capture = *stream.capture;
  require(!capture.invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  NodePtr node = capture.graph->add(std::move(work), stream.capture_edges);
  stream.capture_edges.assign(1, {node, {}});
  return node;
}

void leave_capture(Stream& stream) {
  const auto capture = stream.capture;
  if (!capture) return;
  capture->streams.erase(&stream);
  capture->invalid = true;
  if (capture->origin == &stream) capture->finish();
  stream.capture = nullptr;
  stream.capture_edges.clear();
}

void fail_capture(Capture& capture, CUresult code) {
  const bool was_invalid = capture.invalid;
  capture.invalid = true;
  fail(was_invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : code);
}

void fail_if_legacy_breaks_capture(Stream& stream) {
  if (stream.context->legacy().get() != &stream) return;
  for (const auto& other : stream.context->streams()) {
    if (other->capture && other->blocking() && !other->capture->invalid) {
      fail_capture(*other->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    }
  }
}

void fail_if_capturing(Driver& driver) {
  const CUstreamCaptureMode own = thread_capture_mode();
  if (own == CU_STREAM_CAPTURE_MODE_RELAXED) return;
  for (const auto& capture : driver.captures()) {
    if (capture->invalid || capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
    const bool mine = capture->thread == std::this_thread::get_id();
    const bool others = own == CU_STREAM_CAPTURE_MODE_GLOBAL && capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (mine || others) fail_capture(*capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  }
}

void fail_if_context_captures(Context& context) {
  for (const auto& stream : context.streams()) {
    if (stream->capture) fail_capture(*stream->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  }
}

}  // namespace nm::softgpu
