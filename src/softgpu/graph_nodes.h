// From the API's node parameters to work, and back.
#pragma once

#include "softgpu/copy.h"
#include "softgpu/event.h"
#include "softgpu/graph_memory.h"
#include "softgpu/graph_work.h"
#include "softgpu/host_function.h"
#include "softgpu/launch.h"
#include "softgpu/memop.h"

namespace nm::softgpu {

// Each checks its parameters and fails with INVALID_VALUE, or INVALID_HANDLE for what is no handle.
WorkPtr kernel_work(ContextCall& c, const CUDA_KERNEL_NODE_PARAMS& params, const LaunchAttributes& attributes = {});
WorkPtr copy_work(Call& c, const CUDA_MEMCPY3D& params, CUcontext context);
WorkPtr fill_work(Call& c, const CUDA_MEMSET_NODE_PARAMS& params, CUcontext context);
WorkPtr child_work(Call& c, CUgraph graph);
WorkPtr record_work(Call& c, CUevent event);
WorkPtr wait_work(Call& c, CUevent event);
std::shared_ptr<const GraphAllocWork> alloc_work(ContextCall& c, const CUDA_MEM_ALLOC_NODE_PARAMS& wanted);
WorkPtr free_work(Call& c, CUdeviceptr address);
WorkPtr memop_work(Call& c, const CUDA_BATCH_MEM_OP_NODE_PARAMS& params);
// Any of them. An allocation's address is written to the parameters.
WorkPtr work_of(ContextCall& c, CUgraphNodeParams& params);

// The node's work as its kind; INVALID_VALUE when it is of another.
template <class W>
const W& work_as(const Node& node) {
  const auto* work = dynamic_cast<const W*>(node.work.get());
  if (!work) fail(CUDA_ERROR_INVALID_VALUE);
  return *work;
}
CUDA_KERNEL_NODE_PARAMS kernel_params(const KernelWork& work);
// The same kernel with one attribute changed.
WorkPtr with_attribute(const KernelWork& work, CUlaunchAttributeID id, const CUlaunchAttributeValue& value);

NodePtr node_of(Call& c, CUgraphNode handle);
GraphPtr graph_of(Call& c, CUgraph handle);

}  // namespace nm::softgpu
