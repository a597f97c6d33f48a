#include "device/nvml.h"

#include <dlfcn.h>

#include "nvml_abi.h"

namespace nm::device {
namespace {

// NVML's numbers for what is asked.
constexpr unsigned kGraphics = 0, kSm = 1, kMemory = 2;  // clocks
constexpr unsigned kGpuSensor = 0;                       // temperature

#define NM_NVML_FUNCTIONS(X)                   \
  X(nvmlInit_v2)                               \
  X(nvmlSystemGetDriverVersion)                \
  X(nvmlDeviceGetHandleByUUID)                 \
  X(nvmlDeviceGetHandleByPciBusId_v2)          \
  X(nvmlDeviceGetClockInfo)                    \
  X(nvmlDeviceGetMaxClockInfo)                 \
  X(nvmlDeviceGetTemperature)                  \
  X(nvmlDeviceGetPowerUsage)                   \
  X(nvmlDeviceGetPowerManagementLimit)         \
  X(nvmlDeviceGetPerformanceState)             \
  X(nvmlDeviceGetCurrentClocksEventReasons)    \
  X(nvmlDeviceGetCurrentClocksThrottleReasons) \
  X(nvmlDeviceGetCurrPcieLinkGeneration)       \
  X(nvmlDeviceGetMaxPcieLinkGeneration)        \
  X(nvmlDeviceGetCurrPcieLinkWidth)            \
  X(nvmlDeviceGetMaxPcieLinkWidth)             \
  X(nvmlDeviceGetEccMode)                      \
  X(nvmlDeviceGetPersistenceMode)              \
  X(nvmlDeviceGetMigMode)                      \
  X(nvmlDeviceGetComputeMode)                  \
  X(nvmlDeviceGetVbiosVersion)                 \
  X(nvmlDeviceGetUtilizationRates)             \
  X(nvmlDeviceGetComputeRunningProcesses_v3)

// Every function may lack: a driver is older, or ours does not carry it.
struct NvmlApi {
#define NM_MEMBER(name) decltype(&::name) name = nullptr;
  NM_NVML_FUNCTIONS(NM_MEMBER)
#undef NM_MEMBER
  bool ready = false;
};

// Loaded once and kept: starting NVML takes longer than all its answers.
const NvmlApi& nvml_api() {
  static const NvmlApi loaded = [] {
    NvmlApi api;
    void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!library) return api;
#define NM_FIND(name) api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, #name));
    NM_NVML_FUNCTIONS(NM_FIND)
#undef NM_FIND
    api.ready = api.nvmlInit_v2 && api.nvmlInit_v2() == NVML_SUCCESS;
    return api;
  }();
  return loaded;
}

nvmlDevice_t find(const NvmlApi& api, const Info& info) {
  nvmlDevice_t device = nullptr;
  if (!info.uuid.empty() && api.nvmlDeviceGetHandleByUUID &&
      api.nvmlDeviceGetHandleByUUID(info.uuid.c_str(), &device) == NVML_SUCCESS) {
    return device;
  }
  if (!info.pci.empty() && api.nvmlDeviceGetHandleByPciBusId_v2 &&
      api.nvmlDeviceGetHandleByPciBusId_v2(info.pci.c_str(), &device) == NVML_SUCCESS) {
    return device;
  }
  return nullptr;
}

class Reader {
 public:
  // `function` answers into its last argument.
  template <typename F, typename... A>
  void number(const char* name, F function, A... arguments) {
    unsigned value = 0;
    if (function && function(arguments..., &value) == NVML_SUCCESS) add(name, int64_t{value});
  }
  template <typename F>
  void text(const char* name, F function) {
    char value[128] = "";
    if (function(value, static_cast<unsigned>(sizeof value)) == NVML_SUCCESS) add(name, std::string(value));
  }
  void add(const char* name, std::variant<int64_t, double, std::string> value) {
    fields.push_back({name, std::move(value)});
  }
  std::vector<StateField> fields;
};

}  // namespace

std::string names_of_clocks_event_reasons(uint64_t reasons) {
  static constexpr const char* kNames[] = {"gpu_idle",
                                           "applications_clocks_setting",
                                           "sw_power_cap",
                                           "hw_slowdown",
                                           "sync_boost",
                                           "sw_thermal_slowdown",
                                           "hw_thermal_slowdown",
                                           "hw_power_brake_slowdown",
                                           "display_clock_setting"};
  if (reasons == 0) return "none";
  std::string names;
  for (size_t bit = 0; bit < 64; ++bit) {
    if (!(reasons >> bit & 1)) continue;
    if (!names.empty()) names += ',';
    names += bit < std::size(kNames) ? std::string(kNames[bit]) : std::string("bit_").append(std::to_string(bit));
  }
  return names;
}

std::vector<StateField> read_state(const Info& info) {
  const NvmlApi& api = nvml_api();
  const nvmlDevice_t device = api.ready ? find(api, info) : nullptr;
  if (!device) return {};
  Reader reader;
  if (api.nvmlSystemGetDriverVersion) reader.text("driver_version", api.nvmlSystemGetDriverVersion);
  if (api.nvmlDeviceGetVbiosVersion) {
    reader.text("vbios", [&](char* to, unsigned n) { return api.nvmlDeviceGetVbiosVersion(device, to, n); });
  }
  reader.number("sm_clock_mhz", api.nvmlDeviceGetClockInfo, device, kSm);
  reader.number("memory_clock_mhz", api.nvmlDeviceGetClockInfo, device, kMemory);
  reader.number("graphics_clock_mhz", api.nvmlDeviceGetClockInfo, device, kGraphics);
  reader.number("sm_clock_max_mhz", api.nvmlDeviceGetMaxClockInfo, device, kSm);
  reader.number("memory_clock_max_mhz", api.nvmlDeviceGetMaxClockInfo, device, kMemory);
  reader.number("graphics_clock_max_mhz", api.nvmlDeviceGetMaxClockInfo, device, kGraphics);
  reader.number("temperature_c", api.nvmlDeviceGetTemperature, device, kGpuSensor);
  unsigned milliwatts = 0;
  if (api.nvmlDeviceGetPowerUsage && api.nvmlDeviceGetPowerUsage(device, &milliwatts) == NVML_SUCCESS) {
    reader.add("power_w", milliwatts / 1e3);
  }
  if (api.nvmlDeviceGetPowerManagementLimit &&
      api.nvmlDeviceGetPowerManagementLimit(device, &milliwatts) == NVML_SUCCESS) {
    reader.add("power_limit_w", milliwatts / 1e3);
  }
  reader.number("performance_state", api.nvmlDeviceGetPerformanceState, device);
  // The younger name first; both give the same bits.
  const auto reasons_of = api.nvmlDeviceGetCurrentClocksEventReasons ? api.nvmlDeviceGetCurrentClocksEventReasons
                                                                     : api.nvmlDeviceGetCurrentClocksThrottleReasons;
  unsigned long long reasons = 0;
  if (reasons_of && reasons_of(device, &reasons) == NVML_SUCCESS) {
    reader.add("clocks_event_reasons", static_cast<int64_t>(reasons));
    reader.add("clocks_event_names", names_of_clocks_event_reasons(reasons));
  }
  reader.number("pcie_generation", api.nvmlDeviceGetCurrPcieLinkGeneration, device);
  reader.number("pcie_generation_max", api.nvmlDeviceGetMaxPcieLinkGeneration, device);
  reader.number("pcie_width", api.nvmlDeviceGetCurrPcieLinkWidth, device);
  reader.number("pcie_width_max", api.nvmlDeviceGetMaxPcieLinkWidth, device);
  unsigned now = 0, next = 0;
  if (api.nvmlDeviceGetEccMode && api.nvmlDeviceGetEccMode(device, &now, &next) == NVML_SUCCESS) {
    reader.add("ecc_mode", int64_t{now});
  }
  if (api.nvmlDeviceGetMigMode && api.nvmlDeviceGetMigMode(device, &now, &next) == NVML_SUCCESS) {
    reader.add("mig_mode", int64_t{now});
  }
  reader.number("persistence_mode", api.nvmlDeviceGetPersistenceMode, device);
  reader.number("compute_mode", api.nvmlDeviceGetComputeMode, device);
  nvmlUtilization_t used{};
  if (api.nvmlDeviceGetUtilizationRates && api.nvmlDeviceGetUtilizationRates(device, &used) == NVML_SUCCESS) {
    reader.add("utilization_percent", int64_t{used.gpu});
    reader.add("memory_utilization_percent", int64_t{used.memory});
  }
  // A count of 0 asks for the count only; that it does not fit is the answer then.
  unsigned processes = 0;
  if (api.nvmlDeviceGetComputeRunningProcesses_v3) {
    const nvmlReturn_t result = api.nvmlDeviceGetComputeRunningProcesses_v3(device, &processes, nullptr);
    if (result == NVML_SUCCESS || result == NVML_ERROR_INSUFFICIENT_SIZE) {
      reader.add("compute_processes", int64_t{processes});
    }
  }
  return std::move(reader.fields);
}

}  // namespace nm::device
