#include "client/stream.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "client/capture.h"
#include "client/client.h"
#include "client/context.h"
#include "client/handles.h"
#include "client/idle_stream.h"
#include "client/remote_support.h"
#include "client/side_table.h"
#include "client/thread_state.h"
#include "remote.h"

namespace nm::client {
namespace {

constexpr uint64_t kLegacy = 1, kPerThread = 2;  // CU_STREAM_LEGACY, CU_STREAM_PER_THREAD
constexpr unsigned kKnownFlags = CU_STREAM_NON_BLOCKING;

struct Stream : StreamFacts {
  uint64_t number = 0;
};

SideTable<Stream>& streams() {
  static auto* table = new SideTable<Stream>;
  return *table;
}
std::atomic<uint64_t> g_numbers{16};

thread_local int t_per_thread_depth = 0;

// Each thread has one default stream of its own per context, made when it is first used. A thread that ends leaves them
// here, and the next one that makes a stream destroys them: an ending thread makes no calls.
std::mutex g_orphans_mutex;
std::vector<uint64_t>& orphans() {
  static auto* all = new std::vector<uint64_t>;
  return *all;
}
void leave_streams(const std::map<uint64_t, uint64_t>& by_context) {
  std::lock_guard lock(g_orphans_mutex);
  for (auto [context, stream] : by_context) orphans().push_back(stream);
}

void destroy_orphans() {
  std::vector<uint64_t> gone;
  {
    std::lock_guard lock(g_orphans_mutex);
    gone.swap(orphans());
  }
  for (uint64_t stream : gone) {
    if (!is_live(Kind::stream, stream)) continue;
    stream_destroyed(stream);
    remote::cuStreamDestroy_v2(from_handle<CUstream>(stream));
  }
}

// What cuStreamGetCtx_v2 calls the context: none where there is a green one.
uint64_t plain_context(uint64_t context) { return green_context(context) ? 0 : context; }

CUresult create(uint64_t* out, unsigned flags, int priority) {
  if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (flags & ~kKnownFlags) return CUDA_ERROR_INVALID_VALUE;
  destroy_orphans();
  if (CUresult e = clamp_priority(&priority)) return e;
  CUstream stream;
  if (CUresult e = remote::cuStreamCreateWithPriority(&stream, flags, priority)) return e;
  *out = as_handle(stream);
  uint64_t context = current_context();
  add_stream(*out, {context, plain_context(context), green_context(context), flags, priority});
  return CUDA_SUCCESS;
}

CUresult own_stream(uint64_t* out) {
  uint64_t context = current_context();
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  on_thread_end(leave_streams);
  auto [it, added] = thread_state().default_streams.try_emplace(context, 0);
  if (added || !is_live(Kind::stream, it->second)) {
    if (CUresult e = create(&it->second, CU_STREAM_DEFAULT, 0)) {
      thread_state().default_streams.erase(it);
      return e;
    }
  }
  *out = it->second;
  return CUDA_SUCCESS;
}

// Of an argument that names a stream: a description, also of the legacy stream of the current context.
CUresult describe(CUstream stream, Stream* out) {
  if (CUresult e = enter()) return e;
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  count_local();
  if (handle <= kLegacy) {
    if (!current_context()) return CUDA_ERROR_INVALID_CONTEXT;
    uint64_t context = current_context();
    *out = {{context, plain_context(context), green_context(context), 0, 0}, stream_number(0)};
    return CUDA_SUCCESS;
  }
  Stream* s = streams().find(handle);
  if (!s) return CUDA_ERROR_INVALID_HANDLE;
  *out = *s;
  return CUDA_SUCCESS;
}

}  // namespace

void add_stream(uint64_t handle, const StreamFacts& facts) { streams().put(handle, {facts, g_numbers++}); }

CUresult clamp_priority(int* priority) {
  static int least = 0, greatest = 0;
  if (*priority && !greatest) {
    if (CUresult e = remote::cuCtxGetStreamPriorityRange(&least, &greatest)) return e;
  }
  *priority = std::clamp(*priority, greatest, least);
  return CUDA_SUCCESS;
}

PerThreadDefault::PerThreadDefault() { t_per_thread_depth++; }
PerThreadDefault::~PerThreadDefault() { t_per_thread_depth--; }

CUresult resolve_stream(CUstream stream, uint64_t* out) {
  uint64_t s = as_handle(stream);
  if (s == kPerThread || (s == 0 && t_per_thread_depth)) return own_stream(out);
  *out = s;
  if (s <= kLegacy || is_live(Kind::stream, s)) return CUDA_SUCCESS;
  return CUDA_ERROR_INVALID_HANDLE;
}

uint64_t stream_number(uint64_t handle) {
  if (handle <= kLegacy) return kLegacy;
  Stream* s = streams().find(handle);
  return s ? s->number : 0;
}

uint64_t stream_context(uint64_t handle) {
  Stream* s = streams().find(handle);
  return s ? s->context : 0;
}

}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuStreamSynchronize(CUstream stream) {
  if (CUresult e = enter()) return e;
  if (is_known_idle(stream)) {
    count_local();
    return context_error(current_context());
  }
  return synchronised(remote::cuStreamSynchronize(stream));
}


NM_EXPORT CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  if (CUresult e = enter()) return e;
  if (!stream) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle;
  if (CUresult e = create(&handle, flags, priority)) return e;
  *stream = from_handle<CUstream>(handle);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned flags) { return cuStreamCreateWithPriority(stream, flags, 0); }

NM_EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  if (CUresult e = enter()) return e;
  if (as_handle(stream) <= kPerThread) return CUDA_ERROR_INVALID_HANDLE;
  stream_destroyed(as_handle(stream));
  return remote::cuStreamDestroy_v2(stream);
}

NM_EXPORT CUresult cuStreamDestroy(CUstream stream) { return cuStreamDestroy_v2(stream); }

NM_EXPORT CUresult cuStreamGetCtx(CUstream stream, CUcontext* ctx) {
  if (!ctx) return CUDA_ERROR_INVALID_VALUE;
  Stream s;
  if (CUresult e = describe(stream, &s)) return e;
  *ctx = from_handle<CUcontext>(s.context);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext* ctx, CUgreenCtx* green) {
  if (!ctx || !green) return CUDA_ERROR_INVALID_VALUE;
  Stream s;
  if (CUresult e = describe(stream, &s)) return e;
  *ctx = from_handle<CUcontext>(s.plain);
  *green = from_handle<CUgreenCtx>(s.green);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamGetGreenCtx(CUstream stream, CUgreenCtx* green) {
  if (!green) return CUDA_ERROR_INVALID_VALUE;
  Stream s;
  if (CUresult e = describe(stream, &s)) return e;
  *green = from_handle<CUgreenCtx>(s.green);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamGetDevice(CUstream stream, CUdevice* device) {
  if (!device) return CUDA_ERROR_INVALID_VALUE;
  Stream s;
  if (CUresult e = describe(stream, &s)) return e;
  return context_device(s.context, device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

NM_EXPORT CUresult cuStreamGetFlags(CUstream stream, unsigned* flags) {
  if (!flags) return CUDA_ERROR_INVALID_VALUE;
  Stream s;
  if (CUresult e = describe(stream, &s)) return e;
  *flags = s.flags;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamGetPriority(CUstream stream, int* priority) {
  if (!priority) return CUDA_ERROR_INVALID_VALUE;
  Stream s;
  if (CUresult e = describe(stream, &s)) return e;
  *priority = s.priority;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuStreamGetId(CUstream stream, unsigned long long* id) {
  if (!id) return CUDA_ERROR_INVALID_VALUE;
  Stream s;
  if (CUresult e = describe(stream, &s)) return e;
  *id = s.number;
  return CUDA_SUCCESS;
}

}  // extern "C"
