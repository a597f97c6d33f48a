// Sets of events: a client has so many and no more, and a wait is short.
#include "server/nvml_support.h"

namespace nm::server::nvml_hand {
namespace {

constexpr size_t kMaxSets = 64;
constexpr unsigned kMaxRegistrations = 256;  // of one set

}  // namespace

nvmlReturn_t nvmlEventSetCreate(NvmlState& s, nvmlEventSet_t* set) {
  if (!s.driver.nvmlEventSetCreate) return NVML_ERROR_FUNCTION_NOT_FOUND;
  if (s.event_sets.size() >= kMaxSets) return NVML_ERROR_INSUFFICIENT_RESOURCES;
  nvmlReturn_t result = s.driver.nvmlEventSetCreate(set);
  if (result != NVML_SUCCESS) return result;
  if (!*set) return NVML_ERROR_UNKNOWN;
  s.event_sets.emplace(*set, 0);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(NvmlState& s, nvmlEventSet_t set) {
  if (!set) return NVML_ERROR_INVALID_ARGUMENT;
  if (!s.driver.nvmlEventSetFree) return NVML_ERROR_FUNCTION_NOT_FOUND;
  nvmlReturn_t result = s.driver.nvmlEventSetFree(set);
  if (result != NVML_SUCCESS) return result;
  s.event_set.forget(set);
  s.event_sets.erase(set);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(NvmlState& s, nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set) {
  auto known = s.event_sets.find(set);
  if (known == s.event_sets.end()) return NVML_ERROR_INVALID_ARGUMENT;
  if (!s.driver.nvmlDeviceRegisterEvents) return NVML_ERROR_FUNCTION_NOT_FOUND;
  if (known->second >= kMaxRegistrations) return NVML_ERROR_INSUFFICIENT_RESOURCES;
  nvmlReturn_t result = s.driver.nvmlDeviceRegisterEvents(device, types, set);
  if (result == NVML_SUCCESS) known->second++;
  return result;
}

nvmlReturn_t nm_event_set_wait(NvmlState& s, nvmlEventSet_t set, unsigned timeout_ms, nvmlEventData_t* data) {
  if (!set) return NVML_ERROR_INVALID_ARGUMENT;
  if (!s.driver.nvmlEventSetWait_v2) return NVML_ERROR_FUNCTION_NOT_FOUND;
  return s.driver.nvmlEventSetWait_v2(set, data, std::min<unsigned>(timeout_ms, wire::kMaxNvmlWaitMs));
}

}  // namespace nm::server::nvml_hand
