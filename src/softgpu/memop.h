// Waiting for a value in memory and writing one: what orders a stream against whatever else can reach that memory.
#pragma once

#include <vector>

#include "softgpu/context.h"

namespace nm::softgpu {

class MemOpWork final : public Work {
 public:
  // Checks every operation; INVALID_VALUE where one does not fit.
  MemOpWork(Driver& driver, std::vector<CUstreamBatchMemOpParams> ops, unsigned flags, ContextPtr context = nullptr);
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_BATCH_MEM_OP; }
  CUresult run(Context& context) const override;

  const std::vector<CUstreamBatchMemOpParams> ops;
  const unsigned flags;
  const ContextPtr context;  // of a graph node
};

}  // namespace nm::softgpu
