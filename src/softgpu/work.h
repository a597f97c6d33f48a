// A piece of work for the device: what a stream executes and what a graph node holds. Immutable, so that a stream, a
// graph, its clones and its executable forms share one.
#pragma once

#include <cuda_abi.h>

#include <memory>

namespace nm::softgpu {

class Context;
class Driver;

class Work : public std::enable_shared_from_this<Work> {
 public:
  virtual ~Work() = default;
  virtual CUgraphNodeType type() const = 0;
  // On the thread that executes the stream; `context` is the stream's. An error ends the context's usefulness.
  virtual CUresult run(Context& context) const = 0;
  // Under the driver's lock, when a graph that holds this is launched: what to execute this time. A record node draws
  // its event's new state here, so that work enqueued after the launch can wait for it.
  virtual std::shared_ptr<const Work> at_launch(Driver&) const { return shared_from_this(); }
};
using WorkPtr = std::shared_ptr<const Work>;

class EmptyWork final : public Work {
 public:
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_EMPTY; }
  CUresult run(Context&) const override { return CUDA_SUCCESS; }
};

}  // namespace nm::softgpu
