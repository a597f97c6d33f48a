// Memory that a graph allocates and frees. Its address is fixed when the node is made; the memory is there from a run
// of the allocation node to a run of the free node, or to a free outside.
#pragma once

#include <vector>

#include "softgpu/memory.h"
#include "softgpu/pool.h"

namespace nm::softgpu {

class GraphAllocWork final : public Work {
 public:
  static std::shared_ptr<const GraphAllocWork> make(ContextCall& c, Device& device, size_t bytes,
                                                    const CUDA_MEM_ALLOC_NODE_PARAMS* wanted = nullptr);
  ~GraphAllocWork() override;
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEM_ALLOC; }
  CUresult run(Context& context) const override;

  CUDA_MEM_ALLOC_NODE_PARAMS params = {};
  AllocationPtr allocation;
  std::vector<CUmemAccessDesc> access;

 private:
  GraphAllocWork(Driver& driver, Device& device) : driver_(driver), device_(device) {}
  Driver& driver_;
  Device& device_;
};

// Ends an allocation when the stream gets there: cuMemFreeAsync, or a graph's free node.
class FreeWork final : public Work {
 public:
  FreeWork(Driver& driver, AllocationPtr allocation) : allocation(std::move(allocation)), driver_(driver) {}
  CUgraphNodeType type() const override { return CU_GRAPH_NODE_TYPE_MEM_FREE; }
  CUresult run(Context& context) const override;
  const AllocationPtr allocation;

 private:
  Driver& driver_;
};

}  // namespace nm::softgpu
