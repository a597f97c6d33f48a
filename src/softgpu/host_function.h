// The program's own functions as work of a stream.
#pragma once

#include "softgpu/context.h"

namespace nm::softgpu {

class HostWork final : public Work {
 public:
  explicit HostWork(const CUDA_HOST_NODE_PARAMS& params) : params(params) { require(params.fn != nullptr); }
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_HOST; }
  CUresult run(Context&) const override {
    in_host_function() = true;
    params.fn(params.userData);
    in_host_function() = false;
    return CUDA_SUCCESS;
  }
  const CUDA_HOST_NODE_PARAMS params;
};

}  // namespace nm::softgpu
