// Contexts that the program makes, the thread's stack of them, and their settings.
#include <algorithm>

#include "softgpu/capture.h"
#include "softgpu/context.h"

using namespace nm::softgpu;

namespace {

constexpr unsigned kFlagsMask = CU_CTX_FLAGS_MASK;

void require_flags(unsigned flags) {
  const unsigned schedule = flags & CU_CTX_SCHED_MASK;
  require((flags & ~kFlagsMask) == 0 && (schedule & (schedule - 1)) == 0);
}

void create(Call& c, CUcontext* out, unsigned flags, CUdevice dev, unsigned api_version) {
  require(out != nullptr);
  Device& device = c.driver.device(dev);
  require_flags(flags);
  auto context = Context::make(c.driver, device, false);
  context->start(flags, c.lock);
  context->api_version = api_version;
  c.driver.handles.add(context);
  context_stack().push_back(context);
  *out = handle_of<CUcontext>(context.get());
}

ContextPtr live_context(Call& c, CUcontext handle) {
  auto context = c.driver.handles.get<Context>(handle, CUDA_ERROR_INVALID_CONTEXT);
  return context;
}

// `handle`, or the current context where it is null.
ContextPtr context_or_current(Call& c, CUcontext handle) {
  if (!handle) return current_context();
  auto context = live_context(c, handle);
  fail_if_unusable(*context);
  return context;
}

void pop(Call&, CUcontext* out) {
  auto& stack = context_stack();
  require(!stack.empty(), CUDA_ERROR_INVALID_CONTEXT);
  if (out) *out = handle_of<CUcontext>(stack.back().get());
  stack.pop_back();
}

void destroy(Call& c, CUcontext handle) {
  auto context = live_context(c, handle);
  require(!context->primary && context->alive, CUDA_ERROR_INVALID_CONTEXT);
  auto& stack = context_stack();
  if (!stack.empty() && stack.back() == context) stack.pop_back();
  context->stop(c.lock);
}

void synchronize(Call& c, const ContextPtr& context) {
  fail_if_context_captures(*context);
  const auto fences = context->pending();
  c.lock.unlock();
  for (const auto& fence : fences) fence->wait();
  c.lock.lock();
  fail_if_unusable(*context);
}

size_t& limit_of(Context& context, CUlimit limit) {
  switch (limit) {
    case CU_LIMIT_STACK_SIZE:
      return context.limits.stack;
    case CU_LIMIT_PRINTF_FIFO_SIZE:
      return context.limits.printf_fifo;
    case CU_LIMIT_MALLOC_HEAP_SIZE:
      return context.limits.malloc_heap;
    case CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH:
      return context.limits.sync_depth;
    case CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT:
      return context.limits.pending_launches;
    case CU_LIMIT_MAX_L2_FETCH_GRANULARITY:
      return context.limits.l2_fetch;
    case CU_LIMIT_PERSISTING_L2_CACHE_SIZE:
      return context.limits.persisting_l2;
    default:
      fail(limit <= CU_LIMIT_CIG_SHMEM_FALLBACK_ENABLED ? CUDA_ERROR_UNSUPPORTED_LIMIT : CUDA_ERROR_INVALID_VALUE);
  }
}

}  // namespace

extern "C" {

CUresult cuCtxCreate_v2(CUcontext* ctx, unsigned flags, CUdevice dev) {
  return call([&](Call& c) { create(c, ctx, flags, dev, 3020); });
}

CUresult cuCtxCreate_v3(CUcontext* ctx, CUexecAffinityParam* params_array, int num_params, unsigned flags,
                        CUdevice dev) {
  return call([&](Call& c) {
    require(num_params >= 0 && (num_params == 0) == (params_array == nullptr));
    require(num_params == 0, CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY);
    create(c, ctx, flags, dev, 3020);
  });
}

CUresult cuCtxCreate_v4(CUcontext* ctx, CUctxCreateParams* ctx_create_params, unsigned flags, CUdevice dev) {
  return call([&](Call& c) {
    if (ctx_create_params) {
      require(ctx_create_params->numExecAffinityParams == 0, CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY);
      require(ctx_create_params->cigParams == nullptr, CUDA_ERROR_NOT_SUPPORTED);
    }
    create(c, ctx, flags, dev, 3020);
  });
}

CUresult cuCtxDestroy_v2(CUcontext ctx) {
  return call([&](Call& c) { destroy(c, ctx); });
}
CUresult cuCtxDestroy(CUcontext ctx) { return cuCtxDestroy_v2(ctx); }

CUresult cuCtxAttach(CUcontext* ctx, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(ctx != nullptr && flags == 0);
    *ctx = handle_of<CUcontext>(c.context.get());
  });
}
CUresult cuCtxDetach(CUcontext ctx) { return cuCtxDestroy_v2(ctx); }

CUresult cuCtxGetCurrent(CUcontext* ctx) {
  return call([&](Call&) {
    require(ctx != nullptr);
    const auto& stack = context_stack();
    *ctx = stack.empty() ? nullptr : handle_of<CUcontext>(stack.back().get());
  });
}

CUresult cuCtxSetCurrent(CUcontext ctx) {
  return call([&](Call& c) {
    auto& stack = context_stack();
    if (!ctx) {
      if (!stack.empty()) stack.pop_back();
      return;
    }
    auto context = live_context(c, ctx);
    if (stack.empty()) stack.emplace_back();
    stack.back() = std::move(context);
  });
}

CUresult cuCtxPushCurrent_v2(CUcontext ctx) {
  return call([&](Call& c) { context_stack().push_back(live_context(c, ctx)); });
}
CUresult cuCtxPushCurrent(CUcontext ctx) { return cuCtxPushCurrent_v2(ctx); }

CUresult cuCtxPopCurrent_v2(CUcontext* ctx) {
  return call([&](Call& c) { pop(c, ctx); });
}
CUresult cuCtxPopCurrent(CUcontext* ctx) { return cuCtxPopCurrent_v2(ctx); }

CUresult cuCtxGetDevice_v2(CUdevice* device, CUcontext ctx) {
  return call([&](Call& c) {
    require(device != nullptr);
    const auto& stack = context_stack();
    require(ctx || !stack.empty(), CUDA_ERROR_INVALID_CONTEXT);
    const auto context = ctx ? live_context(c, ctx) : stack.back();
    require(ctx || context->alive || context->primary, CUDA_ERROR_CONTEXT_IS_DESTROYED);
    *device = context->device.ordinal;
  });
}
CUresult cuCtxGetDevice(CUdevice* device) { return cuCtxGetDevice_v2(device, nullptr); }

CUresult cuCtxGetId(CUcontext ctx, unsigned long long* ctx_id) {
  return call([&](Call& c) {
    require(ctx_id != nullptr);
    *ctx_id = context_or_current(c, ctx)->id;
  });
}

CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned* version) {
  return call([&](Call& c) {
    require(version != nullptr);
    *version = context_or_current(c, ctx)->api_version;
  });
}

CUresult cuCtxGetFlags(unsigned* flags) {
  return in_context([&](ContextCall& c) {
    require(flags != nullptr);
    *flags = c.context->flags;
  });
}

CUresult cuCtxSetFlags(unsigned flags) {
  return in_context([&](ContextCall& c) {
    require_flags(flags);
    c.context->flags = flags | CU_CTX_MAP_HOST;
  });
}

CUresult cuCtxSynchronize_v2(CUcontext ctx) {
  return call([&](Call& c) {
    require(!in_host_function(), CUDA_ERROR_NOT_PERMITTED);
    synchronize(c, context_or_current(c, ctx));
  });
}
CUresult cuCtxSynchronize(void) { return cuCtxSynchronize_v2(nullptr); }

CUresult cuCtxGetLimit(size_t* pvalue, CUlimit limit) {
  return in_context([&](ContextCall& c) {
    require(pvalue != nullptr);
    *pvalue = limit_of(*c.context, limit);
  });
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
  return in_context([&](ContextCall& c) {
    size_t& current = limit_of(*c.context, limit);
    switch (limit) {
      case CU_LIMIT_STACK_SIZE:
        require(value <= (512u << 10));
        current = (value + 15) & ~size_t{15};
        break;
      case CU_LIMIT_MAX_L2_FETCH_GRANULARITY:
        require(value <= 128);
        current = std::max<size_t>(value, 32);
        break;
      case CU_LIMIT_PERSISTING_L2_CACHE_SIZE:
        fail(CUDA_ERROR_UNSUPPORTED_LIMIT);  // the device has none to set aside
      case CU_LIMIT_MALLOC_HEAP_SIZE:
        require(value <= c.context->device.total());
        current = value;
        // Kernels that run hold the old heap; a new one serves later launches.
        c.context->heap = std::make_shared<ptx::DeviceHeap>(*c.context->memory, value);
        break;
      default:
        current = value;
    }
  });
}

CUresult cuCtxGetCacheConfig(CUfunc_cache* pconfig) {
  return in_context([&](ContextCall& c) {
    require(pconfig != nullptr);
    *pconfig = c.context->cache_config;
  });
}

CUresult cuCtxSetCacheConfig(CUfunc_cache config) {
  return in_context([&](ContextCall& c) {
    require(config <= CU_FUNC_CACHE_PREFER_EQUAL);
    c.context->cache_config = config;
  });
}

CUresult cuCtxGetSharedMemConfig(CUsharedconfig* config) {
  return in_context([&](ContextCall& c) {
    require(config != nullptr);
    *config = c.context->shared_config;
  });
}

CUresult cuCtxSetSharedMemConfig(CUsharedconfig config) {
  return in_context([&](ContextCall&) { require(config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE); });
}

CUresult cuCtxGetStreamPriorityRange(int* least_priority, int* greatest_priority) {
  return in_context([&](ContextCall&) {
    if (least_priority) *least_priority = 0;
    if (greatest_priority) *greatest_priority = -5;
  });
}

CUresult cuCtxResetPersistingL2Cache(void) {
  return in_context([&](ContextCall&) {});
}

CUresult cuCtxGetExecAffinity(CUexecAffinityParam* exec_affinity, CUexecAffinityType type) {
  return in_context([&](ContextCall&) {
    require(exec_affinity != nullptr);
    require(type == CU_EXEC_AFFINITY_TYPE_SM_COUNT, CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY);
    exec_affinity->type = type;
    exec_affinity->param.smCount.val = kMultiprocessors;
  });
}

CUresult cuCtxEnablePeerAccess(CUcontext peer_context, unsigned flags) {
  return in_context([&](ContextCall& c) {
    require(flags == 0);
    const auto peer = live_context(c, peer_context);
    require(peer != c.context && peer->alive, CUDA_ERROR_INVALID_CONTEXT);
    require(&peer->device != &c.context->device, CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
    const uint64_t bit = 1ull << peer->device.ordinal;
    require((c.context->memory->peers.fetch_or(bit) & bit) == 0, CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
  });
}

CUresult cuCtxDisablePeerAccess(CUcontext peer_context) {
  return in_context([&](ContextCall& c) {
    const auto peer = live_context(c, peer_context);
    const uint64_t bit = 1ull << peer->device.ordinal;
    require((c.context->memory->peers.fetch_and(~bit) & bit) != 0, CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    c.driver.ranges.shrink();
  });
}

}  // extern "C"
