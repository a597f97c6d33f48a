#include "null_nvml.h"

#include "invent.h"

namespace nm::server {
namespace {

using fuzz::answer;
using fuzz::invent;

#include "null_nvml.inc"

nvmlReturn_t init() { return NVML_SUCCESS; }
nvmlReturn_t init_with_flags(unsigned) { return NVML_SUCCESS; }
nvmlReturn_t process_details(nvmlDevice_t, nvmlProcessDetailList_v1_t* list) {
  list->numProcArrayEntries += 1;  // more than there is room for, as NVML says it
  return nvmlReturn_t(answer());
}
nvmlReturn_t processes_utilization(nvmlDevice_t, nvmlProcessesUtilizationInfo_v1_t* info) {
  info->processSamplesCount += 1;
  return nvmlReturn_t(answer());
}
nvmlReturn_t event_set_wait(nvmlEventSet_t, nvmlEventData_t* data, unsigned) {
  *data = invent<nvmlEventData_t>();
  return nvmlReturn_t(answer());
}
nvmlReturn_t gpm_metrics(nvmlGpmMetricsGet_t* get) {
  auto* metrics = reinterpret_cast<nvmlGpmMetric_t*>(get + 1);
  for (unsigned i = 0; i < get->numMetrics; i++) metrics[i].shortName = i % 2 ? "a name" : nullptr;
  return nvmlReturn_t(answer());
}
nvmlReturn_t sram_errors(nvmlDevice_t, nvmlEccSramUniqueUncorrectedErrorCounts_v1_t* counts) {
  counts->entryCount += 1;
  return nvmlReturn_t(answer());
}

}  // namespace

void fill_null_nvml(NvmlState* state) {
  fill_null_nvml(&state->driver);
  state->driver.nvmlInit_v2 = init;
  state->driver.nvmlInitWithFlags = init_with_flags;
  state->driver.nvmlDeviceGetRunningProcessDetailList = process_details;
  state->driver.nvmlDeviceGetProcessesUtilizationInfo = processes_utilization;
  state->driver.nvmlEventSetWait_v2 = event_set_wait;
  state->driver.nvmlGpmMetricsGet = gpm_metrics;
  state->driver.nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts = sram_errors;
  state->has_library = true;
}

}  // namespace nm::server
