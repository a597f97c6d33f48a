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

}  // namespace

void fill_null_nvml(NvmlState* state) {
  fill_null_nvml(&state->driver);
  state->driver.nvmlInit_v2 = init;
  state->driver.nvmlInitWithFlags = init_with_flags;
  state->driver.nvmlDeviceGetRunningProcessDetailList = process_details;
  state->driver.nvmlDeviceGetProcessesUtilizationInfo = processes_utilization;
  state->has_library = true;
}

}  // namespace nm::server
