// nvmlInternalGetExportTable: nvidia-smi reaches a part of NVML through a table of private functions, and does not go
// on without it. Functions of the server's process would be of no use here, so the table holds ours: one per slot, each
// named in the trace. What a slot says of a device we do not know, and answer NVML_ERROR_NOT_SUPPORTED; the slots that
// are not about a device have to be heard without an error, or nvidia-smi ends. The two that reset a GPU are refused.
//
// What the slots are is public in NVIDIA's own stand-in for NVML (k8s-test-infra, mocknvml; nvidia-smi 580.65.06): one
// table is asked for; word 0 is its size in bytes, of which more than 648 must be there; slot 81 is a device's handle
// by number; slots 213 to 215 are lists of processes, slots 230 and 249 a device's PCIe generation and sparse mode.
#include <stdio.h>
#include <string.h>

#include <array>
#include <utility>

#include "client/nvml/stub_support.h"
#include "nvml_remote.h"
#include "wire/handle.h"

namespace nm::client::nvml {
namespace {

constexpr size_t kSlots = 512;
constexpr size_t kReset = 20, kHandleByIndex = 81, kResetIsOver = 197;
constexpr size_t kFirstProcessList = 213, kLastProcessList = 215;
constexpr unsigned char kTableOfNvidiaSmi[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
                                                 0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};

nvmlReturn_t call_slot(size_t slot, uint64_t a, uint64_t b) {
  char name[48];
  snprintf(name, sizeof name, "(export table slot %zu)", slot);
  if (slot == kHandleByIndex) {
    auto* device = reinterpret_cast<nvmlDevice_t*>(b);
    return traced(name, remote::nvmlDeviceGetHandleByIndex_v2(static_cast<unsigned>(a), device));
  }
  // nvidia-smi looks at the count even if the call failed.
  if (slot >= kFirstProcessList && slot <= kLastProcessList && b) *reinterpret_cast<unsigned*>(b) = 0;
  wire::Handle handle;
  const bool about_nothing = !wire::Handle::parse(a, &handle) && slot != kReset && slot != kResetIsOver;
  return answer(name, about_nothing ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED);
}

template <size_t kSlot>
nvmlReturn_t slot_function(uint64_t a, uint64_t b) {
  return call_slot(kSlot, a, b);
}

template <size_t... kSlot>
std::array<const void*, kSlots> make_table(std::index_sequence<kSlot...>) {
  std::array<const void*, kSlots> table = {reinterpret_cast<const void*>(slot_function<kSlot>)...};
  table[0] = reinterpret_cast<const void*>(kSlots * sizeof(void*));
  return table;
}

}  // namespace
}  // namespace nm::client::nvml

using namespace nm::client::nvml;

extern "C" NM_EXPORT nvmlReturn_t nvmlInternalGetExportTable(const void** table, const unsigned char* id) {
  char name[64] = "nvmlInternalGetExportTable ";
  size_t at = strlen(name);
  for (int i = 0; id && i < 16; i++) at += static_cast<size_t>(snprintf(name + at, sizeof name - at, "%02x", id[i]));
  if (!table || !id) return traced(name, NVML_ERROR_INVALID_ARGUMENT);
  if (memcmp(id, kTableOfNvidiaSmi, sizeof kTableOfNvidiaSmi) != 0) {
    *table = nullptr;
    return traced(name, NVML_ERROR_FUNCTION_NOT_FOUND);
  }
  static const auto functions = make_table(std::make_index_sequence<kSlots>());
  *table = functions.data();
  return traced(name, NVML_SUCCESS);
}
