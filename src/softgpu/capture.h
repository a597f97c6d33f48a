// Stream capture: what is enqueued becomes nodes of a graph instead. All under the driver's lock.
#pragma once

#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "softgpu/graph.h"
#include "softgpu/stream.h"

namespace nm::softgpu {

class Capture : public std::enable_shared_from_this<Capture> {
 public:
  uint64_t id = 0;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id thread;
  GraphPtr graph;
  bool into_existing = false;  // cuStreamBeginCaptureToGraph: the graph is the program's
  Stream* origin = nullptr;
  std::set<Stream*> streams;  // that take part, the origin among them
  bool invalid = false;

  // Ends the capture in every stream.
  void finish();
};

// The mode of this thread, for calls that a capture elsewhere may forbid.
CUstreamCaptureMode& thread_capture_mode();

// Appends a node after the stream's last ones; fails if the capture is invalid.
NodePtr capture_work(Stream& stream, WorkPtr work);
// The stream takes part no longer; a capture that loses a stream this way is invalid.
void leave_capture(Stream& stream);
// Makes the capture invalid and fails with `code`.
[[noreturn]] void fail_capture(Capture& capture, CUresult code);
// Work in the legacy stream would have to wait for a blocking stream that captures.
void fail_if_legacy_breaks_capture(Stream& stream);
// For calls that may do more than enqueue (allocate, free, wait): forbidden while this thread captures, or another one
// in global mode, unless this thread's mode allows it.
void fail_if_capturing(Driver& driver);
// For calls that wait for the whole context.
void fail_if_context_captures(Context& context);

}  // namespace nm::softgpu
