#include "server/nvml_support.h"

namespace nm::server::nvml_hand {

nvmlReturn_t nm_nvml_init(NvmlState& s, unsigned flags) {
  if (!s.has_library) return NVML_ERROR_LIBRARY_NOT_FOUND;
  if (s.initialised) return NVML_SUCCESS;
  nvmlReturn_t result =
      flags == 0 || !s.driver.nvmlInitWithFlags ? s.driver.nvmlInit_v2() : s.driver.nvmlInitWithFlags(flags);
  if (result != NVML_SUCCESS) return result;
  s.initialised = true;
  // The devices get their handles in the order of their numbers, so that a device has the same handle in every session
  // of this server: a forked child, or a program that opens NVML anew, goes on with those it has.
  unsigned count = 0;
  if (s.driver.nvmlDeviceGetCount_v2) s.driver.nvmlDeviceGetCount_v2(&count);
  for (unsigned i = 0; i < count && s.driver.nvmlDeviceGetHandleByIndex_v2; i++) {
    nvmlDevice_t device = nullptr;
    if (s.driver.nvmlDeviceGetHandleByIndex_v2(i, &device) == NVML_SUCCESS) s.device.virtual_of(device);
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nm_process_details(NvmlState& s, nvmlDevice_t device, unsigned mode, unsigned* count,
                                nvmlProcessDetail_v1_t* details) {
  if (!s.driver.nvmlDeviceGetRunningProcessDetailList) return NVML_ERROR_FUNCTION_NOT_FOUND;
  nvmlProcessDetailList_v1_t list{nvmlProcessDetailList_v1_tag, mode, *count, details};
  nvmlReturn_t result = s.driver.nvmlDeviceGetRunningProcessDetailList(device, &list);
  *count = list.numProcArrayEntries;
  return result;
}

nvmlReturn_t nm_processes_utilization(NvmlState& s, nvmlDevice_t device, unsigned long long since, unsigned* count,
                                      nvmlProcessUtilizationInfo_v1_t* samples) {
  if (!s.driver.nvmlDeviceGetProcessesUtilizationInfo) return NVML_ERROR_FUNCTION_NOT_FOUND;
  nvmlProcessesUtilizationInfo_v1_t info{nvmlProcessesUtilizationInfo_v1_tag, *count, since, samples};
  nvmlReturn_t result = s.driver.nvmlDeviceGetProcessesUtilizationInfo(device, &info);
  *count = info.processSamplesCount;
  return result;
}

nvmlReturn_t nm_sram_unique_errors(NvmlState& s, nvmlDevice_t device, unsigned* count,
                                   nvmlEccSramUniqueUncorrectedErrorEntry_v1_t* entries) {
  if (!s.driver.nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts) return NVML_ERROR_FUNCTION_NOT_FOUND;
  nvmlEccSramUniqueUncorrectedErrorCounts_v1_t counts{nvmlEccSramUniqueUncorrectedErrorCounts_v1_tag, *count, entries};
  nvmlReturn_t result = s.driver.nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(device, &counts);
  *count = counts.entryCount;
  return result;
}

}  // namespace nm::server::nvml_hand
