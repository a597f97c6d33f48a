// A stream: a FIFO of work and the thread that executes it. The thread starts with the first work that is not done at
// once and ends with the stream.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "softgpu/fence.h"
#include "softgpu/handles.h"
#include "softgpu/work.h"

namespace nm::softgpu {

class Capture;
class Node;

// A node that the next captured work follows.
struct CaptureEdge {
  std::shared_ptr<Node> node;
  CUgraphEdgeData data{};
};

class Stream final : public Object {
 public:
  static constexpr Kind kKind = Kind::stream;
  Stream(std::shared_ptr<Context> context, uint64_t id, unsigned flags, int priority);
  ~Stream() override;

  const std::shared_ptr<Context> context;
  const uint64_t id;
  const unsigned flags;
  const int priority;
  bool blocking() const { return (flags & CU_STREAM_NON_BLOCKING) == 0; }

  // Under the driver's lock. Appends `work` (may be null: nothing but an end to wait for), to run after everything
  // before it in this stream and after `after`.
  std::shared_ptr<Completion> push(WorkPtr work, std::vector<std::shared_ptr<Fence>> after);
  // The end of the last work, null when there is none unfinished. Under the driver's lock.
  std::shared_ptr<Completion> pending();
  // Lets the stream's own thread execute what was pushed.
  void kick();
  // Instead of kick(), by a caller that waits: runs the work that ends with `until` on this thread if it is the only
  // one and nothing hinders it, and else waits for the stream's thread to get there. Without the driver's lock.
  void finish(const std::shared_ptr<Completion>& until);

  // Under the driver's lock.
  std::shared_ptr<Capture> capture;
  std::vector<CaptureEdge> capture_edges;
  std::vector<CUgraphNode> reported_nodes;  // of the last question about the capture
  std::vector<CUgraphEdgeData> reported_data;
  CUlaunchAttributeValue attributes[20] = {};

 private:
  struct Op {
    WorkPtr work;
    std::vector<std::shared_ptr<Fence>> after;
    std::shared_ptr<Completion> completion;
  };
  // Shared with the thread, which may outlive the Stream by the work that is left.
  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Op> ops;
    bool busy = false;     // an operation is being executed
    bool started = false;  // the thread exists
    bool closed = false;
  };
  static void execute(const std::shared_ptr<Context>& context, Op& op);
  static void serve(std::shared_ptr<Context> context, std::shared_ptr<Queue> queue);
  void wake_thread(std::unique_lock<std::mutex>& lock);

  std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
  std::shared_ptr<Completion> last_;
};
using StreamPtr = std::shared_ptr<Stream>;

}  // namespace nm::softgpu
