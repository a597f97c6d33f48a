#include "client/function.h"

#include <memory>

#include "client/client.h"
#include "client/context.h"
#include "client/handles.h"
#include "client/occupancy.h"
#include "client/side_table.h"
#include "remote.h"

namespace nm::client {
namespace {

// Kernels and functions are two kinds with indices of their own.
using Table = SideTable<std::unique_ptr<Function>>;
Table& table(uint64_t handle) {
  static auto* functions = new Table;
  static auto* kernels = new Table;
  wire::Handle h{};
  wire::Handle::parse(handle, &h);
  return h.kind == static_cast<uint8_t>(Kind::kernel) ? *kernels : *functions;
}

bool take_facts(Function* f, const std::vector<uint8_t>& blob) {
  wire::Reader in(blob);
  wire::FunctionFacts facts;
  if (!read_function_facts(in, &facts)) return false;
  f->parameter_bytes = facts.parameters.empty() ? 0 : facts.parameters.back()[0] + facts.parameters.back()[1];
  f->facts = std::move(facts);
  f->known = true;
  return true;
}

CUresult attribute(uint64_t handle, int number, int* value) {
  Function* f;
  if (CUresult e = find_function(handle, &f)) return e;
  std::lock_guard lock(f->mutex);
  if (number < 0 || static_cast<size_t>(number) >= f->facts.attribute_result.size()) return CUDA_ERROR_INVALID_VALUE;
  if (int e = f->facts.attribute_result[number]) return static_cast<CUresult>(e);
  *value = f->facts.attribute_value[number];
  count_local();
  return CUDA_SUCCESS;
}

// Limits that the driver would refuse at once; the rest is its business.
CUresult check_attribute(uint64_t handle, CUfunction_attribute attrib, int value) {
  Function* f;
  if (CUresult e = find_function(handle, &f)) return e;
  if (attrib != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;
  CUdevice device = 0;
  context_device(current_context(), &device);
  const wire::DeviceFacts* facts = device_facts(device);
  std::lock_guard lock(f->mutex);
  constexpr size_t kLimit = CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
  int limit = facts && facts->attribute_value.size() > kLimit ? facts->attribute_value[kLimit] : 0;
  int fixed = f->facts.attribute_value.size() > CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
                  ? f->facts.attribute_value[CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES] : 0;
  return value < 0 || (limit > 0 && value + fixed > limit) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

void store_attribute(uint64_t handle, int number, int value) {
  forget_occupancy(handle);
  Function* f;
  if (find_function(handle, &f) != CUDA_SUCCESS) return;
  std::lock_guard lock(f->mutex);
  if (number >= 0 && static_cast<size_t>(number) < f->facts.attribute_value.size()) f->facts.attribute_value[number] = value;
}

CUresult parameter(uint64_t handle, size_t index, size_t* offset, size_t* size) {
  if (!offset) return CUDA_ERROR_INVALID_VALUE;
  Function* f;
  if (CUresult e = find_function(handle, &f)) return e;
  std::lock_guard lock(f->mutex);
  if (index >= f->facts.parameters.size()) return CUDA_ERROR_INVALID_VALUE;
  *offset = f->facts.parameters[index][0];
  if (size) *size = f->facts.parameters[index][1];
  count_local();
  return CUDA_SUCCESS;
}

CUresult name_of(uint64_t handle, const char** name) {
  if (!name) return CUDA_ERROR_INVALID_VALUE;
  Function* f;
  if (CUresult e = find_function(handle, &f)) return e;
  *name = f->facts.name.c_str();
  count_local();
  return CUDA_SUCCESS;
}

}  // namespace

void add_function(uint64_t handle, uint64_t owner, const std::vector<uint8_t>& blob) {
  auto f = std::make_unique<Function>();
  f->owner = owner;
  if (!blob.empty()) take_facts(f.get(), blob);
  table(handle).put(handle, std::move(f));
}

CUresult find_function(uint64_t handle, Function** out) {
  if (CUresult e = enter()) return e;
  if (CUresult e = check_handle(Kind::function, handle, true)) return e;
  auto* entry = table(handle).find(handle);
  if (!entry) {
    // A handle that the server found on its own, in a graph for example.
    add_function(handle, 0, {});
    entry = table(handle).find(handle);
    if (!entry) return CUDA_ERROR_INVALID_HANDLE;
  }
  Function* f = entry->get();
  *out = f;
  if (f->known.load(std::memory_order_acquire)) [[likely]] return CUDA_SUCCESS;
  std::vector<uint8_t> blob;
  if (CUresult e = remote::nm_function_info(from_handle<CUfunction>(handle), &blob)) return e;
  std::lock_guard lock(f->mutex);
  if (!f->known && !take_facts(f, blob)) {
    Client::get()->channel().fail("it describes a kernel in a way that cannot be read");
    return CUDA_ERROR_UNKNOWN;
  }
  return CUDA_SUCCESS;
}

}  // namespace nm::client

using namespace nm::client;
using nm::Kind;

extern "C" {

NM_EXPORT CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attrib, CUfunction function) {
  if (!value) return CUDA_ERROR_INVALID_VALUE;
  return attribute(as_handle(function), attrib, value);
}

NM_EXPORT CUresult cuKernelGetAttribute(int* value, CUfunction_attribute attrib, CUkernel kernel, CUdevice dev) {
  if (CUresult e = enter()) return e;
  if (!value) return CUDA_ERROR_INVALID_VALUE;
  CUdevice here;
  // What is known was read for the current device.
  if (context_device(current_context(), &here) && here != dev) return remote::cuKernelGetAttribute(value, attrib, kernel, dev);
  return attribute(as_handle(kernel), attrib, value);
}

NM_EXPORT CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attrib, int value) {
  if (CUresult e = check_attribute(as_handle(function), attrib, value)) return e;
  if (CUresult e = remote::cuFuncSetAttribute(function, attrib, value)) return e;
  store_attribute(as_handle(function), attrib, value);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int value, CUkernel kernel, CUdevice dev) {
  if (CUresult e = check_attribute(as_handle(kernel), attrib, value)) return e;
  if (CUresult e = remote::cuKernelSetAttribute(attrib, value, kernel, dev)) return e;
  store_attribute(as_handle(kernel), attrib, value);
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t* offset, size_t* size) {
  return parameter(as_handle(function), index, offset, size);
}

NM_EXPORT CUresult cuKernelGetParamInfo(CUkernel kernel, size_t index, size_t* offset, size_t* size) {
  return parameter(as_handle(kernel), index, offset, size);
}

NM_EXPORT CUresult cuFuncGetName(const char** name, CUfunction function) { return name_of(as_handle(function), name); }
NM_EXPORT CUresult cuKernelGetName(const char** name, CUkernel kernel) { return name_of(as_handle(kernel), name); }

NM_EXPORT CUresult cuKernelGetLibrary(CUlibrary* library, CUkernel kernel) {
  if (!library) return CUDA_ERROR_INVALID_VALUE;
  Function* f;
  if (CUresult e = find_function(as_handle(kernel), &f)) return e;
  *library = from_handle<CUlibrary>(f->owner);
  return CUDA_SUCCESS;
}

// The same function for the same kernel and context, as CUDA gives it.
NM_EXPORT CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  if (!function) return CUDA_ERROR_INVALID_VALUE;
  Function* f;
  if (CUresult e = find_function(as_handle(kernel), &f)) return e;
  uint64_t context = current_context();
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  std::lock_guard lock(f->mutex);
  for (auto& [ctx, handle] : f->functions) {
    if (ctx == context) {
      *function = from_handle<CUfunction>(handle);
      count_local();
      return CUDA_SUCCESS;
    }
  }
  if (CUresult e = remote::cuKernelGetFunction(function, kernel)) return e;
  auto same = std::make_unique<Function>();
  same->owner = f->owner;
  same->known = f->known.load();
  same->facts = f->facts;
  same->parameter_bytes = f->parameter_bytes;
  table(as_handle(*function)).put(as_handle(*function), std::move(same));
  f->functions.emplace_back(context, as_handle(*function));
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuFuncGetModule(CUmodule* mod, CUfunction function) {
  if (!mod) return CUDA_ERROR_INVALID_VALUE;
  Function* f;
  if (CUresult e = find_function(as_handle(function), &f)) return e;
  if (is_live(Kind::module, f->owner)) {
    *mod = from_handle<CUmodule>(f->owner);
    return CUDA_SUCCESS;
  }
  return cuLibraryGetModule(mod, from_handle<CUlibrary>(f->owner));
}

}  // extern "C"
