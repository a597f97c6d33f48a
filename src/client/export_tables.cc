#include "client/export_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <array>
#include <atomic>
#include <utility>
#include <vector>

#include "client/client.h"
#include "client/context.h"
#include "client/handles.h"
#include "client/identity.h"
#include "client/local_storage.h"
#include "client/module.h"
#include "client/stream.h"

namespace nm::client {
namespace {

// Each slot has a function of its own, so that a trace names the one that was called.
template <size_t Slot>
CUresult unknown_slot() {
  Client* client = Client::get();
  if (client && client->traced()) fprintf(stderr, "nearmetal: [%u] called slot %zu of an export table\n", thread_number(), Slot);
  return CUDA_ERROR_NOT_SUPPORTED;
}
constexpr size_t kSlots = 128;  // more than any table has
using Slot = CUresult (*)();
template <size_t... I>
constexpr std::array<Slot, kSlots> unknown_slots(std::index_sequence<I...>) {
  return {&unknown_slot<I>...};
}
constexpr std::array<Slot, kSlots> kUnknownSlots = unknown_slots(std::make_index_sequence<kSlots>());

template <typename F>
uint64_t address(F* function) {
  return reinterpret_cast<uint64_t>(function);
}

uint64_t context_or_current(CUcontext ctx) { return ctx ? as_handle(ctx) : current_context(); }

// ---- the runtime's own table ----

// The handle of the primary context, without retaining it: a later retain gives the same one.
CUresult primary_context_of(CUcontext* out, CUdevice device) {
  if (CUresult e = enter()) return e;
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  uint64_t handle = primary_context(device);
  if (!handle) return CUDA_ERROR_INVALID_DEVICE;
  *out = from_handle<CUcontext>(handle);
  return CUDA_SUCCESS;
}
CUresult module_from_wrapper(CUmodule* out, const void* wrapper) { return cuModuleLoadFatBinary(out, wrapper); }
CUresult module_from_header(const void* header, CUmodule* out) { return cuModuleLoadFatBinary(out, header); }
CUresult module_done(const void*) { return CUDA_SUCCESS; }
CUresult preload_compilers() { return CUDA_SUCCESS; }

// ---- buffers that tools would subscribe with: all zero ----

constexpr size_t kHookBuffer = 1024, kHookBuffer2 = 14;
void* g_hooks[kHookBuffer];
void* g_hooks2[kHookBuffer2];
void hooks(void** buffer, size_t* count) {
  *buffer = g_hooks;
  *count = kHookBuffer;
}
void hooks2(void** buffer, size_t* count) {
  *buffer = g_hooks2;
  *count = kHookBuffer2;
}

// ---- per-context storage ----

CUresult storage_put(CUcontext ctx, void* key, void* value, StorageDestructor destructor) {
  uint64_t context = context_or_current(ctx);
  return context ? put_local_storage(context, key, value, destructor) : CUDA_ERROR_INVALID_CONTEXT;
}
CUresult storage_delete(CUcontext ctx, void* key) {
  uint64_t context = context_or_current(ctx);
  return context ? remove_local_storage(context, key) : CUDA_ERROR_INVALID_CONTEXT;
}
CUresult storage_get(void** value, CUcontext ctx, void* key) {
  uint64_t context = context_or_current(ctx);
  return context ? get_local_storage(context, key, value) : CUDA_ERROR_INVALID_CONTEXT;
}

// ---- what cuBLAS, cuFFT and the tools ask ----

CUresult tools_current_context(CUcontext* out) {
  if (out) *out = from_handle<CUcontext>(current_context());
  return CUDA_SUCCESS;
}
CUresult check_context(CUcontext, uint32_t* flags, void**) {
  if (flags) *flags = 0;
  return CUDA_SUCCESS;
}
CUresult check_more() { return CUDA_SUCCESS; }
CUresult tools_context_id(CUcontext ctx, unsigned long long* id) { return cuCtxGetId(ctx, id); }
// The object is opaque to its users: the stream's wire handle, never null.
constexpr uint64_t kLegacyObject = 0x10;
CUresult tools_stream_object(CUcontext, CUstream stream, void** object) {
  uint64_t handle;
  if (CUresult e = resolve_stream(stream, &handle)) return e;
  if (object) *object = reinterpret_cast<void*>(handle > 2 ? handle : kLegacyObject);
  return CUDA_SUCCESS;
}
CUresult tools_stream_id(CUcontext, void* object, unsigned long long* id) {
  uint64_t handle = reinterpret_cast<uint64_t>(object);
  if (!id) return CUDA_ERROR_INVALID_VALUE;
  *id = stream_number(handle == kLegacyObject ? 0 : handle);
  return CUDA_SUCCESS;
}
// Returns 1, where its users expect success.
int enumerate_functions(CUcontext, CUmodule mod, void (*callback)(void*, CUfunction, uint64_t), void* user) {
  unsigned count = 0;
  if (cuModuleGetFunctionCount(&count, mod) != CUDA_SUCCESS) return 0;
  std::vector<CUfunction> functions(count);
  if (count && cuModuleEnumerateFunctions(functions.data(), count, mod) != CUDA_SUCCESS) return 0;
  for (CUfunction f : functions) callback(user, f, 0);
  return 1;
}

using Uuid = std::array<uint8_t, 16>;
constexpr Uuid kCudart = {0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9};
constexpr Uuid kIntegrity = {0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b,
                             0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1, 0xf2};
constexpr Uuid kHooks = {0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66};
constexpr Uuid kToolsTls = {0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47,
                            0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec, 0xdc};
constexpr Uuid kStorage = {0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93};
constexpr Uuid kChecks = {0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa, 0x7e};
constexpr Uuid kToolsContext = {0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48,
                                0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24, 0xc8, 0xf2};
constexpr Uuid kToolsModule = {0x6e, 0x16, 0x3f, 0xbe, 0xb9, 0x58, 0x44, 0x4d,
                               0x83, 0x5c, 0xe1, 0x82, 0xaf, 0xf1, 0x99, 0x1e};

// cuBLASLt of CUDA 13 calls slot 4 of this one without looking whether it got it, and takes an error for "nothing known".
constexpr Uuid kBlas = {0x17, 0x34, 0xdc, 0x26, 0x80, 0x0d, 0x47, 0x45, 0x87, 0x26, 0xc0, 0xf1, 0xe7, 0xdd, 0x8b, 0xca};

// Sizes are those of driver 580: a user checks that its slot lies inside.
struct Tables {
  uint64_t hooks[0x38 / 8], tls[0x18 / 8], storage[4], checks[0x78 / 8], context[0x2e8 / 8], module[0x318 / 8],
      blas[136 / 8];
  Tables() {
    fill_plain_table(hooks, sizeof hooks);
    hooks[2] = address(&client::hooks);
    hooks[6] = address(&hooks2);
    fill_plain_table(tls, sizeof tls);
    tls[2] = address(&tools_current_context);
    storage[0] = address(&storage_put);
    storage[1] = address(&storage_delete);
    storage[2] = address(&storage_get);
    storage[3] = 0;
    fill_plain_table(checks, sizeof checks);
    checks[2] = address(&check_context);
    checks[3] = address(&check_more);
    fill_plain_table(context, sizeof context);
    context[4] = address(&tools_context_id);
    context[39] = address(&tools_stream_id);
    context[51] = address(&tools_stream_object);
    fill_plain_table(module, sizeof module);
    module[7] = address(&enumerate_functions);
    fill_plain_table(blas, sizeof blas);
  }
};

// The runtime gives up without a reason when it gets no table; this is the reason.
void say_why_no_runtime() {
  static std::atomic<bool> said = false;
  Client* client = Client::get();
  if (!client || getenv("NEARMETAL_QUIET") || said.exchange(true)) return;
  const auto& devices = client->facts().devices;
  fprintf(stderr,
          "nearmetal: the server at %s serves \"%s\", which runs programs of the CUDA driver API. The CUDA runtime in this "
          "program asks for a genuine NVIDIA driver and will not start; serve a real GPU to run it (nearmetal serve, on a "
          "machine that has one).\n",
          client->channel().address().text().c_str(), devices.empty() ? "no device" : devices[0].name.c_str());
}

const uint64_t* table(const Uuid& id) {
  // Both of these exist only where a genuine driver stands at the other end, which is known after cuInit.
  if (id == kCudart || id == kIntegrity) {
    if (!Client::get()) Client::start();
    if (id == kIntegrity) return integrity_table();
    if (!cudart_table()) say_why_no_runtime();
    return cudart_table();
  }
  static const auto* tables = new Tables;
  if (id == kHooks) return tables->hooks;
  if (id == kToolsTls) return tables->tls;
  if (id == kStorage) return tables->storage;
  if (id == kChecks) return tables->checks;
  if (id == kToolsContext) return tables->context;
  if (id == kToolsModule) return tables->module;
  if (id == kBlas) return tables->blas;
  return nullptr;
}

}  // namespace

void fill_plain_table(uint64_t* table, uint64_t size) {
  table[0] = size;
  for (uint64_t i = 1; i < size / 8; i++) table[i] = address(kUnknownSlots[i % kSlots]);
}

void fill_cudart_table(uint64_t* table, uint64_t size) {
  fill_plain_table(table, size);
  table[1] = address(&module_from_wrapper);
  table[2] = address(&primary_context_of);
  table[6] = address(&module_from_wrapper);
  table[7] = address(&module_done);
  table[8] = address(&module_from_header);
  table[12] = address(&preload_compilers);
}

}  // namespace nm::client

extern "C" NM_EXPORT CUresult cuGetExportTable(const void** out, const CUuuid* id) {
  if (!out || !id) return CUDA_ERROR_INVALID_VALUE;
  nm::client::Uuid uuid;
  memcpy(uuid.data(), id, uuid.size());
  const uint64_t* table = nm::client::table(uuid);
  if (auto* client = nm::client::Client::get(); client && client->traced()) {
    fprintf(stderr, "nearmetal: [%u] asked for export table %02x%02x%02x%02x: %s\n", nm::client::thread_number(), uuid[0], uuid[1],
            uuid[2], uuid[3], table ? "given" : "refused");
  }
  if (!table) return CUDA_ERROR_INVALID_VALUE;
  *out = table;
  return CUDA_SUCCESS;
}
