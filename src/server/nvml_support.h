// What the generated NVML handlers stand on, and the operations written by hand.
#pragma once

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "server/nvml_session.h"
#include "wire/codec.h"
#include "wire/nvml.h"

namespace nm::server {

// A struct that says its own version and size, one of those that the table names.
template <size_t kSize>
class Block {
 public:
  bool take(wire::Reader& in, std::initializer_list<unsigned> tags) {
    auto bytes = in.bytes();
    unsigned tag = 0;
    if (bytes.size() < sizeof tag || bytes.size() > kSize) return false;
    std::memcpy(&tag, bytes.data(), sizeof tag);
    if ((tag & 0xffffff) != bytes.size() || std::find(tags.begin(), tags.end(), tag) == tags.end()) return false;
    std::memcpy(data_, bytes.data(), bytes.size());
    size_ = bytes.size();
    return true;
  }
  template <typename T>
  T* as() {
    static_assert(sizeof(T) <= kSize);
    return reinterpret_cast<T*>(data_);
  }
  void give(wire::Writer& out) const { out.bytes(data_, size_); }

 private:
  alignas(8) uint8_t data_[kSize] = {};
  size_t size_ = 0;
};

// Exactly `count` elements, as the argument beside them says.
template <typename T, typename N>
bool take_array(wire::Reader& in, N count, std::vector<T>* out) {
  auto bytes = in.bytes();
  if (count < 0 || bytes.size() != static_cast<size_t>(count) * sizeof(T)) return false;
  out->resize(static_cast<size_t>(count) + 1);
  if (!bytes.empty()) std::memcpy(static_cast<void*>(out->data()), bytes.data(), bytes.size());
  return true;
}

template <typename H>
void give_handles(wire::Writer& out, HandleTable<H>& table, const std::vector<H>& handles, size_t count) {
  std::vector<uint64_t> values;
  for (size_t i = 0; i < count; i++) values.push_back(table.virtual_of(handles[i]));
  out.bytes(values.data(), values.size() * sizeof(uint64_t));
}

// The operations of modes "hand" and "wire" in api/nvml.toml.
namespace nvml_hand {
nvmlReturn_t nm_nvml_init(NvmlState& s, unsigned flags);
nvmlReturn_t nm_process_details(NvmlState& s, nvmlDevice_t device, unsigned mode, unsigned* count,
                                nvmlProcessDetail_v1_t* details);
nvmlReturn_t nm_processes_utilization(NvmlState& s, nvmlDevice_t device, unsigned long long since, unsigned* count,
                                      nvmlProcessUtilizationInfo_v1_t* samples);
nvmlReturn_t nm_sram_unique_errors(NvmlState& s, nvmlDevice_t device, unsigned* count,
                                   nvmlEccSramUniqueUncorrectedErrorEntry_v1_t* entries);
nvmlReturn_t nvmlEventSetCreate(NvmlState& s, nvmlEventSet_t* set);
nvmlReturn_t nvmlEventSetFree(NvmlState& s, nvmlEventSet_t set);
nvmlReturn_t nvmlDeviceRegisterEvents(NvmlState& s, nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set);
nvmlReturn_t nm_event_set_wait(NvmlState& s, nvmlEventSet_t set, unsigned timeout_ms, nvmlEventData_t* data);
nvmlReturn_t nvmlGpmSampleAlloc(NvmlState& s, nvmlGpmSample_t* sample);
nvmlReturn_t nvmlGpmSampleFree(NvmlState& s, nvmlGpmSample_t sample);
nvmlReturn_t nvmlGpmSampleGet(NvmlState& s, nvmlDevice_t device, nvmlGpmSample_t sample);
nvmlReturn_t nvmlGpmMigSampleGet(NvmlState& s, nvmlDevice_t device, unsigned gpu_instance_id, nvmlGpmSample_t sample);
nvmlReturn_t nm_gpm_metrics(NvmlState& s, unsigned version, nvmlGpmSample_t sample1, nvmlGpmSample_t sample2,
                            unsigned count, nm_gpm_metric_t* metrics);
}  // namespace nvml_hand

}  // namespace nm::server
