#include "softgpu/graph_memory.h"

namespace nm::softgpu {
namespace {

void raise(std::atomic<uint64_t>& high, uint64_t value) {
  uint64_t seen = high;
  while (seen < value && !high.compare_exchange_weak(seen, value)) {
  }
}

}  // namespace

std::shared_ptr<const GraphAllocWork> GraphAllocWork::make(ContextCall& c, Device& device, size_t bytes,
                                                           const CUDA_MEM_ALLOC_NODE_PARAMS* wanted) {
  require(bytes > 0);
  std::shared_ptr<GraphAllocWork> work(new GraphAllocWork(c.driver, device));
  auto space = take_or_fail(c, device, bytes, 512);
  auto allocation = new_allocation(c, space->address(), bytes, MemoryKind::graph);
  allocation->owner = nullptr;
  allocation->device = device.ordinal;
  allocation->live = false;
  allocation->backing = std::move(space);
  uint64_t access = 1ull << device.ordinal;
  if (wanted) {
    work->params.poolProps = wanted->poolProps;
    require(wanted->accessDescCount == 0 || wanted->accessDescs != nullptr);
    work->access.assign(wanted->accessDescs, wanted->accessDescs + wanted->accessDescCount);
    for (const auto& desc : work->access) {
      require(desc.location.type == CU_MEM_LOCATION_TYPE_DEVICE && desc.flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
      access |= 1ull << c.driver.device(desc.location.id).ordinal;
    }
  } else {
    work->params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    work->params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, device.ordinal};
  }
  allocation->readable = allocation->writable = access;
  work->params.accessDescs = work->access.data();
  work->params.accessDescCount = work->access.size();
  work->params.bytesize = bytes;
  work->params.dptr = allocation->begin;
  work->allocation = allocation;
  raise(device.graph_reserved_high, device.graph_reserved += bytes);
  c.driver.ranges.add(std::move(allocation));
  return work;
}

GraphAllocWork::~GraphAllocWork() {
  if (!allocation) return;
  end_allocation(driver_, allocation);
  driver_.ranges.remove(*allocation);
  device_.graph_reserved -= allocation->size;
}

CUresult GraphAllocWork::run(Context&) const {
  if (!allocation->live.exchange(true)) raise(device_.graph_used_high, device_.graph_used += allocation->size);
  return CUDA_SUCCESS;
}

CUresult FreeWork::run(Context&) const {
  end_allocation(driver_, allocation);
  return CUDA_SUCCESS;
}

}  // namespace nm::softgpu
