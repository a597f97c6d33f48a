// What a new client is told, and the contexts it starts from.
#include <algorithm>
#include <cstring>

#include "server/identity.h"
#include "server/session.h"
#include "server_args.h"
#include "wire/facts.h"

namespace nm::server {
namespace {

constexpr int kAttributes = 256;   // more than any release has
constexpr int kErrorCodes = 1000;  // CUDA_ERROR_UNKNOWN is the last

wire::DeviceFacts describe_device(const DriverTable& d, CUdevice device) {
  wire::DeviceFacts f;
  char text[256] = {};
  if (d.cuDeviceGetName(text, sizeof text, device) == CUDA_SUCCESS) f.name = text;
  CUuuid uuid;
  static_assert(sizeof uuid == 16);
  if (d.cuDeviceGetUuid_v2 && d.cuDeviceGetUuid_v2(&uuid, device) == CUDA_SUCCESS) std::memcpy(f.uuid.data(), &uuid, 16);
  unsigned mask = 0;
  f.luid_result = d.cuDeviceGetLuid ? d.cuDeviceGetLuid(reinterpret_cast<char*>(f.luid.data()), &mask, device)
                                    : CUDA_ERROR_NOT_SUPPORTED;
  f.node_mask = mask;
  size_t bytes = 0;
  if (d.cuDeviceTotalMem_v2(&bytes, device) == CUDA_SUCCESS) f.total_memory = bytes;
  if (d.cuDeviceGetPCIBusId(text, sizeof text, device) == CUDA_SUCCESS) f.pci_bus_id = text;
  f.attribute_result.assign(kAttributes, CUDA_ERROR_INVALID_VALUE);
  f.attribute_value.assign(kAttributes, 0);
  for (int a = 1; a < kAttributes; a++) {
    f.attribute_result[a] = d.cuDeviceGetAttribute(&f.attribute_value[a], static_cast<CUdevice_attribute>(a), device);
  }
  return f;
}

}  // namespace

namespace hand {

CUresult nm_describe(Session& s, args::nm_describe&, outs::nm_describe& o) {
  const DriverTable& d = s.driver();
  // Asked again for its answer: the worker goes on without a device, and this is where its client learns of it.
  if (CUresult e = d.cuInit ? d.cuInit(0) : CUDA_SUCCESS) return e;
  wire::Facts facts;
  if (CUresult e = d.cuDriverGetVersion(&facts.driver_version)) return e;
  CUmoduleLoadingMode mode{};
  if (d.cuModuleGetLoadingMode && d.cuModuleGetLoadingMode(&mode) == CUDA_SUCCESS) facts.loading_mode = mode;
  int count = 0;
  if (CUresult e = d.cuDeviceGetCount(&count)) return e;
  for (int i = 0; i < count; i++) {
    CUdevice device;
    if (CUresult e = d.cuDeviceGet(&device, i)) return e;
    facts.devices.push_back(describe_device(d, device));
  }
  for (int code = 0; code < kErrorCodes; code++) {
    const char *name = nullptr, *text = nullptr;
    if (d.cuGetErrorName(static_cast<CUresult>(code), &name) != CUDA_SUCCESS || !name) continue;
    d.cuGetErrorString(static_cast<CUresult>(code), &text);
    facts.errors.push_back({code, name, text ? text : name});
  }
  facts.identity = identity_place(d);
  wire::Writer out(o.facts);
  write_facts(facts, out);
  return CUDA_SUCCESS;
}

CUresult nm_identity(Session& s, args::nm_identity& a, outs::nm_identity& o) {
  uint64_t words[2] = {0, 0};
  CUresult result = ask_driver(s.driver(), a.version, a.seconds, a.pid, a.thread, words);
  o.words.assign({words[0], words[1]});
  return result;
}

CUresult nm_primary_retain(Session& s, args::nm_primary_retain& a, outs::nm_primary_retain&) {
  CUcontext context;
  if (CUresult e = s.driver().cuDevicePrimaryCtxRetain(&context, a.device)) return e;
  s.primary_contexts()[a.device] = context;
  // The handle is the same for as long as the session lives; the driver's may be another after a reset.
  CUcontext before;
  if (s.tables().context.find(a.handle, &before)) {
    if (before == context) return CUDA_SUCCESS;
    s.tables().context.unbind(a.handle);
  }
  return s.tables().context.bind(a.handle, context) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

namespace {

// Work under way may use memory that goes with the context, so that goes last.
template <typename F>
CUresult destroy(Session& s, CUcontext context, const F& by_driver) {
  if (context) s.leave(context);
  CUresult result = by_driver();
  if (context) s.host_ranges().forget(context);
  return result;
}

CUcontext primary_context(Session& s, CUdevice device) {
  auto it = s.primary_contexts().find(device);
  return it == s.primary_contexts().end() ? nullptr : it->second;
}

}  // namespace

CUresult cuDevicePrimaryCtxRelease_v2(Session& s, args::cuDevicePrimaryCtxRelease_v2& a, outs::cuDevicePrimaryCtxRelease_v2&) {
  // The client counts its own uses; this is the last one.
  return destroy(s, primary_context(s, a.dev), [&] { return s.driver().cuDevicePrimaryCtxRelease_v2(a.dev); });
}

CUresult cuDevicePrimaryCtxReset_v2(Session& s, args::cuDevicePrimaryCtxReset_v2& a, outs::cuDevicePrimaryCtxReset_v2&) {
  return destroy(s, primary_context(s, a.dev), [&] { return s.driver().cuDevicePrimaryCtxReset_v2(a.dev); });
}

CUresult cuCtxDestroy_v2(Session& s, args::cuCtxDestroy_v2& a, outs::cuCtxDestroy_v2&) {
  return destroy(s, a.ctx, [&] { return s.driver().cuCtxDestroy_v2(a.ctx); });
}

CUresult nm_context_create(Session& s, args::nm_context_create& a, outs::nm_context_create& o) {
  std::vector<CUexecAffinityParam> params(a.params.size() / sizeof(CUexecAffinityParam));
  if (!params.empty()) std::memcpy(static_cast<void*>(params.data()), a.params.data(), params.size() * sizeof params[0]);
  if (s.driver().cuCtxCreate_v3) {
    return s.driver().cuCtxCreate_v3(&o.ctx, params.data(), static_cast<int>(params.size()), a.flags, a.device);
  }
  if (!s.driver().cuCtxCreate_v4) return CUDA_ERROR_NOT_SUPPORTED;
  CUctxCreateParams create{};
  create.execAffinityParams = params.data();
  create.numExecAffinityParams = static_cast<int>(params.size());
  return s.driver().cuCtxCreate_v4(&o.ctx, &create, a.flags, a.device);
}

}  // namespace hand
}  // namespace nm::server
