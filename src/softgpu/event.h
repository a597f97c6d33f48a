// An event: the last point in a stream (or in a graph that is being captured) that it was recorded at.
#pragma once

#include <memory>
#include <vector>

#include "softgpu/capture.h"
#include "softgpu/context.h"
#include "softgpu/fence.h"

namespace nm::softgpu {

class SharedEvent;

class Event final : public Object {
 public:
  static constexpr Kind kKind = Kind::event;
  Event(ContextPtr context, unsigned flags) : Object(kKind), context(std::move(context)), flags(flags) {}

  const ContextPtr context;
  const unsigned flags;
  std::shared_ptr<SharedEvent> shared;  // with other processes: CU_EVENT_INTERPROCESS

  // All under the driver's lock.
  std::shared_ptr<Completion> point;  // of this process's last record; null: never
  // Recorded in a capture: what a wait for it follows there. The capture may be over.
  bool captured = false;
  std::weak_ptr<Capture> capture;
  std::vector<CaptureEdge> capture_edges;

  // What a wait for the event, begun now, waits for. Null: nothing to wait for.
  std::shared_ptr<Fence> fence();
  // The event will have happened when `completion` has.
  void recorded(std::shared_ptr<Completion> completion);
  bool timed() const { return (flags & CU_EVENT_DISABLE_TIMING) == 0; }
};
using EventPtr = std::shared_ptr<Event>;

// Record and wait as work of its own: nodes of a graph, and stream operations with the external flag.
class RecordWork final : public Work {
 public:
  explicit RecordWork(EventPtr event) : event(std::move(event)) {}
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_EVENT_RECORD; }
  CUresult run(Context&) const override { return CUDA_ERROR_UNKNOWN; }  // at_launch() gives what is run
  WorkPtr at_launch(Driver& driver) const override;
  const EventPtr event;
};

class WaitWork final : public Work {
 public:
  explicit WaitWork(EventPtr event) : event(std::move(event)) {}
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_WAIT_EVENT; }
  CUresult run(Context&) const override { return CUDA_ERROR_UNKNOWN; }  // at_launch() gives what is run
  WorkPtr at_launch(Driver& driver) const override;
  const EventPtr event;
};

}  // namespace nm::softgpu
