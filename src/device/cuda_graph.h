// A CUDA graph: what a function enqueues on the device's stream, captured once and launched as one.
#pragma once

#include <functional>

#include "device/cuda_api.h"
#include "device/device.h"

namespace nm::device {

class CudaGraph {
 public:
  // `work` only enqueues: nothing in it may wait, allocate or load a module.
  CudaGraph(Device& device, const std::function<void()>& work) : stream_(cuda_stream(device)) {
    CU(cuStreamBeginCapture_v2, stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    CUgraph graph = nullptr;
    try {
      work();
    } catch (...) {
      cuda_api().cuStreamEndCapture(stream_, &graph);
      if (graph) cuda_api().cuGraphDestroy(graph);
      throw;
    }
    CU(cuStreamEndCapture, stream_, &graph);
    const CUresult result = cuda_api().cuGraphInstantiateWithFlags(&executable_, graph, 0);
    cuda_api().cuGraphDestroy(graph);
    if (result) cuda_failed("cuGraphInstantiateWithFlags", result);
  }
  ~CudaGraph() { cuda_api().cuGraphExecDestroy(executable_); }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  void launch() { CU(cuGraphLaunch, executable_, stream_); }

 private:
  CUstream stream_;
  CUgraphExec executable_ = nullptr;
};

}  // namespace nm::device
