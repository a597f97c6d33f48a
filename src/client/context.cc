#include "client/context.h"

#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "client/call.h"
#include "client/capture.h"
#include "client/client.h"
#include "client/graph_slots.h"
#include "client/handles.h"
#include "client/host_writes.h"
#include "client/local_storage.h"
#include "client/memory.h"
#include "client/moved_pages.h"
#include "client/thread_state.h"
#include "remote.h"

namespace nm::client {

struct ContextState {
  uint64_t handle = 0;
  CUdevice device = 0;
  bool primary = false;
  std::atomic<bool> live{false};
  std::atomic<int> sticky{0};
  std::atomic<int> deferred{0};
  // Primary contexts: retained how often, created with which flags. Guarded by g_mutex.
  int retained = 0;
  unsigned flags = 0;
  unsigned api_version = 3020;
  uint64_t green = 0;  // the green context that it stands for
};

namespace {

using State = ContextState;

std::mutex g_mutex;
std::vector<State*>& states() {  // never shrinks and never dies: threads hold pointers into it
  static auto* all = new std::vector<State*>;
  return *all;
}
State g_none;  // what happens without a current context

State* current() {
  auto& stack = thread_state().contexts;
  return stack.empty() ? nullptr : stack.back();
}

State* find(uint64_t handle) {
  if (State* s = current(); s && s->handle == handle) return s;
  std::lock_guard lock(g_mutex);
  for (State* s : states()) {
    if (s->handle == handle && s->live) return s;
  }
  return nullptr;
}

State* add(uint64_t handle, CUdevice device, bool primary) {
  auto* s = new State;
  s->handle = handle;
  s->device = device;
  s->primary = primary;
  s->live = true;
  std::lock_guard lock(g_mutex);
  states().push_back(s);
  return s;
}

State* primary_state(CUdevice device) {
  std::lock_guard lock(g_mutex);
  return device >= 0 && device < static_cast<int>(states().size()) && states()[device]->primary ? states()[device] : nullptr;
}

bool is_sticky(CUresult error) {
  switch (static_cast<int>(error)) {
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
      return true;
    default:
      return false;
  }
}

void set_current(State* s) {
  auto& stack = thread_state().contexts;
  if (stack.empty()) {
    if (s) stack.push_back(s);
  } else if (s) {
    stack.back() = s;
  } else {
    stack.pop_back();
  }
}

// The context goes, and with it what others keep of it.
void leave(uint64_t context) {
  drop_local_storage(context);
  context_destroyed(context);
  forget_host_writes(context);
  leave_graph_slots(context);
}

CUresult bind(CUcontext ctx, State** out) {
  *out = find(as_handle(ctx));
  return *out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult created(CUcontext* out, CUdevice device, unsigned flags, unsigned version) {
  State* s = add(as_handle(*out), device, false);
  s->flags = flags;
  s->api_version = version;
  thread_state().contexts.push_back(s);
  return CUDA_SUCCESS;
}

}  // namespace

uint64_t current_context() {
  State* s = current();
  return s ? s->handle : 0;
}

void create_primary_contexts(int devices) {
  for (int d = 0; d < devices; d++) add(draw_handle(Kind::context), d, true);
}

uint64_t primary_context(CUdevice device) {
  State* s = primary_state(device);
  return s ? s->handle : 0;
}

void adopt_context(uint64_t context, CUdevice device, uint64_t green) {
  if (!context || find(context)) return;
  add(context, device, false)->green = green;
}

void drop_context(uint64_t context) {
  State* s = find(context);
  if (!s || !s->green) return;
  leave(context);
  s->live = false;
}

uint64_t green_context(uint64_t context) {
  State* s = context ? find(context) : nullptr;
  return s ? s->green : 0;
}

bool context_device(uint64_t context, CUdevice* device) {
  State* s = find(context);
  if (s) *device = s->device;
  return s != nullptr;
}

CUresult sticky_error(uint64_t context) {
  State* s = context ? find(context) : nullptr;
  if (!s) return CUDA_SUCCESS;
  if (!s->live.load(std::memory_order_relaxed)) return CUDA_ERROR_CONTEXT_IS_DESTROYED;  // by another thread
  return static_cast<CUresult>(s->sticky.load(std::memory_order_relaxed));
}

CUresult context_error(uint64_t context) {
  State* s = context ? find(context) : &g_none;
  if (!s) return CUDA_SUCCESS;
  if (s != &g_none && !s->live.load(std::memory_order_relaxed)) [[unlikely]] return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (int e = s->sticky.load(std::memory_order_relaxed)) return static_cast<CUresult>(e);
  if (s->deferred.load(std::memory_order_relaxed) == 0) [[likely]] return CUDA_SUCCESS;
  return static_cast<CUresult>(s->deferred.exchange(0));
}

void keep_error(uint64_t context, CUresult error) {
  State* s = context ? find(context) : &g_none;
  if (!s || error == CUDA_SUCCESS) return;
  if (s != &g_none && is_sticky(error)) {
    s->sticky = error;
  } else {
    int none = 0;  // the first one is the cause of the others
    s->deferred.compare_exchange_strong(none, error);
  }
}

void keep_if_sticky(uint64_t context, CUresult error) {
  if (is_sticky(error)) keep_error(context, error);
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

// ---- primary contexts ----

NM_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* ctx, CUdevice dev) {
  if (CUresult e = enter()) return e;
  if (!ctx) return CUDA_ERROR_INVALID_VALUE;
  State* s = primary_state(dev);
  if (!s) return CUDA_ERROR_INVALID_DEVICE;
  bool first;
  {
    std::lock_guard lock(g_mutex);
    first = s->retained == 0;
    s->retained++;
  }
  if (first) {
    if (CUresult e = remote::nm_primary_retain(s->handle, dev)) {
      std::lock_guard lock(g_mutex);
      s->retained--;
      return e;
    }
  } else {
    count_local();
  }
  *ctx = from_handle<CUcontext>(s->handle);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev) {
  if (CUresult e = enter()) return e;
  State* s = primary_state(dev);
  if (!s) return CUDA_ERROR_INVALID_DEVICE;
  {
    std::lock_guard lock(g_mutex);
    if (s->retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--s->retained > 0) return CUDA_SUCCESS;
  }
  leave(s->handle);
  forget_context_memory(s->handle);
  CUresult result = remote::cuDevicePrimaryCtxRelease_v2(dev);
  give_back_pages_of(s->handle);
  s->sticky = 0;
  s->deferred = 0;
  return result;
}

NM_EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice dev) { return cuDevicePrimaryCtxRelease_v2(dev); }

NM_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev) {
  if (CUresult e = enter()) return e;
  State* s = primary_state(dev);
  if (!s) return CUDA_ERROR_INVALID_DEVICE;
  leave(s->handle);
  forget_context_memory(s->handle);
  s->sticky = 0;
  s->deferred = 0;
  {
    std::lock_guard lock(g_mutex);
    s->retained = 0;
  }
  // Outside any context: the current one may be broken, and another.
  Call call(nm::op::cuDevicePrimaryCtxReset_v2);
  call.in_context(0);
  call.args().u64(static_cast<uint64_t>(dev));
  CUresult result = call.wait();
  give_back_pages_of(s->handle);
  return result;
}

NM_EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice dev) { return cuDevicePrimaryCtxReset_v2(dev); }

NM_EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned flags) {
  if (CUresult e = enter()) return e;
  State* s = primary_state(dev);
  if (!s) return CUDA_ERROR_INVALID_DEVICE;
  CUresult result = remote::cuDevicePrimaryCtxSetFlags_v2(dev, flags);
  if (result == CUDA_SUCCESS) {
    std::lock_guard lock(g_mutex);
    s->flags = flags;
  }
  return result;
}

NM_EXPORT CUresult cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned flags) {
  return cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

NM_EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned* flags, int* active) {
  if (CUresult e = enter()) return e;
  if (!flags || !active) return CUDA_ERROR_INVALID_VALUE;
  State* s = primary_state(dev);
  if (!s) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard lock(g_mutex);
  *flags = s->flags;
  *active = s->retained > 0;
  count_local();
  return CUDA_SUCCESS;
}

// ---- contexts of the program's own ----

NM_EXPORT CUresult cuCtxCreate_v2(CUcontext* ctx, unsigned flags, CUdevice dev) {
  if (CUresult e = remote::cuCtxCreate_v2(ctx, flags, dev)) return e;
  return created(ctx, dev, flags, 3020);
}

NM_EXPORT CUresult cuCtxCreate_v3(CUcontext* ctx, CUexecAffinityParam* params, int count, unsigned flags, CUdevice dev) {
  if (count == 0) return cuCtxCreate_v2(ctx, flags, dev);
  if (count < 0 || count > 16 || !params) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = remote::nm_context_create(ctx, params, count * sizeof *params, flags, dev)) return e;
  return created(ctx, dev, flags, 3020);
}

NM_EXPORT CUresult cuCtxCreate_v4(CUcontext* ctx, CUctxCreateParams* params, unsigned flags, CUdevice dev) {
  if (!params) return cuCtxCreate_v2(ctx, flags, dev);
  if (params->cigParams) return not_supported("cuCtxCreate_v4 with CIG parameters");
  return cuCtxCreate_v3(ctx, params->execAffinityParams, params->numExecAffinityParams, flags, dev);
}

NM_EXPORT CUresult cuCtxDestroy_v2(CUcontext ctx) {
  if (CUresult e = enter()) return e;
  State* s;
  if (CUresult e = bind(ctx, &s)) return e;
  if (s->primary || s->green) return CUDA_ERROR_INVALID_CONTEXT;
  leave(s->handle);
  forget_context_memory(s->handle);
  s->sticky = 0;  // a broken context can be destroyed
  CUresult result = remote::cuCtxDestroy_v2(ctx);
  give_back_pages_of(s->handle);
  s->live = false;
  if (current() == s) thread_state().contexts.pop_back();
  return result;
}

NM_EXPORT CUresult cuCtxDestroy(CUcontext ctx) { return cuCtxDestroy_v2(ctx); }

NM_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext ctx) {
  if (CUresult e = enter()) return e;
  State* s;
  if (CUresult e = bind(ctx, &s)) return e;
  thread_state().contexts.push_back(s);
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuCtxPushCurrent(CUcontext ctx) { return cuCtxPushCurrent_v2(ctx); }

NM_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext* ctx) {
  if (CUresult e = enter()) return e;
  State* s = current();
  if (!s) return CUDA_ERROR_INVALID_CONTEXT;
  thread_state().contexts.pop_back();
  if (ctx) *ctx = from_handle<CUcontext>(s->handle);
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuCtxPopCurrent(CUcontext* ctx) { return cuCtxPopCurrent_v2(ctx); }

NM_EXPORT CUresult cuCtxSetCurrent(CUcontext ctx) {
  if (CUresult e = enter()) return e;
  count_local();
  if (!ctx) {
    set_current(nullptr);
    return CUDA_SUCCESS;
  }
  State* s;
  if (CUresult e = bind(ctx, &s)) return e;
  set_current(s);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuCtxGetCurrent(CUcontext* ctx) {
  if (CUresult e = enter()) return e;
  if (!ctx) return CUDA_ERROR_INVALID_VALUE;
  *ctx = from_handle<CUcontext>(current_context());
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
  if (CUresult e = enter()) return e;
  if (!device) return CUDA_ERROR_INVALID_VALUE;
  State* s = current();
  if (!s) return CUDA_ERROR_INVALID_CONTEXT;
  *device = s->device;
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuCtxGetDevice_v2(CUdevice* device, CUcontext ctx) {
  if (!ctx) return cuCtxGetDevice(device);
  if (CUresult e = enter()) return e;
  if (!device) return CUDA_ERROR_INVALID_VALUE;
  State* s;
  if (CUresult e = bind(ctx, &s)) return e;
  *device = s->device;
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuCtxGetFlags(unsigned* flags) {
  if (CUresult e = enter()) return e;
  return remote::cuCtxGetFlags(flags);
}

NM_EXPORT CUresult cuCtxSetFlags(unsigned flags) {
  CUresult result = remote::cuCtxSetFlags(flags);
  if (result == CUDA_SUCCESS && current()) {
    std::lock_guard lock(g_mutex);
    current()->flags = flags;
  }
  return result;
}

// Unique within the process, which is all that its users compare.
NM_EXPORT CUresult cuCtxGetId(CUcontext ctx, unsigned long long* id) {
  if (CUresult e = enter()) return e;
  if (!id) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle = ctx ? as_handle(ctx) : current_context();
  if (!handle || !find(handle)) return ctx ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_CONTEXT;
  *id = handle & 0xffff'ffff'ffffull;
  count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned* version) {
  if (CUresult e = enter()) return e;
  if (!version) return CUDA_ERROR_INVALID_VALUE;
  State* s = ctx ? find(as_handle(ctx)) : current();
  if (!s) return CUDA_ERROR_INVALID_CONTEXT;
  *version = s->api_version;
  count_local();
  return CUDA_SUCCESS;
}

// Attach and Detach count uses of a context; they are deprecated and never did more than this.
NM_EXPORT CUresult cuCtxAttach(CUcontext* ctx, unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult e = cuCtxGetCurrent(ctx)) return e;
  return *ctx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

NM_EXPORT CUresult cuCtxDetach(CUcontext ctx) {
  if (CUresult e = enter()) return e;
  State* s;
  return bind(ctx, &s);
}

NM_EXPORT CUresult cuCtxSynchronize() { return cuCtxSynchronize_v2(nullptr); }

NM_EXPORT CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
  CUresult result = remote::cuCtxSetLimit(limit, value);
  forget_limits();
  return result;
}

NM_EXPORT CUresult cuCtxGetLimit(size_t* value, CUlimit limit) {
  if (CUresult e = enter()) return e;
  if (!value) return CUDA_ERROR_INVALID_VALUE;
  if (recall_limit(current_context(), limit, value)) {
    count_local();
    return CUDA_SUCCESS;
  }
  CUresult result = remote::cuCtxGetLimit(value, limit);
  if (result == CUDA_SUCCESS) remember_limit(current_context(), limit, *value);
  return result;
}

}  // extern "C"
