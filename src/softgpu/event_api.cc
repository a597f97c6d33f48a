// Events: record, wait, query, time.
#include "softgpu/event.h"

#include "softgpu/shared_event.h"

using namespace nm::softgpu;

namespace {

EventPtr event_of(ContextCall& c, CUevent handle) {
  auto event = c.driver.handles.get<Event>(handle);
  if (event->context != c.context) fail_if_unusable(*event->context);
  return event;
}

void record(ContextCall& c, const EventPtr& event, Stream& stream, unsigned flags) {
  require((flags & ~static_cast<unsigned>(CU_EVENT_RECORD_EXTERNAL)) == 0);
  require(event->context == stream.context, CUDA_ERROR_INVALID_HANDLE);
  if (stream.capture) {
    Capture& capture = *stream.capture;
    require(!capture.invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    if (flags & CU_EVENT_RECORD_EXTERNAL) {
      capture_work(stream, std::make_shared<RecordWork>(event));
      return;
    }
    event->captured = true;
    event->capture = stream.capture;
    event->capture_edges = stream.capture_edges;
    return;
  }
  require((flags & CU_EVENT_RECORD_EXTERNAL) == 0, CUDA_ERROR_ILLEGAL_STATE);
  WorkPtr work = event->shared ? event->shared->begin_record() : nullptr;
  event->recorded(c.enqueue(stream, std::move(work)));
}

// A wait inside a capture: for an event of the same capture, or an external one.
void wait_captured(const EventPtr& event, Stream& stream, unsigned flags) {
  if (stream.capture && (flags & CU_EVENT_WAIT_EXTERNAL) != 0) {
    capture_work(stream, std::make_shared<WaitWork>(event));
    return;
  }
  if (!event->captured) {
    if (stream.capture) fail_capture(*stream.capture, CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    return;
  }
  const auto capture = event->capture.lock();
  const bool going_on = capture && capture->origin != nullptr;
  if (!going_on) {
    if (stream.capture) fail_capture(*stream.capture, CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    fail(CUDA_ERROR_CAPTURED_EVENT);
  }
  require(!capture->invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  if (stream.capture && stream.capture != capture) {
    stream.capture->invalid = true;
    fail_capture(*capture, CUDA_ERROR_STREAM_CAPTURE_MERGE);
  }
  if (!stream.capture) {
    // The legacy stream cannot take part: it would drag every other stream in.
    if (stream.context->legacy().get() == &stream) fail_capture(*capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    stream.capture = capture;
    stream.capture_edges.clear();
    capture->streams.insert(&stream);
  }
  for (const auto& edge : event->capture_edges) {
    bool known = false;
    for (const auto& own : stream.capture_edges) known = known || own.node == edge.node;
    if (!known) stream.capture_edges.push_back(edge);
  }
}

void wait(ContextCall& c, const StreamPtr& stream, const EventPtr& event, unsigned flags) {
  require((flags & ~static_cast<unsigned>(CU_EVENT_WAIT_EXTERNAL)) == 0);
  if (stream->capture || event->captured) {
    wait_captured(event, *stream, flags);
    return;
  }
  if (auto fence = event->fence(); fence && !fence->done()) c.enqueue(*stream, nullptr, {std::move(fence)});
}

void fail_if_captured(ContextCall& c, const Event& event) {
  if (event.captured) {
    if (const auto capture = event.capture.lock(); capture && capture->origin) {
      fail_capture(*capture, CUDA_ERROR_CAPTURED_EVENT);
    }
    fail(CUDA_ERROR_CAPTURED_EVENT);
  }
  fail_if_capturing(c.driver);
}

void elapsed(ContextCall& c, float* milliseconds, CUevent start, CUevent end) {
  require(milliseconds != nullptr);
  const auto a = event_of(c, start), b = event_of(c, end);
  require(a->context == b->context && a->timed() && b->timed() && !a->captured && !b->captured && a->point && b->point,
          CUDA_ERROR_INVALID_HANDLE);
  require(a->point->done() && b->point->done(), CUDA_ERROR_NOT_READY);
  fail_if_unusable(*a->context);
  *milliseconds = static_cast<float>(static_cast<double>(b->point->time_ns() - a->point->time_ns()) / 1e6);
}

ContextPtr context_of(Call& c, CUcontext handle) {
  if (!handle) return current_context();
  auto context = c.driver.handles.get<Context>(handle, CUDA_ERROR_INVALID_CONTEXT);
  fail_if_unusable(*context);
  return context;
}

}  // namespace

extern "C" {

CUresult cuEventCreate(CUevent* event, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(event != nullptr && (flags & ~7u) == 0);
    auto object = std::make_shared<Event>(c.context, flags);
    if (flags & CU_EVENT_INTERPROCESS) {
      require((flags & CU_EVENT_DISABLE_TIMING) != 0);
      object->shared = SharedEvent::create();
      require(object->shared != nullptr, CUDA_ERROR_OPERATING_SYSTEM);
    }
    *event = handle_of<CUevent>(object.get());
    c.context->own(std::move(object));
  });
}

CUresult cuEventDestroy_v2(CUevent event) {
  return call([&](Call& c) {
    const auto object = c.driver.handles.get<Event>(event);
    object->context->disown(object.get());
  });
}
CUresult cuEventDestroy(CUevent event) { return cuEventDestroy_v2(event); }

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  return in_context([&](ContextCall& c) {
    const auto e = event_of(c, event);
    record(c, e, *c.stream(stream), flags);
  });
}
CUresult cuEventRecord(CUevent event, CUstream stream) { return cuEventRecordWithFlags(event, stream, 0); }

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return in_context([&](ContextCall& c) {
    const auto s = c.stream(stream);
    wait(c, s, event_of(c, event), flags);
  });
}

CUresult cuEventQuery(CUevent event) {
  return in_context([&](ContextCall& c) {
    const auto e = event_of(c, event);
    fail_if_captured(c, *e);
    if (const auto fence = e->fence()) require(fence->done(), CUDA_ERROR_NOT_READY);
    // Asked again: the fault may have come between the question that began this call and the end of the work.
    fail_if_unusable(*e->context);
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return in_context([&](ContextCall& c) {
    const auto e = event_of(c, event);
    fail_if_captured(c, *e);
    if (auto fence = e->fence()) c.wait({std::move(fence)});
    fail_if_unusable(*e->context);
  });
}

CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return in_context([&](ContextCall& c) { elapsed(c, milliseconds, start, end); });
}
CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return cuEventElapsedTime_v2(milliseconds, start, end);
}

CUresult cuCtxRecordEvent(CUcontext ctx, CUevent event) {
  return call([&](Call& c) {
    const auto context = context_of(c, ctx);
    const auto e = c.driver.handles.get<Event>(event);
    require(e->context == context, CUDA_ERROR_INVALID_HANDLE);
    fail_if_context_captures(*context);
    // The end of everything that is under way, in a place of its own, so that no stream waits for another.
    WorkPtr work = e->shared ? e->shared->begin_record() : nullptr;
    auto end = context->join()->push(std::move(work), context->pending());
    context->join()->kick();
    e->recorded(std::move(end));
  });
}

CUresult cuCtxWaitEvent(CUcontext ctx, CUevent event) {
  return call([&](Call& c) {
    const auto context = context_of(c, ctx);
    const auto e = c.driver.handles.get<Event>(event);
    require(!e->captured, CUDA_ERROR_CAPTURED_EVENT);
    fail_if_context_captures(*context);
    const auto fence = e->fence();
    if (!fence || fence->done()) return;
    for (const auto& stream : context->streams()) {
      stream->push(nullptr, {fence});
      stream->kick();
    }
  });
}

}  // extern "C"
