// Green contexts: a part of a device's multiprocessors.
#include <string.h>

#include <map>
#include <mutex>
#include <vector>

#include "client/client.h"
#include "client/context.h"
#include "client/handles.h"
#include "client/stream.h"
#include "remote.h"

namespace nm::client {
namespace {

struct Green {
  CUdevice device = 0;
  uint64_t context = 0;  // of cuCtxFromGreenCtx; 0: nobody asked yet
};

std::mutex g_mutex;
std::map<uint64_t, Green>& greens() {
  static auto* all = new std::map<uint64_t, Green>;
  return *all;
}

bool find_green(CUgreenCtx green, Green* out) {
  std::lock_guard lock(g_mutex);
  auto it = greens().find(as_handle(green));
  if (it == greens().end()) return false;
  *out = it->second;
  return true;
}

}  // namespace
}  // namespace nm::client

using namespace nm::client;

extern "C" {

NM_EXPORT CUresult cuDevSmResourceSplitByCount(CUdevResource* result, unsigned* groups, const CUdevResource* input,
                                               CUdevResource* remaining, unsigned use_flags, unsigned min_count) {
  if (CUresult e = enter()) return e;
  if (!groups || !input) return CUDA_ERROR_INVALID_VALUE;
  const unsigned room = result ? *groups : 0;
  unsigned number = 0;
  std::vector<uint8_t> parts;
  CUdevResource rest;
  if (CUresult e = remote::nm_resource_split(input, *groups, result != nullptr, remaining != nullptr, use_flags,
                                             min_count, &number, &parts, &rest)) {
    return e;
  }
  if (parts.size() > room * sizeof *result) {
    Client::get()->channel().fail("it sent more resources than were asked for");
    return CUDA_ERROR_UNKNOWN;
  }
  if (!parts.empty()) memcpy(result, parts.data(), parts.size());
  if (remaining) *remaining = rest;
  *groups = number;
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuGreenCtxCreate(CUgreenCtx* green, CUdevResourceDesc desc, CUdevice device, unsigned flags) {
  if (CUresult e = remote::cuGreenCtxCreate(green, desc, device, flags)) return e;
  std::lock_guard lock(g_mutex);
  greens()[as_handle(*green)] = {device, 0};
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuGreenCtxDestroy(CUgreenCtx green) {
  if (CUresult e = remote::cuGreenCtxDestroy(green)) return e;
  Green gone;
  if (find_green(green, &gone)) drop_context(gone.context);
  std::lock_guard lock(g_mutex);
  greens().erase(as_handle(green));
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuCtxFromGreenCtx(CUcontext* context, CUgreenCtx green) {
  if (CUresult e = enter()) return e;
  Green known;
  if (!context) return CUDA_ERROR_INVALID_VALUE;
  if (!find_green(green, &known)) return CUDA_ERROR_INVALID_CONTEXT;
  if (!known.context) {
    if (CUresult e = remote::cuCtxFromGreenCtx(context, green)) return e;
    known.context = as_handle(*context);
    adopt_context(known.context, known.device, as_handle(green));
    std::lock_guard lock(g_mutex);
    greens()[as_handle(green)] = known;
  } else {
    count_local();
  }
  *context = from_handle<CUcontext>(known.context);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuGreenCtxStreamCreate(CUstream* stream, CUgreenCtx green, unsigned flags, int priority) {
  if (CUresult e = enter()) return e;
  Green known;
  if (!stream || flags != CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
  if (!find_green(green, &known)) return CUDA_ERROR_INVALID_CONTEXT;
  if (CUresult e = clamp_priority(&priority)) return e;
  if (CUresult e = remote::cuGreenCtxStreamCreate(stream, green, flags, priority)) return e;
  CUcontext context = nullptr, plain = nullptr;
  CUgreenCtx of_stream = nullptr;
  if (CUresult e = remote::nm_stream_contexts(*stream, &context, &plain, &of_stream)) {
    remote::cuStreamDestroy_v2(*stream);
    return e;
  }
  if (as_handle(context) != primary_context(known.device))
    adopt_context(as_handle(context), known.device, as_handle(green));
  add_stream(as_handle(*stream), {as_handle(context), as_handle(plain), as_handle(green), flags, priority});
  return CUDA_SUCCESS;
}

}  // extern "C"
