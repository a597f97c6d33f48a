// cuGetProcAddress and cuGetExportTable: how a program finds the rest. Both work before cuInit.
#include <cuda_abi.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <unprototyped.inc>

namespace {

struct ProcRow {
  const char* name;
  int since;  // 12040: CUDA 12.4
  void* function;
  void* per_thread;
};

#define NM_FN(function) reinterpret_cast<void*>(&function)
// Sorted by name, then by version. Filled where it is used: the addresses are not constants of the link.
const ProcRow* proc_rows(size_t& count) {
  static const ProcRow rows[] = {
#include <proc_table.inc>
  };
  count = sizeof rows / sizeof rows[0];
  return rows;
}
#undef NM_FN

CUdriverProcAddressQueryResult look_up(std::string_view symbol, int version, bool per_thread, void*& found) {
  size_t count = 0;
  const ProcRow* rows = proc_rows(count);
  bool known = false;
  const ProcRow* best = nullptr;
  for (size_t i = 0; i < count; ++i) {
    if (symbol != rows[i].name) continue;
    known = true;
    if (rows[i].since <= version) best = &rows[i];
  }
  found = nullptr;
  if (!known) return CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  if (!best) return CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
  found = per_thread && best->per_thread ? best->per_thread : best->function;
  return CU_GET_PROC_ADDRESS_SUCCESS;
}

bool known_flags(unsigned long long flags) { return flags <= CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM; }

// The table that every embedded CUDA runtime asks for first.
constexpr unsigned char kRuntimeTable[16] = {0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a,
                                             0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9};

}  // namespace

extern "C" {

CUresult cuGetProcAddress_v2(const char* symbol, void** pfn, int cuda_version, unsigned long long flags,
                             CUdriverProcAddressQueryResult* symbol_status) {
  if (!symbol || !pfn || !known_flags(flags)) return CUDA_ERROR_INVALID_VALUE;
  const auto status = look_up(symbol, cuda_version, flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, *pfn);
  if (symbol_status) *symbol_status = status;
  return CUDA_SUCCESS;
}

CUresult cuGetProcAddress(const char* symbol, void** pfn, int cuda_version, unsigned long long flags) {
  if (!symbol || !pfn || !known_flags(flags)) return CUDA_ERROR_INVALID_VALUE;
  void* found = nullptr;
  look_up(symbol, cuda_version, flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, found);
  if (!found) return CUDA_ERROR_NOT_FOUND;
  *pfn = found;
  return CUDA_SUCCESS;
}

CUresult cuGetExportTable(const void** export_table, const CUuuid* export_table_id) {
  if (!export_table || !export_table_id) return CUDA_ERROR_INVALID_VALUE;
  static std::atomic<bool> told = false;
  if (std::memcmp(export_table_id->bytes, kRuntimeTable, 16) == 0 && !std::getenv("NEARMETAL_QUIET") &&
      !told.exchange(true)) {
    std::fputs(
        "nearmetal: the software GPU runs programs of the CUDA driver API. The CUDA runtime in this program asks "
        "for a genuine NVIDIA driver and will not start; serve a real GPU to run it.\n",
        stderr);
  }
  *export_table = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

}  // extern "C"
