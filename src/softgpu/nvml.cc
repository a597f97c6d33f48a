// libnvidia-ml.so.1 of the software GPU: who the devices are. What is not here, a weak stub answers with NOT_SUPPORTED;
// no sensor is here. Memory is a matter of each process, so a device's is answered as free.
#include <nvml_abi.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "softgpu/identity.h"

using nm::softgpu::Identity;

// A set that no event ever gets into: these devices have none.
struct nvmlEventSet_st {};

namespace {

constexpr unsigned kMemoryV2 = sizeof(nvmlMemory_v2_t) | 2u << 24;
constexpr unsigned kArchitectureHopper = 9;
constexpr const char* kDriverText = "580.00";

struct State {
  std::vector<Identity> devices = nm::softgpu::all_devices();  // NVML does not heed CUDA_VISIBLE_DEVICES
};
std::atomic<State*> g_state = nullptr;
std::atomic<int> g_uses = 0;

// Handles are 1 + the index: null is none.
nvmlReturn_t device_of(nvmlDevice_t handle, const Identity*& device) {
  const State* state = g_state;
  if (!state || g_uses == 0) return NVML_ERROR_UNINITIALIZED;
  const auto number = reinterpret_cast<uintptr_t>(handle);
  if (number == 0 || number > state->devices.size()) return NVML_ERROR_INVALID_ARGUMENT;
  device = &state->devices[number - 1];
  return NVML_SUCCESS;
}

template <class Body>
nvmlReturn_t with(nvmlDevice_t handle, bool valid, Body&& body) {
  const Identity* device = nullptr;
  const nvmlReturn_t result = device_of(handle, device);
  if (result != NVML_SUCCESS) return result;
  return valid ? body(*device) : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t put(char* out, unsigned length, const std::string& text) {
  if (!out) return NVML_ERROR_INVALID_ARGUMENT;
  if (length <= text.size()) return NVML_ERROR_INSUFFICIENT_SIZE;
  std::memcpy(out, text.c_str(), text.size() + 1);
  return NVML_SUCCESS;
}

template <class Match>
nvmlReturn_t find(nvmlDevice_t* out, Match&& match) {
  const State* state = g_state;
  if (!state || g_uses == 0) return NVML_ERROR_UNINITIALIZED;
  if (!out) return NVML_ERROR_INVALID_ARGUMENT;
  for (const auto& device : state->devices) {
    if (!match(device)) continue;
    *out = reinterpret_cast<nvmlDevice_t>(static_cast<uintptr_t>(device.index) + 1);
    return NVML_SUCCESS;
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t no_processes(nvmlDevice_t handle, unsigned* count) {
  return with(handle, count != nullptr, [&](const Identity&) {
    *count = 0;
    return NVML_SUCCESS;
  });
}

std::string long_pci_id(const Identity& device) {
  char text[32];
  std::snprintf(text, sizeof text, "%08X:%02X:%02X.0", device.pci_domain, device.pci_bus, device.pci_device);
  return text;
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlInitWithFlags(unsigned) {
  if (!g_state) {
    auto* made = new (std::nothrow) State;
    State* none = nullptr;
    if (made && !g_state.compare_exchange_strong(none, made)) delete made;
    if (!g_state) return NVML_ERROR_UNKNOWN;
  }
  ++g_uses;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlInit_v2() { return nvmlInitWithFlags(0); }
nvmlReturn_t nvmlInit() { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown() {
  int uses = g_uses;
  do {
    if (uses == 0) return NVML_ERROR_UNINITIALIZED;
  } while (!g_uses.compare_exchange_weak(uses, uses - 1));
  return NVML_SUCCESS;
}

const char* nvmlErrorString(nvmlReturn_t result) {
  switch (result) {
    case NVML_SUCCESS:
      return "no error";
    case NVML_ERROR_UNINITIALIZED:
      return "nvmlInit has not been called";
    case NVML_ERROR_INVALID_ARGUMENT:
      return "invalid argument";
    case NVML_ERROR_NOT_SUPPORTED:
      return "not supported";
    case NVML_ERROR_NOT_FOUND:
      return "not found";
    case NVML_ERROR_TIMEOUT:
      return "nothing happened in time";
    case NVML_ERROR_INSUFFICIENT_SIZE:
      return "the buffer is too small";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
      return "the version of the argument is not known";
    default:
      return "unknown error";
  }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned length) {
  return g_uses == 0 ? NVML_ERROR_UNINITIALIZED : put(version, length, kDriverText);
}
nvmlReturn_t nvmlSystemGetNVMLVersion(char* version, unsigned length) {
  return g_uses == 0 ? NVML_ERROR_UNINITIALIZED : put(version, length, std::string("13.") + kDriverText);
}
nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int* version) {
  if (!version) return NVML_ERROR_INVALID_ARGUMENT;
  *version = nm::softgpu::kDriverVersion;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlSystemGetCudaDriverVersion(int* version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned* count) {
  const State* state = g_state;
  if (!state || g_uses == 0) return NVML_ERROR_UNINITIALIZED;
  if (!count) return NVML_ERROR_INVALID_ARGUMENT;
  *count = static_cast<unsigned>(state->devices.size());
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetCount(unsigned* count) { return nvmlDeviceGetCount_v2(count); }

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t* device) {
  const nvmlReturn_t result = find(device, [&](const Identity& d) { return d.index == static_cast<int>(index); });
  return result == NVML_ERROR_NOT_FOUND ? NVML_ERROR_INVALID_ARGUMENT : result;
}
nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, nvmlDevice_t* device) {
  return nvmlDeviceGetHandleByIndex_v2(index, device);
}
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  if (!uuid) return NVML_ERROR_INVALID_ARGUMENT;
  return find(device, [&](const Identity& d) { return d.uuid_text() == uuid; });
}
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char* pci_bus_id, nvmlDevice_t* device) {
  nm::softgpu::PciPlace place;
  if (!pci_bus_id || !nm::softgpu::parse_pci_place(pci_bus_id, &place)) return NVML_ERROR_INVALID_ARGUMENT;
  return find(device, [&](const Identity& d) { return d.is_at(place); });
}
nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char* pci_bus_id, nvmlDevice_t* device) {
  return nvmlDeviceGetHandleByPciBusId_v2(pci_bus_id, device);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned length) {
  return with(device, true, [&](const Identity&) { return put(name, length, nm::softgpu::kDeviceName); });
}
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* uuid, unsigned length) {
  return with(device, true, [&](const Identity& d) { return put(uuid, length, d.uuid_text()); });
}
nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned* index) {
  return with(device, index != nullptr, [&](const Identity& d) {
    *index = static_cast<unsigned>(d.index);
    return NVML_SUCCESS;
  });
}
nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned* minor) {
  return nvmlDeviceGetIndex(device, minor);
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  return with(device, memory != nullptr, [&](const Identity& d) {
    *memory = {d.memory_bytes, d.memory_bytes, 0};
    return NVML_SUCCESS;
  });
}
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  return with(device, memory != nullptr, [&](const Identity& d) {
    if (memory->version != kMemoryV2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    *memory = {kMemoryV2, d.memory_bytes, 0, d.memory_bytes, 0};
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int* major, int* minor) {
  return with(device, major != nullptr && minor != nullptr, [&](const Identity&) {
    *major = nm::softgpu::kComputeMajor;
    *minor = nm::softgpu::kComputeMinor;
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t* pci) {
  return with(device, pci != nullptr, [&](const Identity& d) {
    *pci = {};
    put(pci->busIdLegacy, sizeof pci->busIdLegacy, d.pci_id());
    put(pci->busId, sizeof pci->busId, long_pci_id(d));
    pci->domain = static_cast<unsigned>(d.pci_domain);
    pci->bus = static_cast<unsigned>(d.pci_bus);
    pci->device = static_cast<unsigned>(d.pci_device);
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, nvmlDeviceArchitecture_t* architecture) {
  return with(device, architecture != nullptr, [&](const Identity&) {
    *architecture = kArchitectureHopper;
    return NVML_SUCCESS;
  });
}
nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, unsigned* mode) {
  return with(device, mode != nullptr, [&](const Identity&) {
    *mode = 0;  // every process may use it
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long* types) {
  return with(device, types != nullptr, [&](const Identity&) {
    *types = 0;
    return NVML_SUCCESS;
  });
}
nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t* set) {
  if (g_uses == 0) return NVML_ERROR_UNINITIALIZED;
  if (!set) return NVML_ERROR_INVALID_ARGUMENT;
  *set = new (std::nothrow) nvmlEventSet_st;
  return *set ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}
nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
  if (g_uses == 0) return NVML_ERROR_UNINITIALIZED;
  if (!set) return NVML_ERROR_INVALID_ARGUMENT;
  delete set;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set) {
  return with(device, set != nullptr,
              [&](const Identity&) { return types == 0 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED; });
}
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t* data, unsigned timeout_ms) {
  if (g_uses == 0) return NVML_ERROR_UNINITIALIZED;
  if (!set || !data) return NVML_ERROR_INVALID_ARGUMENT;
  std::this_thread::sleep_for(std::chrono::milliseconds(timeout_ms));
  return NVML_ERROR_TIMEOUT;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_v1_t*) {
  return no_processes(d, n);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_t*) {
  return no_processes(d, n);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_t*) {
  return no_processes(d, n);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_v1_t*) {
  return no_processes(d, n);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_t*) {
  return no_processes(d, n);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_t*) {
  return no_processes(d, n);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_v1_t*) {
  return no_processes(d, n);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v2(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_t*) {
  return no_processes(d, n);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t d, unsigned* n, nvmlProcessInfo_t*) {
  return no_processes(d, n);
}

}  // extern "C"
