// GPM: the buffers of samples stay here, and what two of them say travels by value.
#include "server/nvml_support.h"

namespace nm::server::nvml_hand {
namespace {

constexpr size_t kMaxSamples = 256;

template <size_t kSize>
void copy_text(char (&to)[kSize], const char* from) {
  to[0] = '\0';
  if (!from) return;
  std::strncpy(to, from, kSize - 1);
  to[kSize - 1] = '\0';
}

}  // namespace

nvmlReturn_t nvmlGpmSampleAlloc(NvmlState& s, nvmlGpmSample_t* sample) {
  if (!s.driver.nvmlGpmSampleAlloc) return NVML_ERROR_FUNCTION_NOT_FOUND;
  if (s.gpm_samples.size() >= kMaxSamples) return NVML_ERROR_INSUFFICIENT_RESOURCES;
  nvmlReturn_t result = s.driver.nvmlGpmSampleAlloc(sample);
  if (result != NVML_SUCCESS) return result;
  if (!*sample) return NVML_ERROR_UNKNOWN;
  s.gpm_samples.insert(*sample);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleFree(NvmlState& s, nvmlGpmSample_t sample) {
  if (!sample) return NVML_ERROR_INVALID_ARGUMENT;
  if (!s.driver.nvmlGpmSampleFree) return NVML_ERROR_FUNCTION_NOT_FOUND;
  nvmlReturn_t result = s.driver.nvmlGpmSampleFree(sample);
  if (result != NVML_SUCCESS) return result;
  s.gpm_sample.forget(sample);
  s.gpm_samples.erase(sample);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleGet(NvmlState& s, nvmlDevice_t device, nvmlGpmSample_t sample) {
  if (!device || !sample) return NVML_ERROR_INVALID_ARGUMENT;
  if (!s.driver.nvmlGpmSampleGet) return NVML_ERROR_FUNCTION_NOT_FOUND;
  return s.driver.nvmlGpmSampleGet(device, sample);
}

nvmlReturn_t nvmlGpmMigSampleGet(NvmlState& s, nvmlDevice_t device, unsigned gpu_instance_id, nvmlGpmSample_t sample) {
  if (!device || !sample) return NVML_ERROR_INVALID_ARGUMENT;
  if (!s.driver.nvmlGpmMigSampleGet) return NVML_ERROR_FUNCTION_NOT_FOUND;
  return s.driver.nvmlGpmMigSampleGet(device, gpu_instance_id, sample);
}

nvmlReturn_t nm_gpm_metrics(NvmlState& s, unsigned version, nvmlGpmSample_t sample1, nvmlGpmSample_t sample2,
                            unsigned count, nm_gpm_metric_t* metrics) {
  if (!sample1 || !sample2 || count > wire::kMaxGpmMetrics) return NVML_ERROR_INVALID_ARGUMENT;
  if (!s.driver.nvmlGpmMetricsGet) return NVML_ERROR_FUNCTION_NOT_FOUND;
  // As large as the largest, however many are asked for: the library may clear all that its header has.
  struct {
    nvmlGpmMetricsGet_t get;
    nvmlGpmMetric_t metrics[wire::kMaxGpmMetrics];
  } all{};
  all.get = {version, count, sample1, sample2};
  for (unsigned i = 0; i < count; i++) all.metrics[i].metricId = metrics[i].metricId;
  nvmlReturn_t result = s.driver.nvmlGpmMetricsGet(&all.get);
  for (unsigned i = 0; i < count; i++) {
    const nvmlGpmMetric_t& from = all.metrics[i];
    metrics[i] = {from.metricId, from.nvmlReturn, from.value, {}, {}, {}};
    copy_text(metrics[i].shortName, from.shortName);
    copy_text(metrics[i].longName, from.longName);
    copy_text(metrics[i].unit, from.unit);
  }
  return result;
}

}  // namespace nm::server::nvml_hand
