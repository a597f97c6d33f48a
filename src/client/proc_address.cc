// cuGetProcAddress: the bare name and a CUDA version choose the export (api/cuda.toml, `since`).
#include <string.h>

#include <algorithm>
#include <iterator>

#include "client/client.h"
#include "unprototyped.inc"

namespace {

struct Entry {
  const char* name;
  int since;
  void* function;
  void* per_thread;  // null where there is no such variant
};

// Rows are sorted by name, then by version.
#define NM_FN(f) reinterpret_cast<void*>(&f)
const Entry* entries(size_t* count) {
  static const Entry table[] = {
#include "proc_table.inc"
  };
  *count = std::size(table);
  return table;
}
#undef NM_FN

constexpr int kPerThreadSince = 7000;  // no release before 7.0 had per-thread default streams

constexpr uint64_t kPerThread = 2;  // 0: default, 1: legacy; more is refused
enum Status { kFound = 0, kUnknown = 1, kVersionTooLow = 2 };

Status look_up(const char* symbol, int version, uint64_t flags, void** out) {
  size_t count;
  const Entry* table = entries(&count);
  const Entry* end = table + count;
  const Entry* at = std::lower_bound(table, end, symbol, [](const Entry& e, const char* s) { return strcmp(e.name, s) < 0; });
  if (at == end || strcmp(at->name, symbol) != 0) return kUnknown;
  const Entry* best = nullptr;
  for (; at != end && strcmp(at->name, symbol) == 0; ++at) {
    if (at->since <= version) best = at;
  }
  if (!best) return kVersionTooLow;
  *out = flags == kPerThread && best->per_thread && version >= kPerThreadSince ? best->per_thread : best->function;
  return kFound;
}

}  // namespace

extern "C" {

NM_EXPORT CUresult cuGetProcAddress_v2(const char* symbol, void** pfn, int version, unsigned long long flags,
                                       CUdriverProcAddressQueryResult* status) {
  if (!symbol || !pfn || flags > kPerThread) return CUDA_ERROR_INVALID_VALUE;
  *pfn = nullptr;
  Status s = look_up(symbol, version, flags, pfn);
  if (status) *status = static_cast<CUdriverProcAddressQueryResult>(s);
  nm::client::count_local();
  return CUDA_SUCCESS;
}

NM_EXPORT CUresult cuGetProcAddress(const char* symbol, void** pfn, int version, unsigned long long flags) {
  if (!symbol || !pfn || flags > kPerThread) return CUDA_ERROR_INVALID_VALUE;
  void* found = nullptr;
  nm::client::count_local();
  if (look_up(symbol, version, flags, &found) != kFound) return CUDA_ERROR_NOT_FOUND;
  *pfn = found;
  return CUDA_SUCCESS;
}

}  // extern "C"
