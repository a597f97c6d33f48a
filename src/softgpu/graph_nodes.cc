#include "softgpu/graph_nodes.h"

namespace nm::softgpu {
namespace {

ContextPtr context_of(Call& c, CUcontext handle) {
  if (!handle) return current_context();
  return c.driver.handles.get<Context>(handle, CUDA_ERROR_INVALID_CONTEXT);
}

}  // namespace

NodePtr node_of(Call& c, CUgraphNode handle) { return c.driver.handles.get<Node>(handle, CUDA_ERROR_INVALID_VALUE); }
GraphPtr graph_of(Call& c, CUgraph handle) { return c.driver.handles.get<Graph>(handle, CUDA_ERROR_INVALID_VALUE); }

WorkPtr kernel_work(ContextCall& c, const CUDA_KERNEL_NODE_PARAMS& p, const LaunchAttributes& attributes) {
  FunctionPtr function;
  if (p.func) {
    function = function_of(c, p.func);
  } else {
    const auto kernel = c.driver.handles.get<KernelHandle>(p.kern);
    function = kernel->library.instance(c, context_of(c, p.ctx))->function(kernel->name);
  }
  const LaunchShape shape{
      {p.gridDimX, p.gridDimY, p.gridDimZ}, {p.blockDimX, p.blockDimY, p.blockDimZ}, p.sharedMemBytes};
  return std::make_shared<KernelWork>(function, shape, pack_params(function->info(), p.kernelParams, p.extra),
                                      attributes);
}

CUDA_KERNEL_NODE_PARAMS kernel_params(const KernelWork& work) {
  CUDA_KERNEL_NODE_PARAMS p = {};
  p.func = handle_of<CUfunction>(work.function.get());
  p.gridDimX = work.shape.grid[0];
  p.gridDimY = work.shape.grid[1];
  p.gridDimZ = work.shape.grid[2];
  p.blockDimX = work.shape.block[0];
  p.blockDimY = work.shape.block[1];
  p.blockDimZ = work.shape.block[2];
  p.sharedMemBytes = work.shape.shared;
  p.kernelParams = work.param_pointers.empty() ? nullptr : work.param_pointers.data();
  p.ctx = handle_of<CUcontext>(work.module->context.get());
  return p;
}

WorkPtr with_attribute(const KernelWork& work, CUlaunchAttributeID id, const CUlaunchAttributeValue& value) {
  LaunchAttributes attributes = work.attributes;
  attributes.set(id, value);
  return std::make_shared<KernelWork>(work.function, work.shape, work.params, attributes);
}

WorkPtr copy_work(Call& c, const CUDA_MEMCPY3D& params, CUcontext context) {
  return std::make_shared<CopyWork>(c.driver, params, context_of(c, context));
}

WorkPtr fill_work(Call& c, const CUDA_MEMSET_NODE_PARAMS& params, CUcontext context) {
  return std::make_shared<FillWork>(c.driver, params, context_of(c, context));
}

WorkPtr child_work(Call& c, CUgraph handle) {
  const auto graph = graph_of(c, handle);
  require(!graph->has_memory_nodes(), CUDA_ERROR_NOT_SUPPORTED);
  return ChildGraphWork::of(graph->clone(true));
}

WorkPtr record_work(Call& c, CUevent event) { return std::make_shared<RecordWork>(c.driver.handles.get<Event>(event)); }

WorkPtr wait_work(Call& c, CUevent event) { return std::make_shared<WaitWork>(c.driver.handles.get<Event>(event)); }

WorkPtr free_work(Call& c, CUdeviceptr address) {
  const auto allocation = c.driver.ranges.at(address);
  require(allocation && allocation->kind == MemoryKind::graph);
  return std::make_shared<FreeWork>(c.driver, allocation);
}

WorkPtr memop_work(Call& c, const CUDA_BATCH_MEM_OP_NODE_PARAMS& p) {
  require(p.paramArray != nullptr && p.count > 0 && p.count <= 256);
  return std::make_shared<MemOpWork>(c.driver, std::vector(p.paramArray, p.paramArray + p.count), p.flags,
                                     context_of(c, p.ctx));
}

WorkPtr work_of(ContextCall& c, CUgraphNodeParams& p) {
  switch (p.type) {
    case CU_GRAPH_NODE_TYPE_KERNEL: {
      const auto& k = p.kernel;
      return kernel_work(c, {k.func, k.gridDimX, k.gridDimY, k.gridDimZ, k.blockDimX, k.blockDimY, k.blockDimZ,
                             k.sharedMemBytes, k.kernelParams, k.extra, k.kern, k.ctx});
    }
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return copy_work(c, p.memcpy.copyParams, p.memcpy.copyCtx);
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      const auto& m = p.memset;
      return fill_work(c, {m.dst, m.pitch, m.value, m.elementSize, m.width, m.height}, m.ctx);
    }
    case CU_GRAPH_NODE_TYPE_HOST:
      return std::make_shared<HostWork>(CUDA_HOST_NODE_PARAMS{p.host.fn, p.host.userData});
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return child_work(c, p.graph.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return std::make_shared<EmptyWork>();
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return wait_work(c, p.eventWait.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return record_work(c, p.eventRecord.event);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC: {
      CUDA_MEM_ALLOC_NODE_PARAMS wanted = {};
      wanted.poolProps = p.alloc.poolProps;
      wanted.accessDescs = p.alloc.accessDescs;
      wanted.accessDescCount = p.alloc.accessDescCount;
      wanted.bytesize = p.alloc.bytesize;
      auto work = alloc_work(c, wanted);
      p.alloc.dptr = work->params.dptr;
      return work;
    }
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      return free_work(c, p.free.dptr);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
      return memop_work(c, {p.memOp.ctx, p.memOp.count, p.memOp.paramArray, p.memOp.flags});
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL:
    case CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT:
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
      fail(CUDA_ERROR_NOT_SUPPORTED);
    default:
      fail(CUDA_ERROR_INVALID_VALUE);
  }
}

std::shared_ptr<const GraphAllocWork> alloc_work(ContextCall& c, const CUDA_MEM_ALLOC_NODE_PARAMS& wanted) {
  require(wanted.poolProps.allocType == CU_MEM_ALLOCATION_TYPE_PINNED && wanted.bytesize > 0);
  require(wanted.poolProps.location.type == CU_MEM_LOCATION_TYPE_DEVICE, CUDA_ERROR_NOT_SUPPORTED);
  require(wanted.poolProps.handleTypes == CU_MEM_HANDLE_TYPE_NONE);
  return GraphAllocWork::make(c, c.driver.device(wanted.poolProps.location.id), wanted.bytesize, &wanted);
}

}  // namespace nm::softgpu
