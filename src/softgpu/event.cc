#include "softgpu/event.h"

#include "softgpu/shared_event.h"

namespace nm::softgpu {
namespace {

class ReachPoint final : public Work {
 public:
  ReachPoint(std::shared_ptr<Completion> point, WorkPtr shared)
      : point_(std::move(point)), shared_(std::move(shared)) {}
  // A run that stops early (a fault, a destroyed context) must not leave anybody waiting.
  ~ReachPoint() override {
    if (!point_->done()) point_->finish();
  }
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_EVENT_RECORD; }
  CUresult run(Context& context) const override {
    if (shared_) shared_->run(context);
    point_->finish();
    return CUDA_SUCCESS;
  }

 private:
  std::shared_ptr<Completion> point_;
  WorkPtr shared_;
};

class AwaitFence final : public Work {
 public:
  AwaitFence(std::shared_ptr<Fence> fence) : fence_(std::move(fence)) {}
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_WAIT_EVENT; }
  CUresult run(Context& context) const override {
    while (!context.cancelled() && !fence_->wait_for(50)) {
    }
    return CUDA_SUCCESS;
  }

 private:
  std::shared_ptr<Fence> fence_;
};

}  // namespace

std::shared_ptr<Fence> Event::fence() {
  if (shared) return shared->fence();
  return point;
}

void Event::recorded(std::shared_ptr<Completion> completion) {
  captured = false;
  capture.reset();
  capture_edges.clear();
  point = std::move(completion);
}

WorkPtr RecordWork::at_launch(Driver&) const {
  auto point = std::make_shared<Completion>();
  event->recorded(point);
  return std::make_shared<ReachPoint>(std::move(point), event->shared ? event->shared->begin_record() : nullptr);
}

WorkPtr WaitWork::at_launch(Driver&) const {
  auto fence = event->fence();
  if (!fence) return std::make_shared<EmptyWork>();
  return std::make_shared<AwaitFence>(std::move(fence));
}

}  // namespace nm::softgpu
