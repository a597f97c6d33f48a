// Calls whose arguments are not what travels.
#include <cstring>

#include "client/nvml/stub_support.h"
#include "nvml_remote.h"

using namespace nm::client::nvml;

extern "C" {

// The beginning of the later struct; older programs have room for no more.
NM_EXPORT nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_v1_t* pci) {
  if (!pci) return answer("nvmlDeviceGetPciInfo", NVML_ERROR_INVALID_ARGUMENT);
  nvmlPciInfo_v2_t all;
  nvmlReturn_t result = remote::nvmlDeviceGetPciInfo_v2(device, &all);
  if (result == NVML_SUCCESS) memcpy(pci, &all, sizeof *pci);
  return result;
}

NM_EXPORT nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device, nvmlProcessDetailList_v1_t* list) {
  constexpr const char* kName = "nvmlDeviceGetRunningProcessDetailList";
  if (!list) return answer(kName, NVML_ERROR_INVALID_ARGUMENT);
  if (!known_version(list, {nvmlProcessDetailList_v1_tag})) return answer(kName, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
  return remote::nm_process_details(device, list->mode, &list->numProcArrayEntries, list->procArray);
}

NM_EXPORT nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
                                                             nvmlProcessesUtilizationInfo_v1_t* info) {
  constexpr const char* kName = "nvmlDeviceGetProcessesUtilizationInfo";
  if (!info) return answer(kName, NVML_ERROR_INVALID_ARGUMENT);
  if (!known_version(info, {nvmlProcessesUtilizationInfo_v1_tag})) {
    return answer(kName, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
  }
  return remote::nm_processes_utilization(device, info->lastSeenTimeStamp, &info->processSamplesCount,
                                          info->procUtilArray);
}

NM_EXPORT nvmlReturn_t nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts(
    nvmlDevice_t device, nvmlEccSramUniqueUncorrectedErrorCounts_v1_t* counts) {
  constexpr const char* kName = "nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts";
  if (!counts) return answer(kName, NVML_ERROR_INVALID_ARGUMENT);
  if (!known_version(counts, {nvmlEccSramUniqueUncorrectedErrorCounts_v1_tag})) {
    return answer(kName, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
  }
  return remote::nm_sram_unique_errors(device, &counts->entryCount, counts->entries);
}

}  // extern "C"
